"""Emitting again: once, whoever interrupts it, up to an end that is fixed when it begins."""

from collections.abc import Callable
from uuid import UUID

import pytest

from choreo.errors import ConfigError, FencedError
from choreo.events.codec import Codec
from choreo.events.envelope import Again, Ids
from choreo.log.interface import TopicSpec
from choreo.log.partitioner import partition_of
from choreo.record import Record, TopicPartition
from choreo.replay.again import BATCH_RECORDS, Emission, Selection, Span, Window, span_of
from choreo.told import Told, untold
from tests.replay.kitchen import BY, Hurry, Kitchen

OPERATION = UUID(int=7)
MANY = BATCH_RECORDS * 2 + 300


class Copying:
    """One emission of a kitchen's orders, begun once and gone on with as often as it is run."""

    def __init__(self, kitchen: Kitchen, to: str | None = None, limit: int | None = None) -> None:
        self.kitchen, self.to, self.limit = kitchen, to, limit
        self.span = span_of(kitchen.log, ["kitchen.orders"], Window())
        kitchen.operations().begin(OPERATION, "emit", ["kitchen.orders"], BY, {"span": self.span.dump()})
        self.paced: list[int] = []

    def run(
        self,
        wanted: Callable[[Record, Ids], bool] = lambda record, ids: True,
        told: Told = untold,
    ) -> int:
        kitchen = self.kitchen
        ids = Codec(kitchen.registry, (), kitchen.log.cluster_id()).ids
        selection = Selection(kitchen.log, ids, wanted, self.limit)
        emission = Emission(kitchen.log, kitchen.operations(), OPERATION, self.to, self.paced.append)
        began = kitchen.operations().told(str(OPERATION)).began
        return emission.run(selection, Span.load(began.asked["span"]), told)


@pytest.fixture
def kitchen() -> Kitchen:
    """A morning's orders of one table."""
    kitchen = Kitchen(Hurry, partitions=1)
    kitchen.order(*[f"d{number}" for number in range(MANY)])
    return kitchen


def interrupted(done: int, total: int) -> None:
    """Somebody presses Ctrl-C after the first batch."""
    raise KeyboardInterrupt


def test_an_interrupted_emission_goes_on_without_duplicates(kitchen: Kitchen) -> None:
    """Killed after a batch and resumed, every record was put on the log again once, in order, marked."""
    emission = Copying(kitchen)
    with pytest.raises(KeyboardInterrupt):
        emission.run(told=interrupted)
    with pytest.raises(KeyboardInterrupt):
        emission.run(told=interrupted)
    assert emission.run() == MANY
    assert emission.run() == MANY
    records = kitchen.records("kitchen.orders")
    assert [one.value for one in records[MANY:]] == [one.value for one in records[:MANY]]
    ids = kitchen.ids("kitchen.orders")
    assert ids[MANY:] == [one._replace(again=Again(OPERATION.bytes)) for one in ids[:MANY]]
    assert sum(emission.paced) == MANY


def test_of_two_that_go_on_with_one_emission_the_later_takes_over(kitchen: Kitchen) -> None:
    """The earlier ends with an error; nothing is there twice."""
    emission = Copying(kitchen)

    def other(done: int, total: int) -> None:
        assert emission.run() == MANY

    with pytest.raises(FencedError, match="somebody else goes on"):
        emission.run(told=other)
    assert len(kitchen.records("kitchen.orders")) == 2 * MANY


def test_what_is_selected_goes_in_up_to_the_limit_also_after_an_interruption(kitchen: Kitchen) -> None:
    """The limit counts what was put in before the interruption, too; the rest is not read."""
    emission = Copying(kitchen, limit=BATCH_RECORDS)

    def is_even(record: Record, ids: Ids) -> bool:
        return record.offset % 2 == 0

    with pytest.raises(KeyboardInterrupt):
        emission.run(is_even, interrupted)
    assert emission.run(is_even) == BATCH_RECORDS
    assert emission.run(is_even) == BATCH_RECORDS
    records = kitchen.records("kitchen.orders")
    assert [one.value for one in records[MANY:]] == [one.value for one in records[: 2 * BATCH_RECORDS : 2]]


def test_a_limit_counts_over_all_that_is_read(kitchen: Kitchen) -> None:
    """It may be reached in the middle of a later batch: so many and no more."""
    assert Copying(kitchen, limit=BATCH_RECORDS + 10).run() == BATCH_RECORDS + 10
    assert len(kitchen.records("kitchen.orders")) == MANY + BATCH_RECORDS + 10


def test_to_another_topic_the_key_chooses_the_partition(kitchen: Kitchen) -> None:
    """It may have another number of them; the source is as it was."""
    kitchen.log.create_topics([TopicSpec("elsewhere", 3)])
    assert Copying(kitchen, to="elsewhere").run() == MANY
    before, copies = kitchen.records("kitchen.orders"), kitchen.records("elsewhere")
    assert {one.partition for one in copies} == {partition_of(b"t1", 3)}
    assert [one.value for one in copies] == [one.value for one in before]
    assert len(before) == MANY


def test_a_window_bounds_what_is_read(kitchen: Kitchen) -> None:
    """By offset and by when records were written; one that ends before it begins is empty."""
    place = TopicPartition("kitchen.orders", 0)
    times = [one.timestamp_ms for one in kitchen.records("kitchen.orders")]
    window = Window(offset=5, until_ms=times[-1] + 1)
    assert span_of(kitchen.log, ["kitchen.orders"], window) == Span({place: 5}, {place: MANY})
    assert span_of(kitchen.log, ["kitchen.orders"], Window(since_ms=times[-1] + 1)).records == 0
    assert span_of(kitchen.log, ["kitchen.orders"], Window(offset=9, until_ms=times[0])).records == 0


def test_an_operation_is_found_by_the_beginning_of_its_id(kitchen: Kitchen) -> None:
    """One that there is not, or that several begin so, is said; what has ended is known to have."""
    operations = kitchen.operations()
    for number in (1, 2):
        operations.begin(UUID(int=number), "emit", ["kitchen.orders"], BY, {})
    operations.end(UUID(int=2), {"emitted": 0})
    assert operations.told(str(UUID(int=2))).ended
    assert not operations.told(str(UUID(int=1))).ended
    with pytest.raises(ConfigError, match="is the beginning of 2 operations"):
        operations.told("0000")
    with pytest.raises(ConfigError, match="there is no operation f"):
        operations.told("f")
