"""Shrinking: what can be left out of a failing run while it still fails. After Zeller and Hildebrandt's ddmin."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class Budget:
    """So many tries are left."""

    def __init__(self, tries: int) -> None:
        self.left = tries

    def take(self) -> bool:
        """Use one up; False where none is left."""
        self.left -= 1
        return self.left >= 0


def shrunk(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool], budget: Budget) -> tuple[T, ...]:
    """A part of `items`, in order, that still fails; nothing single can be left out of it unless the budget ran dry.

    `fails` is asked for each part that is tried; `items` themselves are known to fail.
    """
    kept = tuple(items)
    size = len(kept)
    while size >= 1:
        start, before = 0, len(kept)
        while start < len(kept):
            without = kept[:start] + kept[start + size :]
            if not budget.take():
                return kept
            if fails(without):
                kept = without
            else:
                start += size
        if size > 1:
            size = min(size, len(kept)) // 2
        elif len(kept) == before:
            break
    return kept
