"""The outside world, simulated: its script in events.py, its answers in service.py."""
