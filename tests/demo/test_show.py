"""What a run shows: durations as people say them, the summary for people and for programs, what to try next."""

import json
import re
from io import StringIO

import pytest

from choreo.demo.show import next_commands, print_json, print_summary, progress
from choreo.demo.summary import Glimpse, Summary, percentile, readable

SUMMARY = Summary(
    orders=1000,
    statuses={"completed": 970, "cancelled": 20, "waiting": 10},
    compensations=37,
    overdue=81,
    refused=1,
    handled=50_000,
    wall_s=12.5,
    time="virtual time",
    spanned_s=700_000.0,
    saga_p50_s=698_400.0,
    saga_p99_s=3_000_000.0,
    examples={"completed": "o1", "cancelled": "o2", "waiting": "o3"},
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.35, "350 ms"),
        (12.5, "12.5 s"),
        (125, "2 min 5 s"),
        (12_000, "3 h 20 min"),
        (878_400, "10 d 4 h"),
        (200_000_000, "2,314 d 19 h"),
    ],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    """A duration is said in the two units that matter."""
    assert readable(seconds) == text


def test_percentiles_are_values_that_occurred() -> None:
    """The nearest rank: half of the values lie at or below p50, and there is none of nothing."""
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.99) == 4.0
    assert percentile([7.0], 0.0) == 7.0
    assert percentile([], 0.5) is None


def test_the_summary_says_which_time_it_means() -> None:
    """The summary shows orders by outcome, undone steps, pace, saga times and their time, and three commands."""
    shown = StringIO()
    print_summary(SUMMARY, next_commands(SUMMARY, "embedded:here"), shown)
    text = shown.getvalue()
    for part in (
        "1,000 orders",
        "970  97.0%",
        "steps undone          37",
        "81 orders overdue",
        "50,000 in 12.5 s of wall time: 4,000 events/s",
        "p50 8 d 2 h, p99 34 d 17 h in virtual time (the run spans 8 d 2 h of it)",
        "choreo sagas show o2 --log embedded:here",
        "choreo sagas why o3 --log embedded:here",
        "choreo replay verify --log embedded:here",
    ):
        assert part in text
    assert "compensated" not in text, "an outcome that did not occur is left out"


def test_json_is_one_object_with_every_number() -> None:
    """`--json` prints one object, all statuses in it, those of no order as 0."""
    shown = StringIO()
    print_json(SUMMARY, shown)
    found = json.loads(shown.getvalue())
    assert found["statuses"] == {
        "completed": 970,
        "compensated": 0,
        "cancelled": 20,
        "waiting": 10,
        "compensating": 0,
        "stuck": 0,
    }
    assert (found["orders"], found["events_per_s"], found["time"]) == (1000, 4000, "virtual time")


def test_progress_shows_pace_and_time_left() -> None:
    """Orders a second, and how long the rest takes at that pace."""
    stream, seconds = StringIO(), 100.0
    with progress(stream, force_terminal=True, now=lambda: seconds) as watch:
        for _ in range(3):
            placed = round(seconds - 100) * 10
            watch(Glimpse(orders=200, now=1_519_862_400_000_000, handled=900, statuses={"completed": placed}))
            seconds += 5.0
    assert re.search(r"10/s, 1\d\.\d s left", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()))


def test_progress_shows_how_far_a_run_is() -> None:
    """The live line counts the orders placed, says the run's date and the sagas by status."""
    stream = StringIO()
    with progress(stream, force_terminal=True) as watch:
        watch(Glimpse(orders=200, now=1_519_862_400_000_000, handled=900, statuses={"completed": 40, "waiting": 10}))
    line = stream.getvalue()
    assert "50/200" in line
    assert "2018-03-01" in line
    assert "40 completed · 10 waiting" in line
