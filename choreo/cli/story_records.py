"""From the records of a story to what the pure part needs: what each says, who took it, what is parked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from choreo.cli.project import Project
from choreo.cli.service_view import ServiceView
from choreo.cli.story_code import RELAYED, Code
from choreo.cli.story_search import LETTERS, LIFECYCLE, Search
from choreo.cli.time_span import TimeSpan
from choreo.clock import NEVER, to_micros
from choreo.errors import ChoreoError, DecodeError
from choreo.events.envelope import Ids
from choreo.log.up_to import read_up_to
from choreo.record import Position, Record, TopicPartition
from choreo.replay.handled import Note, Rung, Sought, Taken, notes
from choreo.replay.story import Found, Held, Letter, Told
from choreo.resilience.dead_letter import read as read_letter
from choreo.runtime.journal import read_pages
from choreo.runtime.parking import FLYING, PARKED, load
from choreo.telemetry.privacy import MASK, without, without_inputs

COMMANDS = ".commands"
CLOCKS_APART_US = 60_000_000
"""So far the clocks of two machines may go apart."""


@dataclass
class Reading:
    """What the records of a story come to, one after the other; copies of an event are one."""

    code: Code
    correlation: bytes
    bodies: bool = False
    found: Found = field(default_factory=Found)
    by_id: dict[bytes, Told] = field(default_factory=dict)
    ids: dict[bytes, Ids] = field(default_factory=dict)
    keys: dict[Position, bytes] = field(default_factory=dict)
    """Under which key each record lies: a re-keyed copy has another."""
    hidden: list[str] = field(default_factory=list)
    """Personal texts that the story's events hold: nothing that is shown may have them."""

    def take(self, records: Iterable[Record]) -> list[Told]:
        """The events among these records that had not been met; dead letters are kept beside them."""
        new = []
        for record in records:
            if record.topic.endswith(LETTERS):
                self._bury(record)
                continue
            self.keys[record.position] = record.key or b""
            if (told := self._told(record)) is not None:
                new.append(told.event_id)
        self.found.told = list(self.by_id.values())
        return [self.by_id[one] for one in dict.fromkeys(new)]

    def settle(self) -> None:
        """Name the authors, once all that one cause had emitted is known."""
        siblings: dict[bytes | None, int] = {}
        for told in self.by_id.values():
            siblings[told.cause] = siblings.get(told.cause, 0) + 1
        for event_id, told in self.by_id.items():
            if told.author is None:
                author = self.code.origins.of(self.ids[event_id], siblings[told.cause])
                self.by_id[event_id] = replace(told, author=author)
        self.found.told = list(self.by_id.values())

    def sagas(self) -> set[tuple[str, bytes | None]]:
        """The sagas of the story: the topic of their changes, and the key."""
        changes = (told for told in self.by_id.values() if told.kind == "change")
        return {(f"choreo.saga.{told.saga}{LIFECYCLE}", told.key) for told in changes}

    def shown(self, text: str) -> str:
        """A text as it may be shown."""
        return without(without_inputs(text), self.hidden)

    def key(self, told: Told) -> str:
        """The key of an event as it may be shown."""
        text = (told.key or b"").decode("utf-8", "backslashreplace")
        return MASK if text in self.hidden else text

    def _told(self, record: Record) -> Told | None:
        try:
            ids = self.code.codec.ids(record)
            if (known := self.by_id.get(ids.event_id)) is not None:
                moves = ids.again is not None and ids.again.only_moves
                if record.position not in known.positions and not moves:
                    places = tuple(sorted((*known.positions, record.position), key=_internal))
                    self.by_id[ids.event_id] = replace(known, positions=places)
                return None
            name = self.code.name(record)
            body, hidden = self.code.body(record)
        except ChoreoError:
            return self._unreadable(record)
        self.hidden += hidden
        told = Told(
            kind="event",
            event_id=ids.event_id,
            name=name,
            key=record.key,
            at=ids.at,
            cause=ids.causation_id,
            author=None,
            positions=(record.position,),
            attempt=ids.attempt,
            saga=ids.saga.name if ids.saga else "",
            body=body if self.bodies else None,
            own=ids.correlation_id.encode() == self.correlation,
        )
        self.by_id[ids.event_id] = _of_a_saga(told, record, body)
        self.ids[ids.event_id] = ids
        return self.by_id[ids.event_id]

    def _unreadable(self, record: Record) -> Told | None:
        """A record that is no event that can be read here is of the story all the same."""
        try:
            ids = self.code.codec.ids(record)
        except DecodeError:
            return None
        self.ids[ids.event_id] = ids
        told = Told("event", ids.event_id, "?", record.key, ids.at, ids.causation_id, None, (record.position,))
        self.by_id.setdefault(ids.event_id, told)
        return told

    def _bury(self, record: Record) -> None:
        try:
            ids, letter = self.code.codec.ids(record), read_letter(record)
        except DecodeError:
            return
        self.found.letters.append(
            Letter(ids.event_id, letter.service, letter.handler, letter.door, letter.error, letter.attempts, letter.at)
        )


def _internal(position: Position) -> tuple[bool, Position]:
    """The event's own topic first, then those into which relays put it."""
    return RELAYED in position.topic, position


def _of_a_saga(told: Told, record: Record, body: dict[str, Any]) -> Told:
    if record.topic.endswith(LIFECYCLE) and "change" in body:
        started, says = to_micros(body["started_at"]), tuple(map(str, body["change"]))
        name, status = str(body["saga"]), str(body["status"])
        return replace(told, kind="change", saga=name, says=says, status=status, started_at=started)
    if record.topic.endswith(COMMANDS) and "kind" in body:
        says = (f"{body['kind']} {body.get('step') or ''}".strip(), f"by {body['who']}: {body['why']}")
        return replace(told, kind="order", says=says)
    return told


def read_story(project: Project, code: Code, search: Search, correlation: str, reading: Reading) -> None:
    """Read all of a story into `reading`, from whatever `search` finds. Raises LogUnavailableError."""
    reading.take(search.records(correlation))
    complete(project, code, search, reading)


def complete(project: Project, code: Code, search: Search, reading: Reading) -> None:
    """What belongs to the story beside its own records: its sagas' other changes and their causes, journals, parked."""
    since = min((told.at for told in reading.by_id.values()), default=0) - CLOCKS_APART_US
    lives = {(told.saga, told.key, told.started_at) for told in reading.by_id.values() if told.kind == "change"}
    for saga, key in {life[:2] for life in lives}:
        scope = f"choreo.saga.{saga}"
        for told in reading.take(search.of_key([f"{scope}{LIFECYCLE}", f"{scope}{COMMANDS}"], key or b"", since)):
            if told.kind == "change" and (told.saga, told.key, told.started_at) not in lives:
                del reading.by_id[told.event_id]  # a later saga with the same key
    reading.found.notes = list(_notes(project, code, reading, since))
    timers = {note.event_id for note in reading.found.notes if isinstance(note, Rung)}
    elsewhere = frozenset(_missing(reading) - timers)
    if elsewhere and reading.take(search.of_ids(elsewhere, since)):
        reading.found.notes = list(_notes(project, code, reading, since))
    reading.settle()
    reading.found.held = list(_held(project, reading))
    reading.found.letters = [replace(one, error=reading.shown(one.error)) for one in reading.found.letters]


def _missing(reading: Reading) -> set[bytes]:
    """Causes that are not among the events: timers, orders, events of other stories."""
    return {told.cause for told in reading.by_id.values() if told.cause is not None and told.cause not in reading.by_id}


def _notes(project: Project, code: Code, reading: Reading, since: int) -> Iterator[Note]:
    """What the journals say: of each service those of the tasks that the records lie in, from the story's begin on."""
    log, known = project.past, project.past.topics()
    offsets: dict[TopicPartition, list[int]] = {}
    for position in positions(reading):
        offsets.setdefault(TopicPartition(position.topic, position.partition), []).append(position.offset)
    sought = Sought({place: sorted(found) for place, found in offsets.items()}, reading.keys, _missing(reading))
    with project.progress.of("journals", "records") as told_progress:
        done = 0
        for service in code.on_log:
            journal = known[f"choreo.{service}.journal"]
            tasks = {place.partition for place in offsets if place.partition < journal.partitions}
            for task in sorted(tasks):
                pages = read_pages(_since(log, TopicPartition(journal.name, task), since))
                yield from notes(service, task, pages, sought)
                done += 1
                told_progress(done)


def _since(log: Any, place: TopicPartition, since: int) -> Iterator[Record]:
    starts, ends = TimeSpan(max(since, 0)).bounds(log, [place])
    for records, _ in read_up_to(log, starts, ends):
        yield from records


def _held(project: Project, reading: Reading) -> Iterator[Held]:
    """What of the story is parked now, by the stores of the services that took it."""
    by_service: dict[str, dict[bytes, set[bytes]]] = {}
    by_place = {place: told for told in reading.by_id.values() for place in told.positions}
    for note in reading.found.notes:
        if isinstance(note, Taken) and note.position in by_place:
            told = by_place[note.position]
            by_service.setdefault(note.service, {}).setdefault(reading.keys[note.position], set()).add(told.event_id)
    for service, keys in by_service.items():
        with ServiceView(project, service) as seen:
            for key, events in keys.items():
                yield from _line(seen, service, key, events, reading)


def _line(seen: ServiceView, service: str, key: bytes, events: set[bytes], reading: Reading) -> Iterator[Held]:
    task = seen.task_of(key)
    for _, data in task.scan(PARKED.prefix((key,))) if task is not None else ():
        waiting = load(data)
        if waiting.record is None:
            continue
        try:
            event_id = reading.code.codec.ids(waiting.record).event_id
        except DecodeError:
            continue
        if event_id in events:
            until = waiting.until if waiting.until not in (NEVER, FLYING, 0) else None
            yield Held(event_id, service, waiting.attempts, reading.shown(waiting.error), until)


def positions(reading: Reading) -> Sequence[Position]:
    """Where the story's records lie."""
    return [place for told in reading.by_id.values() for place in told.positions]
