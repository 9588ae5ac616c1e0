"""The sample shop: payments."""
