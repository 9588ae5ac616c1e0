"""What to do when something fails, as pure values: retry, breaker, dead letter."""
