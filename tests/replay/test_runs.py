"""Many judgements as one: quantiles within a percent, and bounds on what is kept."""

from random import Random

import pytest

from choreo.replay.conformance import Judgement, Lap, Misfit
from choreo.replay.runs import Runs, Spread


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 1.0])
def test_quantiles_are_right_to_within_a_percent(share: float) -> None:
    """Whatever lies between a microsecond and months."""
    random, spread = Random(7), Spread()
    values = sorted(round(10 ** random.uniform(0, 13)) for _ in range(5_000))
    for value in values:
        spread.add(value)
    true = values[max(0, -(-len(values) * share // 1).__int__() - 1)] if share < 1 else values[-1]
    assert spread.quantile(share) == pytest.approx(true, rel=0.011)
    assert (spread.longest, spread.count) == (values[-1], 5_000)


def test_nothing_and_no_time_have_quantiles() -> None:
    """A spread of nothing, and of things that took no time."""
    assert Spread().quantile(0.5) == 0
    spread = Spread()
    spread.add(0)
    assert (spread.quantile(0.5), spread.count) == (0, 1)


def test_all_misfits_are_counted_and_some_are_kept() -> None:
    """What is kept is bounded, what is counted is not."""
    runs = Runs(most_misfits=3)
    for number in range(5):
        misfits = [Misfit("late", str(number), "a", None, "late"), Misfit("slow", str(number), "a", None, "slow")]
        runs.add(Judgement(str(number), 1, "completed", ("a", "completed"), misfits))
    runs.add(Judgement("fits", 2, "completed", ("a", "completed")))
    assert (runs.count, runs.fit, dict(runs.kinds)) == (6, 1, {"late": 5, "slow": 5})
    assert [one.key for one in runs.misfits] == ["0", "0", "1"]
    assert runs.paths.most_common() == [(("a", "completed"), 6)]
    assert dict(runs.versions) == {1: 5, 2: 1}


def test_a_way_is_slow_where_its_step_took_longer_than_it_may() -> None:
    """Counted by the way that leads to the step, from wherever it is measured; not by those that lead on."""
    runs = Runs(most_misfits=0)
    for slow in (True, False, True):
        stations = [("start", 0), ("step a", 5), ("step b", 9)]
        runs.add(Judgement("k", 1, "completed", laps=[Lap("a", 5, slow)], stations=stations))
    assert +runs.slow_ways == {("start", "step a"): 2}
    assert runs.ways["step a", "step b"].count == 3
