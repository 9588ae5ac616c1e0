"""What operators look at: log lines, health, status. Listens to the runtime, which does not know it."""
