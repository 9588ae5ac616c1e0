"""Checks of whole projects, each over a value that was made for it."""
