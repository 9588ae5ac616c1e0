"""How far something long is, for whoever wants to hear it."""

from collections.abc import Callable

Told = Callable[[int, int], None]
"""Told how much is done, of how much."""


def untold(done: int, total: int) -> None:
    """Nobody listens."""
