"""Settings: precedence, places, secrets."""
