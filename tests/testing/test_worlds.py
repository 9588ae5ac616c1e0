"""Sagas in a story, and worlds that come apart: what a test is told."""

from pathlib import Path

import pytest

from choreo import Service
from choreo.clock import to_micros
from choreo.errors import ConfigError
from choreo.testing import Scenario
from choreo.testing.cast import cast_of
from choreo.testing.performance import Performance, compare
from choreo.testing.rehearsal import Rehearsal
from choreo.testing.scenario import START
from tests.testing.counters import (
    Conveyor,
    Counted,
    Full,
    KeepTally,
    NeedsSecret,
    Put,
    Secrets,
    boxes,
    carriers,
)
from tests.testing.test_scenario import complaint

FILLING = """
{saga: filling, version: 1, namespace: boxes, starts_on: Put, correlate_by: box, steps: [
  {name: fill, completes_on: Full, within: 1d, compensate: none}]}
"""


@pytest.fixture
def filling(tmp_path: Path) -> Path:
    """A saga that waits for a box to be full."""
    path = tmp_path / "filling.yaml"
    path.write_text(FILLING, encoding="utf-8")
    return path


def test_where_a_saga_stands_is_checked(filling: Path) -> None:
    """Status and awaited event must both be right; else the saga's own explanation is shown."""
    story = Scenario(boxes, sagas=[filling]).given(Put(box="a"), Put(box="b", pieces=3))
    story.then_saga("filling", "a", "waiting", waits_for=Full).then_saga("filling", "b", "completed")
    assert story.sagas("filling") == {"a": "waiting", "b": "completed"}
    told = complaint(lambda: story.then_saga("filling", "a", "completed"))
    assert told.startswith("saga filling a is waiting, not completed\n  waiting: fill waits for Full\n")
    told = complaint(lambda: story.then_saga("filling", "a", "waiting", waits_for=Counted))
    assert told.startswith("saga filling a does not wait for boxes.Counted\n  it waits for boxes.Full\n")
    told = complaint(lambda: story.then_saga("filling", "c", "waiting"))
    assert told.startswith("there is no saga filling c\n  there are ")
    assert "saga.filling" in told


def test_what_is_told_of_sagas_is_no_business_event(filling: Path) -> None:
    """`then` leaves the lifecycle of sagas aside."""
    Scenario(boxes, sagas=[filling]).when(Put(box="a")).then(Counted(box="a", total=1))


def test_a_saga_may_speak_of_events_of_services_that_do_not_play(filling: Path) -> None:
    """A spec is read with every event that was imported: the test says what the missing services would."""
    story = Scenario(carriers, sagas=[filling]).using(conveyor=Conveyor()).given(Put(box="a"))
    story.when(Full(box="a")).then_saga("filling", "a", "completed")


def test_a_store_that_depends_on_the_partitions_is_a_failure() -> None:
    """Worlds that emit the same but keep something else come apart at that step."""
    story = Scenario(Service("tally", handlers=[KeepTally]))
    told = complaint(lambda: story.when(*(Put(box=box) for box in "abcdefgh")))
    assert told.startswith("the number of partitions changes what is kept\n  tally: store tally is {'a': 1, 'b': 2,")


def test_sagas_that_stand_elsewhere_are_a_failure(filling: Path) -> None:
    """Worlds in which one saga went another way come apart, by name and key."""
    cast = cast_of([boxes], [filling], {}, {})
    first, other = (Performance(Rehearsal(cast, count, to_micros(START))) for count in (1, 5))
    try:
        first.rehearsal.tell(Put(box="a"), "when")
        first.rehearsal.tell(Full(box="a"), "when")
        other.rehearsal.tell(Put(box="a"), "when")
        told = complaint(lambda: compare(first, first.take_news(), other))
        assert "  saga filling a is completed with 1 partition, waiting with 5 partitions" in told
    finally:
        first.rehearsal.close()
        other.rehearsal.close()


def test_settings_are_needed_only_by_what_is_not_replaced() -> None:
    """A service whose providers are all replaced starts without its settings; else the missing ones are named."""
    service = Service(
        "safe", handlers=[NeedsSecret], settings=Secrets, provide={"conveyor": lambda settings: Conveyor()}
    )
    Scenario(service).using(conveyor=Conveyor()).when(Full(box="a"))
    with pytest.raises(ConfigError, match=r"the settings of safe lack token\n.*\n.*using\(conveyor=\.\.\.\)"):
        Scenario(service).when(Full(box="a"))
