"""What operators did, written to the topic of operations and read back from there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal, NamedTuple
from uuid import UUID

from choreo.clock import to_datetime, to_micros
from choreo.errors import ConfigError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, uuid8
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.log.up_to import read_whole
from choreo.record import NewRecord, Position, TopicPartition
from choreo.replay.scratch import Scratch
from choreo.resilience.operations import (
    CLASSES,
    SPEC,
    TOPIC,
    LetterPlace,
    LettersSettled,
    Operation,
    OperationBegan,
    OperationEnded,
    Outcome,
    RecordsEmitted,
)


class Standing(NamedTuple):
    """What has become of a dead letter: by which operation, who did it, why and when (microseconds)."""

    outcome: Outcome | Literal["open"] = "open"
    operation: UUID | None = None
    who: str = ""
    why: str = ""
    at: int = 0


OPEN = Standing()


class Told(NamedTuple):
    """How far one operation is known to have come."""

    began: OperationBegan
    last: RecordsEmitted | None = None
    letters: int = 0
    """How many dead letters it has settled."""
    ended: OperationEnded | None = None


class Operations:
    """The operations of one log. `now` answers the time in microseconds; `past` is what is read, None: the log."""

    def __init__(self, log: Log, registry: Registry, now: Callable[[], int], past: Log | None = None) -> None:
        self._log, self._now, self._past = log, now, past or log
        self._codec = Codec(registry, CLASSES, log.cluster_id())

    def begin(
        self, operation: UUID, kind: str, subjects: Sequence[str], by: tuple[str, str], asked: Mapping[str, str]
    ) -> None:
        """Write down that an operation begins; `by` is who, and why. Makes the topic where there is none yet."""
        if TOPIC not in self._log.topics():
            self._log.create_topics([SPEC])
        who, why = by
        at = to_datetime(self._now())
        began = OperationBegan(
            operation=operation, kind=kind, subjects=tuple(subjects), who=who, why=why, asked=dict(asked), at=at
        )
        self._log.append([self.record(began)])

    def settled(self, operation: UUID, outcome: Outcome, by: tuple[str, str], places: Sequence[Position]) -> NewRecord:
        """The record that says what has become of these dead letters."""
        letters = tuple(LetterPlace(topic=topic, partition=number, offset=offset) for topic, number, offset in places)
        at, (who, why) = to_datetime(self._now()), by
        return self.record(
            LettersSettled(operation=operation, outcome=outcome, who=who, why=why, letters=letters, at=at)
        )

    def emitted(self, operation: UUID, reached: Mapping[TopicPartition, int], read: int, emitted: int) -> NewRecord:
        """The record that says how far an emission has come."""
        offsets = {str(place): offset for place, offset in reached.items()}
        at = to_datetime(self._now())
        return self.record(RecordsEmitted(operation=operation, reached=offsets, read=read, emitted=emitted, at=at))

    def end(self, operation: UUID, counts: Mapping[str, int]) -> None:
        """Write down that an operation has done all that was asked for."""
        at = to_datetime(self._now())
        self._log.append([self.record(OperationEnded(operation=operation, counts=dict(counts), at=at))])

    def record(self, event: Operation) -> NewRecord:
        """An event of an operation as a record; the first of them has the operation's id."""
        own, story = event.operation.bytes, str(event.operation)
        if isinstance(event, OperationBegan):
            return self._codec.encode(event, Ids(own, story, at=self._now()))
        event_id = uuid8(own, type(event).__name__.encode(), event.model_dump_json().encode())
        return self._codec.encode(event, Ids(event_id, story, own, at=self._now()))

    def events(self) -> Iterator[Operation]:
        """All that was written down so far, of one operation in order; what only a newer release knows is left out."""
        for record in chain.from_iterable(read_whole(self._past, [TOPIC])):
            event = self._codec.event(record) if self._codec.event_class(record) else None
            if isinstance(event, Operation):
                yield event

    def told(self, wanted: str) -> Told:
        """One operation, by its id or the beginning of it. Raises ConfigError where there is none, or several."""
        found = self.all(wanted)
        if len(found) != 1:
            named = ", ".join(f"{one.began.operation} ({one.began.kind})" for one in found[:5])
            what = (
                f"{wanted} is the beginning of {len(found)} operations" if found else f"there is no operation {wanted}"
            )
            raise ConfigError(what, at=TOPIC, why=named, hint="choreo operations list")
        return found[0]

    def all(self, begins: str = "") -> list[Told]:
        """Every operation whose id begins so, in the order in which they began, and how far it has come."""
        found: dict[UUID, Told] = {}
        for event in self.events():
            if isinstance(event, OperationBegan):
                if str(event.operation).startswith(begins):
                    found[event.operation] = Told(event)
            elif (so_far := found.get(event.operation)) is not None:
                found[event.operation] = _told(so_far, event)
        return list(found.values())


def _told(so_far: Told, event: Operation) -> Told:
    if isinstance(event, RecordsEmitted):
        return so_far._replace(last=event)
    if isinstance(event, LettersSettled):
        return so_far._replace(letters=so_far.letters + len(event.letters))
    return so_far._replace(ended=event) if isinstance(event, OperationEnded) else so_far


class Settled:
    """What has become of dead letters, by the place of each."""

    def __init__(self, operations: Operations, scratch: Scratch) -> None:
        self._scratch = scratch
        self._told: list[Standing] = []
        for event in operations.events():
            if isinstance(event, LettersSettled):
                standing = Standing(event.outcome, event.operation, event.who, event.why, to_micros(event.at))
                if not self._told or self._told[-1][:4] != standing[:4]:
                    self._told.append(standing)
                for one in event.letters:
                    place = Position(one.topic, one.partition, one.offset)
                    scratch.put(_key(place), str(len(self._told) - 1).encode())

    def of(self, place: Position) -> Standing:
        """What has become of the letter that lies there."""
        found = self._scratch.get(_key(place))
        return OPEN if found is None else self._told[int(found)]


def _key(place: Position) -> bytes:
    return b"settled " + str(place).encode()
