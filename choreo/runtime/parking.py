"""Parked inputs: what waits behind a failed one of its key, in order, durable."""

import base64
import json
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from choreo.clock import NEVER
from choreo.errors import StateError
from choreo.record import Position, Record
from choreo.resilience.dead_letter import shortened
from choreo.runtime.entries import Entries
from choreo.state.backend import Backend
from choreo.state.keys import key_codec
from choreo.state.values import ValueCodec

VERSION = 2
PARKED = key_codec("~parked", tuple[bytes, int])
FLYING = NEVER - 1
"""`until` of an input that is being handled while it stands in its line: tried again at once after a restart."""
RETRY = key_codec("@~retry", bytes)
"""How the journal names the waking of a parked key."""


class _Raw(ValueCodec):
    """What the runtime keeps: bytes already, each of a layout of its own."""

    def __init__(self) -> None:
        super().__init__("bytes", bytes, bytes)

    def load(self, data: bytes) -> bytes:
        return data


RAW: Final = _Raw()


class Waiting(NamedTuple):
    """One input that waits: a record, or a timer that was due. Attempts and kept call results belong to the head
    of a line.
    """

    record: Record | None = None
    timer: bytes = b""
    due: int = 0
    attempts: int = 0
    error: str = ""
    kept: tuple[tuple[str, bytes], ...] = ()
    until: int = 0
    """When the head of a line is tried again (microseconds); NEVER where it waits for an operator."""

    def dump(self) -> bytes:
        """Version byte 2, then a JSON list; bytes are base64 with the alphabet for URLs."""
        record = self.record
        kept = [(name.encode(), result) for name, result in self.kept]
        place = None if record is None else tuple(record)
        fields = (place, self.timer, self.due, self.attempts, self.error, kept, self.until)
        return bytes([VERSION]) + to_json(fields, bytes_mode="base64")


def load(data: bytes) -> Waiting:
    """A parked input as it was dumped, by this version or the first. Raises StateError for another version."""
    if data[0] == 1:
        return _load_first(json.loads(data[1:]))
    if data[0] != VERSION:
        raise StateError(f"a parked input of version {data[0]}, this Choreo reads {VERSION}", hint="run a newer Choreo")
    place, timer, due, attempts, error, kept, until = from_json(data[1:])
    results = tuple((_plain(name).decode(), _plain(result)) for name, result in kept)
    return Waiting(_record(place, _plain), _plain(timer), due, attempts, error, results, until)


def _load_first(fields: dict[str, Any]) -> Waiting:
    """Version 1: a JSON object, its bytes in base64 with the usual alphabet."""
    kept = tuple((name, _usual(result)) for name, result in fields["kept"])
    record = _record(fields["record"], _usual)
    return Waiting(**(fields | {"record": record, "timer": _usual(fields["timer"]), "kept": kept}))


def _record(place: list[Any] | None, read: Callable[[str], bytes]) -> Record | None:
    if place is None:
        return None
    topic, partition, offset, timestamp, key, value, headers = place
    key, value = None if key is None else read(key), None if value is None else read(value)
    return Record(topic, partition, offset, timestamp, key, value, [(name, read(v)) for name, v in headers])


_plain = base64.urlsafe_b64decode
_usual = base64.b64decode


def head_of(backend: Backend, key: bytes) -> Waiting | None:
    """The first of the line of `key` in a task's entries, for somebody who only looks; None where nothing waits."""
    for _, data in backend.scan(PARKED.prefix((key,))):
        return load(data)
    return None


class Place(NamedTuple):
    """Where in its line an input stands, and the key of its entry."""

    number: int
    entry: bytes


class Parking:
    """The lines of one task, a line a key. Writes entries; the task decides who parks and who leaves."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._lines: dict[bytes, list[Place]] = {}
        self._due: list[tuple[int, bytes]] = []
        self._until: dict[bytes, int] = {}
        for raw, data in entries.backend.scan(PARKED.start):
            key, number = PARKED.decode(raw)
            if key not in self._lines:
                until = load(data).until
                self._wake(key, 0 if until == FLYING else until)
            self._lines.setdefault(key, []).append(Place(number, raw))
        self.count = sum(map(len, self._lines.values()))

    def __contains__(self, key: bytes) -> bool:
        return key in self._lines

    def keys(self) -> list[bytes]:
        return sorted(self._lines)

    def head(self, key: bytes) -> Waiting:
        """The first of a line."""
        found: bytes = self._entries.read(self._lines[key][0].entry, RAW)
        return load(found)

    def append(self, key: bytes, waiting: Waiting) -> None:
        """Wait at the end of the line of `key`."""
        line = self._lines.setdefault(key, [])
        place = _place(key, line[-1].number + 1 if line else 0)
        line.append(place)
        self.count += 1
        self._entries.put(place.entry, waiting.dump())

    def next_due(self) -> int:
        """When the next line is to be woken (microseconds), NEVER where none is."""
        while self._due and self._until.get(self._due[0][1]) != self._due[0][0]:
            heappop(self._due)
        return self._due[0][0] if self._due else NEVER

    def until(self, key: bytes) -> int:
        """When the line of this key is to be woken (microseconds), NEVER where it is not."""
        return self._until.get(key, NEVER)

    def first_due(self) -> bytes:
        """The key of the line that is to be woken next."""
        return self._due[0][1]

    def due_before(self, moment: int) -> list[tuple[int, bytes]]:
        """Lines that are to be woken before then as (until, key), whose head has not changed since the last portion."""
        due = [(until, key) for key, until in self._until.items() if until < moment]
        return sorted(one for one in due if not self._entries.has_changed(self._lines[one[1]][0].entry))

    def line(self, key: bytes) -> list[tuple[Place, Waiting]]:
        """All that wait for this key, in their order."""
        places = self._lines.get(key, [])
        return [(place, load(self._entries.read(place.entry, RAW))) for place in places]

    def leave(self, key: bytes, place: Place) -> None:
        """One that waits leaves its line, wherever in it it stands."""
        line = self._lines[key]
        if place is line[0]:
            self.pop(key)
            return
        line.remove(place)
        self.count -= 1
        self._entries.put(place.entry, None)

    def let_fly(self, key: bytes) -> None:
        """The head of this line is being handled: it need not be woken."""
        self._until.pop(key, None)

    def hold(self, key: bytes, waiting: Waiting) -> None:
        """Put `waiting` back at the head of its line, to be woken at its `until`."""
        if key in self._lines:
            self._entries.put(self._lines[key][0].entry, waiting.dump())
        else:
            self.append(key, waiting)
        self._wake(key, waiting.until)

    def put_first(self, key: bytes, waiting: Waiting) -> None:
        """Wait in front of the line of `key`."""
        if key in self._lines:
            self._lines[key].insert(0, _place(key, self._lines[key][0].number - 1))
            self.count += 1
        self.hold(key, waiting)

    def pop(self, key: bytes) -> None:
        """The head leaves its line."""
        line = self._lines[key]
        self.count -= 1
        self._until.pop(key, None)
        self._entries.put(line.pop(0).entry, None)
        if not line:
            del self._lines[key]

    def _wake(self, key: bytes, until: int) -> None:
        if until == FLYING:
            self._until.pop(key, None)
            return
        self._until[key] = until
        heappush(self._due, (until, key))


def _place(key: bytes, number: int) -> Place:
    return Place(number, PARKED.encode((key, number)))


def tried(waiting: Waiting, attempts: int, error: Exception, kept: Mapping[str, bytes], until: int = NEVER) -> Waiting:
    """`waiting` after another failed attempt, to be tried again at `until`."""
    text = f"{type(error).__name__}: {shortened(str(error))}"
    return waiting._replace(attempts=attempts, error=text, kept=tuple(kept.items()), until=until)


def place_of(waiting: Waiting) -> Position | str:
    """What errors name."""
    return waiting.record.position if waiting.record else f"a timer due at {waiting.due}"
