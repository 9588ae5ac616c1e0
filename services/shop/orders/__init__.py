"""The orders service: its words in events.py, its work in service.py."""
