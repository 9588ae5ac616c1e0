"""The sample shop: orders."""
