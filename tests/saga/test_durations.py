"""Durations as people write them."""

import pytest

from choreo.saga.durations import format_duration, parse_duration

S = 1_000_000


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("30s", 30 * S),
        ("1m", 60 * S),
        ("1h30m", 5400 * S),
        ("2d", 172_800 * S),
        ("1.5s", 1_500_000),
        ("250ms", 250_000),
    ],
)
def test_a_number_and_a_unit(text: str, micros: int) -> None:
    """Every unit means what it says, parts add up."""
    assert parse_duration(text) == micros


def test_none_is_no_limit() -> None:
    """`none` says on purpose that there is no limit."""
    assert parse_duration("none") is None
    assert format_duration(None) == "none"


@pytest.mark.parametrize("text", ["", "30", "s", "30 s", "1h 30m", "-1s", "1e3s", "30sec", "None"])
def test_anything_else_is_refused(text: str) -> None:
    """A number without a unit is a mistake, not a guess."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("micros", [0, 1_000, 90 * S, 86_400 * S, 90_061_000_000 + 1_000])
def test_a_duration_is_read_as_it_is_written(micros: int) -> None:
    """What is shown can be written into a spec."""
    assert parse_duration(format_duration(micros)) == micros
