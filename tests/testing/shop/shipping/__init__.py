"""The sample shop: shipping."""
