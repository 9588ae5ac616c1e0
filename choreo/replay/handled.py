"""What the journals of services say of some records and timers: who took them and when, with which recorded calls."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from choreo.record import Position, TopicPartition
from choreo.runtime.calls import Recorded
from choreo.runtime.intake import due_id
from choreo.runtime.journal import Answered, Fired, Inputs, Page, Reading
from choreo.runtime.parking import RETRY


@dataclass
class Taken:
    """A task took this record when its clock said `now` (microseconds); `calls` are those recorded for it, in order."""

    service: str
    position: Position
    now: int
    calls: list[Recorded] = field(default_factory=list)


class Woken(NamedTuple):
    """What was parked for this key was tried again."""

    service: str
    key: bytes
    now: int


@dataclass
class Rung:
    """A timer fired: its key bytes, when it was due, and what the service's clock said. Times in microseconds."""

    service: str
    timer: bytes
    due: int
    now: int
    event_id: bytes
    calls: list[Recorded] = field(default_factory=list)


Note = Taken | Woken | Rung


@dataclass(frozen=True)
class Sought:
    """What is looked for: offsets in order by partition, with the keys of their records, and ids that no record has."""

    offsets: Mapping[TopicPartition, Sequence[int]]
    keys: Mapping[Position, bytes]
    timers: Collection[bytes]


def notes(service: str, partition: int, pages: Iterable[Page], sought: Sought) -> Iterator[Note]:
    """What the pages of one task say of it; their calls are complete once all pages are read."""
    keys = set(sought.keys.values())
    last_of_key: dict[bytes, Taken | Rung] = {}
    for page in pages:
        now, calls = 0, list[Recorded]()
        for step in page.steps:
            if isinstance(step, Recorded):
                calls.append(step)
                continue
            if isinstance(step, Answered):
                if step.key in last_of_key:
                    last_of_key[step.key].calls.append(step.recorded)
                continue
            calls = []
            if isinstance(step, Reading):
                now = step.now
            elif isinstance(step, Inputs):
                place = TopicPartition(page.topics[step.topic], partition)
                for offset in _within(sought.offsets.get(place, ()), step):
                    position = Position(*place, offset)
                    # The calls behind a run are those of its last record: a call ends the run.
                    taken = Taken(service, position, now, calls if offset == step.last else [])
                    last_of_key[sought.keys[position]] = taken
                    yield taken
            elif isinstance(step, Fired):
                if step.timer.startswith(RETRY.start):
                    if (key := RETRY.decode(step.timer)) in keys:
                        yield Woken(service, key, now)
                        calls = last_of_key[key].calls if key in last_of_key else calls
                elif (event_id := due_id(service, step.timer, step.due)) in sought.timers:
                    yield Rung(service, step.timer, step.due, now, event_id, calls)


def _within(offsets: Sequence[int], run: Inputs) -> Sequence[int]:
    return offsets[bisect_left(offsets, run.first) : bisect_right(offsets, run.last)]
