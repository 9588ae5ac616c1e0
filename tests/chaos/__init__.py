"""Chaos: the shop over Olist's orders while its processes, and the broker, are killed again and again."""
