"""The `choreo` command, from outside."""
