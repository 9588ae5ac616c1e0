"""The face as the type checkers see it."""
