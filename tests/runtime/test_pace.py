"""When a checkpoint is due: soon where little comes, seldom where much does."""

from choreo.clock import NEVER
from choreo.runtime.options import RunOptions
from choreo.runtime.pace import FEW, REST, Pace

DRY, INTERVAL = 1_000, 250_000
START = 1_000_000


def reason(pace: Pace, now: int, inputs: int = 1, *, more: bool = False) -> str | None:
    """Why a checkpoint is due at `now`, with so many inputs since the last."""
    return pace.due(now, inputs, 0, more=more, quiet=False, flights=False)


def after_a_checkpoint(took: int, inputs: int) -> Pace:
    """A pace whose last checkpoint of so many inputs ended at START, with one more input just then."""
    pace = Pace(RunOptions())
    pace.committed(START, took, inputs)
    assert reason(pace, START) is None
    return pace


def test_the_first_input_is_committed_when_the_input_ran_dry() -> None:
    """One input and no more: a checkpoint a millisecond later, and not before."""
    pace = Pace(RunOptions())
    assert reason(pace, START) is None
    assert reason(pace, START + DRY - 1) is None
    assert pace.next_due() == START + DRY
    assert reason(pace, START + DRY) == "dry"


def test_after_a_checkpoint_of_few_inputs_nothing_rests() -> None:
    """One saga alone is as fast as ever, however long a checkpoint takes."""
    pace = after_a_checkpoint(took=50_000, inputs=FEW)
    assert pace.next_due() == START + DRY
    assert reason(pace, START + DRY) == "dry"


def test_after_a_checkpoint_of_many_the_next_waits_in_proportion() -> None:
    """Where inputs keep coming, a worker spends one part in five on its checkpoints, not all of its time."""
    pace = after_a_checkpoint(took=20_000, inputs=FEW + 1)
    assert pace.next_due() == START + REST * 20_000
    assert reason(pace, START + REST * 20_000 - 1) is None
    assert reason(pace, START + REST * 20_000) == "dry"


def test_the_rest_is_never_longer_than_the_interval() -> None:
    """A broker that took a second over a checkpoint does not hold the next one back for four."""
    pace = after_a_checkpoint(took=1_000_000, inputs=1_000)
    assert reason(pace, START + INTERVAL - 1) is None
    assert reason(pace, START + INTERVAL) is not None


def test_a_rest_that_is_over_is_forgotten() -> None:
    """The rest is that of the last checkpoint: after one of few inputs, the next is soon again."""
    pace = after_a_checkpoint(took=20_000, inputs=1_000)
    pace.settled()
    assert pace.next_due() == NEVER
    pace.committed(START + 90_000, 20_000, 1)
    assert reason(pace, START + 90_000) is None
    assert pace.next_due() == START + 90_000 + DRY
