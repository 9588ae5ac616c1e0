"""Tests of the demo: reading orders, making them, running the shop over them."""
