"""How many calls a second: a token bucket, kept as the time at which it is full again. Pure: time is an input."""

BURST_S = 0.1
"""What was not used within this long may be used at once."""


class TokenBucket:
    """Lets `rate_per_s` tokens a second go, and after a pause those of 0.1 s at once, at least one.

    The generic cell rate algorithm (ITU-T I.371): one number instead of a count and a time.
    """

    def __init__(self, rate_per_s: float) -> None:
        self._every = 1_000_000 / rate_per_s
        self._ahead = max(BURST_S * 1_000_000, self._every) - self._every
        self._next = 0.0

    def take(self, now: int) -> int:
        """Take a token; answers how long to wait for it (microseconds). Tokens go out in the order of asking."""
        at = max(self._next, now - self._ahead)
        self._next = at + self._every
        return max(0, round(at - now))
