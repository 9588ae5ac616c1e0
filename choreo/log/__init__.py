"""The log: bytes in topics, in order; one interface (`interface.py`), three backends (memory, embedded, kafka).

`open.py` goes from an address to a log. What the bytes mean is the affair of `events/`.
"""
