"""Points of the past: up to an input, by its position or its event's id, or up to a moment."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

from choreo.clock import iso, to_datetime
from choreo.errors import ConfigError, DecodeError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, event_id_in, header_in
from choreo.log.interface import Log
from choreo.log.up_to import read_whole
from choreo.record import Position, Record
from choreo.replay.pages import Journal, last_reading
from choreo.runtime.journal import Inputs, Page
from choreo.runtime.plan import Plan
from choreo.told import Told, untold


class Moment(NamedTuple):
    """All that a service did until then (microseconds), that moment included, by what its handlers were told."""

    now: int

    def __str__(self) -> str:
        return iso(to_datetime(self.now), "milliseconds")


Point = Moment | Position
"""A position is that of an input: up to it, itself included, in its task alone."""


def checkpoint_before(journal: Journal, point: Point) -> int | None:
    """The last checkpoint that lies wholly before or at the point; None where it lies behind all of them."""
    if isinstance(point, Moment):
        first = journal.first(lambda page: last_reading(page) > point.now)
    else:
        first = journal.first(lambda page: _reaches(page, point))
    return None if first is None else first - 1


def position_of(plan: Plan, codec: Codec, log: Log, event_id: bytes, told: Told = untold) -> Position:
    """Where an event lies among a service's inputs. Raises ConfigError where it is none of them."""
    count = 0
    for record in chain.from_iterable(read_whole(log, plan.topics, told)):
        if event_id_of(record, codec.ids) == event_id:
            return record.position
        count += 1
    raise ConfigError(
        f"no input of {plan.service.name} has this event id",
        why=f"{count:,} records were looked at on {', '.join(plan.topics)}",
        hint="an event that the service emitted is found by its cause",
    )


def expect_input(plan: Plan, position: Position, partitions: int) -> None:
    """Raises ConfigError where a service, whose topics have so many partitions, does not read this one."""
    if position.topic not in plan.topics:
        raise ConfigError(
            f"{position.topic} is no input of {plan.service.name}",
            at=position,
            hint=f"its inputs are {', '.join(plan.topics)}",
        )
    if position.partition >= partitions:
        raise ConfigError(
            f"{position.topic} has no partition {position.partition}", at=position, hint=f"0 to {partitions - 1}"
        )


def event_id_of(record: Record, ids: Callable[[Record], Ids]) -> bytes | None:
    """The id of its event; None for a record whose ids can't be read: it is not the one that is looked for. `ids`
    reads those of one without the packed header.
    """
    try:
        packed = header_in(record.headers)
        return ids(record).event_id if packed is None else event_id_in(packed)
    except DecodeError:
        return None


def _runs(page: Page, topic: str) -> Iterator[Inputs]:
    return (step for step in page.steps if isinstance(step, Inputs) and page.topics[step.topic] == topic)


def _reaches(page: Page, point: Position) -> bool | None:
    """Whether the input was taken in this page or before; None where the page says nothing of its topic."""
    last = max((run.last for run in _runs(page, point.topic)), default=None)
    return None if last is None else last >= point.offset
