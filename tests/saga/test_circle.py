"""Circles among states: the first, by its shortest way."""

import pytest

from choreo.saga.circle import circle


@pytest.mark.parametrize(
    ("following", "found"),
    [
        ([], ()),
        ([[1, 2], [3], [3], []], ()),
        ([[0]], (0,)),
        ([[1], [2, 1], [0]], (0, 1, 2)),
        ([[1], [2], [3, 4], [1], [1]], (1, 2, 3)),
        ([[1, 2], [], [3], [2, 4], []], (2, 3)),
    ],
    ids=["nothing", "a diamond", "a state after itself", "two circles", "behind a way in", "with a way out"],
)
def test_a_circle_is_found_where_there_is_one(following: list[list[int]], found: tuple[int, ...]) -> None:
    """The first state that lies on a circle, and the states through which it comes back; nothing where none does."""
    assert circle(following) == found
