"""The sample shop: notifications."""
