"""The sample shop: inventory."""
