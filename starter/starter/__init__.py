"""Bookings of a theatre: events in events.py, a service each in seats.py and payments.py."""
