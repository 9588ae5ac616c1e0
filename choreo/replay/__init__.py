"""Reading the log back: the same code, over what was recorded, in a sandbox."""
