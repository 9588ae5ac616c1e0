"""Contrast: what other code published beside what the log has, input by input and story by story.

An event has the same id on both sides where the same handler emitted it as the so-manieth upon the same input. Where
it is not equal, all that both sides have upon that input is paired anew, by type and order: an event that came to be
the second of its handler is no difference. Everything goes through scratch stores: a log of any length takes no memory.
"""

import json
import marshal
from collections.abc import Collection, Iterator
from itertools import groupby
from typing import Any, Literal, NamedTuple

from choreo.errors import DecodeError, UnknownSchemaError
from choreo.events.bodies import Bodies
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, event_id_in, header_in, unpack
from choreo.log.interface import Log
from choreo.record import NewRecord, Record
from choreo.replay.deviations import Deviation, Side
from choreo.replay.emissions import BATCH, FOUND, LETTERS, Emissions, Unlike, cause_of
from choreo.replay.likeness import covers
from choreo.replay.origin import Author, author_of
from choreo.resilience.dead_letter import HEADER as DEAD_LETTER
from choreo.service.service import Service
from choreo.state.backend import Backend, Backends
from choreo.told import Told, untold

IDS_OF_EVENTS = ("causation_id", "correlation_id", "request_id", "attempt", "at", "cancelled", "saga", "key_id")
"""What goes with an event and is compared; its own id says only where among the others it stands."""


class Served(NamedTuple):
    """What the log's side is told apart by: the code that ran live, as the project has it."""

    handlers: tuple[str, ...]
    emitted: frozenset[str]
    """Full names."""
    topics: tuple[str, ...]


def served(service: Service) -> Served:
    """What a service is known by on the log."""
    events = [event.contract for event in service.emitted]
    topics = dict.fromkeys(contract.topic for contract in events if contract.topic)
    names = frozenset(contract.full_name for contract in events)
    return Served(tuple(signature.name for signature in service.signatures), names, tuple(topics))


class Contrast(Emissions):
    """Both sides of one service. `live` is the code that ran."""

    def __init__(
        self, service: Service, codec: Codec, scratch: Backends, log: Log, live: Served, bodies: Bodies
    ) -> None:
        super().__init__(service, codec, scratch, log)
        self._bodies = bodies
        self._handlers = list(dict.fromkeys([*self._handlers, *live.handlers]))
        self._topics |= dict.fromkeys(live.topics)
        self._names = live.emitted | {event.contract.full_name for event in service.emitted}
        self._name_of: dict[bytes, bool] = {}
        self._room: Backend = self._scratch
        self._noted: dict[bytes, bytes | None] = {}
        """What is not the same on both sides, and how much that is so far."""
        self._count = 0

    def unlike(self, room: Backend, told: Told = untold) -> int:
        """Put what is not the same on both sides into `room`, by its cause; answers how much that is."""
        self._room = room
        for _ in self.compare(told):
            raise AssertionError("what differs goes to the room")
        room.write(self._noted)
        return self._count

    def deviations(self, room: Backend) -> Iterator[tuple[bytes, Deviation]]:
        """What differs, cause by cause, each with the id of its cause."""
        for upon, group in groupby(room.scan(), lambda entry: entry[0][:16]):
            lives, news = [], []
            for _, packed in group:
                event_id, live, new = marshal.loads(packed)
                lives += [(event_id, Side(*live))] if live else []
                news += [(event_id, Side(*new))] if new else []
            for live, new in self._pairs(lives, news):
                one = self._deviation(upon, live, new)
                if one is not None:
                    yield upon, one

    def emitter(self, cause_id: bytes, event_id: bytes) -> str | None:
        """Which handler emitted it."""
        candidates = [Author(self._service.name, handler) for handler in self._handlers]
        author = author_of(event_id, cause_id, candidates)
        return None if author is None else author.handler

    def name(self, side: Side) -> str:
        """The full name of an event, as its schema has it."""
        try:
            return self._bodies.name(Record(side.topic, -1, -1, 0, side.key, side.value, side.headers))
        except (DecodeError, UnknownSchemaError):
            return f"an event on {side.topic}"

    def _kept(self, name: bytes, where: bytes, record: NewRecord) -> bytes:
        topic, key, value, headers, _ = record
        return marshal.dumps((topic, key, value, tuple(headers)))

    def _compared(self, record: Record) -> None:
        key = self._key(record.topic, record.key, record.value, record.headers)
        kept = self._left(key)
        if kept == FOUND:
            return
        live = _packed(record)
        new: Any = None if kept is None else marshal.loads(kept)
        if kept is not None:
            self._batch[key] = FOUND
        same = not self._own(record) if new is None else _bare(live) == _bare(new)
        if not same:
            self._note(key[:16], live, new)

    def _missing(self, gone: Collection[str]) -> Iterator[Unlike]:
        for key, published in self._scratch.scan():
            kept = FOUND if published == FOUND else self._left(key) or FOUND
            if kept != FOUND and (new := marshal.loads(kept))[0] not in gone:
                self._note(key[:16], None, new)
        return iter(())

    def _note(self, event_id: bytes, live: Any, new: Any) -> None:
        upon = _upon(Side(*(live or new)))
        self._noted[upon + self._count.to_bytes(8, "big")] = marshal.dumps((event_id, live, new))
        self._count += 1
        if len(self._noted) >= BATCH:
            self._room.write(self._noted)
            self._noted = {}

    def _own(self, record: Record) -> bool:
        scope = self._service.scope
        if record.topic == f"{scope}{LETTERS}" or record.topic.startswith(f"{scope}.by-"):
            return True
        cause = cause_of(record)
        if cause is None or not self._may_be_own(record):
            return False
        event_id = event_id_in(header_in(record.headers) or b"")
        return any(self._emitted_by(handler, cause, event_id) for handler in self._handlers)

    def _may_be_own(self, record: Record) -> bool:
        frame = (record.value or b"")[:5]
        known = self._name_of.get(frame)
        if known is None:
            name = self.name(Side(record.topic, record.key, record.value, record.headers))
            known = self._name_of[frame] = name in self._names or frame[:1] != b"\0"
        return known

    def _pairs(
        self, lives: list[tuple[bytes, Side]], news: list[tuple[bytes, Side]]
    ) -> Iterator[tuple[tuple[bytes, Side] | None, tuple[bytes, Side] | None]]:
        """Each live event beside the new one of its type that is next; what is equal first."""
        rest = list(news)
        for same in (True, False):
            left = []
            for live in lives:
                found = next((new for new in rest if self._fits(live[1], new[1], same=same)), None)
                if found is None:
                    left.append(live)
                else:
                    rest.remove(found)
                    yield live, found
            lives = left
        yield from ((live, None) for live in lives)
        yield from ((None, new) for new in rest)

    def _fits(self, live: Side, new: Side, *, same: bool) -> bool:
        if live.topic != new.topic or self.name(live) != self.name(new):
            return False
        return not same or not self._fields(live, new)

    def _deviation(
        self, upon: bytes, live: tuple[bytes, Side] | None, new: tuple[bytes, Side] | None
    ) -> Deviation | None:
        one = new or live
        assert one is not None, "a pair has a side"
        event_id, side = one
        fields = self._fields(live[1], new[1]) if live and new else ()
        if live and new and not fields:
            return None
        letter = side.topic.endswith(LETTERS)
        ids = _ids(side)
        emitter = _handler_of(side) if letter else self.emitter(upon, event_id)
        return Deviation(
            what="changed" if live and new else _only(new is not None, letter=letter),
            name=self.name(side),
            handlers=() if emitter is None else (emitter,),
            story=ids.correlation_id if ids else "",
            key=(side.key or b"").decode(errors="replace"),
            at=ids.at if ids else 0,
            fields=fields,
            saga=ids.saga.name if ids and ids.saga else None,
            upon=None,
            live=live[1] if live else None,
            new=new[1] if new else None,
        )

    def _fields(self, live: Side, new: Side) -> tuple[str, ...]:
        """The fields that differ, and in brackets what goes with them."""
        mine, theirs = self._body(live), self._body(new)
        if mine is None or theirs is None:
            found = ["(value)"] if live.value != new.value else []
        else:
            found = [name for name in {**mine, **theirs} if not self._alike(mine.get(name), theirs.get(name))]
            found += ["(schema)"] if not found and (live.value or b"")[:5] != (new.value or b"")[:5] else []
        found += ["(key)"] if live.key != new.key else []
        before, after = _ids(live), _ids(new)
        if before is not None and after is not None:
            found += [f"({name})" for name in IDS_OF_EVENTS if getattr(before, name) != getattr(after, name)]
        said, says = _letter_of(live), _letter_of(new)
        return (*found, *(f"({name})" for name in says if said.get(name) != says[name] and name in ("cause", "error")))

    def _alike(self, live: object, new: object) -> bool:
        return live == new or (self.met_erased and covers(new, live))

    def _body(self, side: Side) -> dict[str, object] | None:
        try:
            return self._bodies.read(Record(side.topic, -1, -1, 0, side.key, side.value, side.headers))
        except (DecodeError, UnknownSchemaError):
            return None


def _packed(record: Record | NewRecord) -> Any:
    headers = tuple((name, bytes(value)) for name, value in record.headers)
    return record.topic, record.key, record.value, headers


def _bare(packed: Any) -> Any:
    """What must be the same on both sides: of a dead letter not what its error says, it may name a place in memory."""
    topic, key, value, headers = packed
    if topic.endswith(LETTERS):
        headers = tuple(pair for pair in headers if pair[0] != DEAD_LETTER)
    return key, value, headers


def _upon(side: Side) -> bytes:
    """The id of what brought it about: of a dead letter, what lies in it."""
    header = header_in(side.headers)
    if header is None:
        return bytes(16)
    if side.topic.endswith(LETTERS):
        return event_id_in(header)
    return cause_of(Record(side.topic, -1, -1, 0, side.key, side.value, side.headers)) or bytes(16)


def _ids(side: Side) -> Ids | None:
    header = header_in(side.headers)
    try:
        return None if header is None else unpack(header)
    except DecodeError:
        return None


def _letter_of(side: Side) -> dict[str, object]:
    packed = dict(side.headers).get(DEAD_LETTER)
    found: dict[str, object] = {} if packed is None else json.loads(packed[1:])
    return found


def _handler_of(side: Side) -> str | None:
    handler = _letter_of(side).get("handler")
    return handler if isinstance(handler, str) else None


def _only(new: bool, *, letter: bool) -> Literal["only new", "missing", "dead letter", "no dead letter"]:
    if letter:
        return "dead letter" if new else "no dead letter"
    return "only new" if new else "missing"
