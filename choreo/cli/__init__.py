"""The `choreo` command: builds every part once and starts it; imported by nothing."""
