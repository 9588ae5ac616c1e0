"""One story of the log as a tree: what caused what, who emitted and who handled it, and what went wrong on the way.

Pure: what was found on the log goes in, nodes come out, each behind its cause and in the order of time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from choreo.record import Position
from choreo.replay.handled import Note, Rung, Taken, Woken
from choreo.replay.origin import Author
from choreo.runtime.calls import Recorded
from choreo.state.keys import split_key

FOREVER = 1 << 62


@dataclass(frozen=True)
class Told:
    """An event of the story. `at` is when it was emitted (microseconds); `positions` has each copy, re-keyed ones too.

    A `change` is one of a saga, with what changed in `says` and when that saga started (microseconds); an `order` is an
    operator's. `own` is False for an event of another story that has to do with this one.
    """

    kind: Literal["event", "change", "order"]
    event_id: bytes
    name: str
    key: bytes | None
    at: int
    cause: bytes | None
    author: Author | None
    positions: tuple[Position, ...]
    attempt: int = 1
    saga: str = ""
    says: tuple[str, ...] = ()
    status: str = ""
    started_at: int = 0
    body: Mapping[str, Any] | None = None
    own: bool = True


@dataclass(frozen=True)
class Letter:
    """A dead letter of an event of the story; `at` in microseconds."""

    event_id: bytes
    service: str
    handler: str | None
    door: str
    error: str
    attempts: int
    at: int


@dataclass(frozen=True)
class Held:
    """An event that is parked now. `until` in microseconds; None where it waits for an operator, or is being tried."""

    event_id: bytes
    service: str
    attempts: int
    error: str
    until: int | None


class Call(NamedTuple):
    """Recorded calls of one name: how often it was used, and how many of these failed."""

    name: str
    used: int
    failed: int


@dataclass(frozen=True)
class Handling:
    """A service took the event. `handlers` is None where the code of the service is not known here; it may have passed
    the event over then. `attempts` are those that the journal, a dead letter or a parked input shows: at least so many.
    """

    service: str
    handlers: tuple[str, ...] | None
    now: int
    attempts: int = 1
    calls: tuple[Call, ...] = ()
    held: Held | None = None


@dataclass(frozen=True)
class Node:
    """One thing of the story: behind its cause, `depth` levels deep; `since_us` is the time since that."""

    what: Told | Rung
    depth: int
    cause: bytes | None
    since_us: int | None
    handled: tuple[Handling, ...] = ()
    letters: tuple[Letter, ...] = ()

    @property
    def at(self) -> int:
        """When it happened, microseconds."""
        return self.what.at if isinstance(self.what, Told) else self.what.now


@dataclass
class Found:
    """What the log and the stores hold of a story."""

    told: list[Told] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)


Answers = Callable[[str, str], tuple[str, ...] | None]
"""Which handlers of a service answer an event, by their names; None where the service's code is not known."""


def story_of(found: Found, answers: Answers) -> list[Node]:
    """The nodes in the order in which they are shown: each behind its cause, those of one cause by time."""
    whats: dict[bytes, Told | Rung] = {one.event_id: one for one in _rung(found)}
    whats |= {one.event_id: one for one in found.told}
    causes = {one: _cause(what, whats, found, answers) for one, what in whats.items()}
    below: dict[bytes | None, list[bytes]] = {}
    for event_id in sorted(whats, key=lambda one: _place(whats[one])):
        below.setdefault(causes[event_id], []).append(event_id)
    handled = _handlings(found, answers)
    letters: dict[bytes, list[Letter]] = {}
    for letter in sorted(found.letters, key=lambda one: one.at):
        letters.setdefault(letter.event_id, []).append(letter)
    nodes: list[Node] = []
    left = dict.fromkeys(whats)
    while left:
        # What is in a circle of causes, which strangers may write, hangs on none: the first of it begins anew.
        tops = [one for one in below.pop(None, []) if one in left] or [next(iter(left))]
        stack = [(one, 0) for one in reversed(tops)]
        while stack:
            event_id, depth = stack.pop()
            if event_id not in left:
                continue
            del left[event_id]
            what, cause = whats[event_id], causes[event_id]
            since = None if cause is None else _at(what) - _at(whats[cause])
            done, lost = tuple(handled.get(event_id, ())), tuple(letters.get(event_id, ()))
            nodes.append(Node(what, depth, cause, since, done, lost))
            stack += [(one, depth + 1) for one in reversed(below.get(event_id, []))]
    return nodes


def _rung(found: Found) -> Iterable[Rung]:
    return (note for note in found.notes if isinstance(note, Rung))


def _at(what: Told | Rung) -> int:
    return what.at if isinstance(what, Told) else what.now


def _place(what: Told | Rung) -> tuple[int, bool, tuple[Position, ...], bytes]:
    """In which order things are shown that have one cause: changes of sagas before what was emitted in one handling."""
    if isinstance(what, Rung):
        return what.now, False, (), what.event_id
    return what.at, what.kind != "change", what.positions, what.event_id


def _cause(what: Told | Rung, whats: Mapping[bytes, Told | Rung], found: Found, answers: Answers) -> bytes | None:
    """The cause, where it is of the story. The log does not keep who set a timer that has fired: it is shown behind the
    last event that its service handled, before, for the key with which the timer's own begins.
    """
    if isinstance(what, Told):
        return what.cause if what.cause in whats and what.cause != what.event_id else None
    key = str(split_key(what.timer)[1][0])
    by_place = {position: one for one in found.told for position in one.positions}
    last: Told | None = None
    for note in found.notes:
        if note is what:  # the notes of one task are in the order of its journal
            break
        if isinstance(note, Taken) and note.service == what.service:
            told = by_place.get(note.position)
            if told is not None and told.key == key.encode() and answers(what.service, told.name) != ():
                last = told
    return last.event_id if last is not None else None


def _handlings(found: Found, answers: Answers) -> dict[bytes, list[Handling]]:
    """By event, who took it; those that passed it over are left out where that is known."""
    by_place = {position: one for one in found.told for position in one.positions}
    settled = _settled(found)
    woken = Counter[tuple[str, Position]]()
    taken = [note for note in found.notes if isinstance(note, Taken) and note.position in by_place]
    for note in found.notes:
        if isinstance(note, Woken):
            whose = _whose(note, taken, by_place, settled)
            woken.update([(note.service, whose.position)] if whose else [])
    made: dict[bytes, list[Handling]] = {}
    seen: set[tuple[str, Position]] = set()
    for note in sorted(taken, key=lambda one: one.now):
        told = by_place[note.position]
        handlers = answers(note.service, told.name)
        if handlers == () or (note.service, note.position) in seen:
            continue
        seen.add((note.service, note.position))
        held = next((h for h in found.held if (h.service, h.event_id) == (note.service, told.event_id)), None)
        lost = [one.attempts for one in found.letters if (one.service, one.event_id) == (note.service, told.event_id)]
        calls = _calls(note.calls)
        shown = 1 + woken[note.service, note.position]
        attempts = max([shown, *lost, held.attempts if held else 1, _repeated(note.calls)])
        made.setdefault(told.event_id, []).append(Handling(note.service, handlers, note.now, attempts, calls, held))
    return made


def _settled(found: Found) -> dict[tuple[str, bytes], int]:
    """When a service had done with an event, where that shows: what it emitted then, or its dead letter."""
    when: dict[tuple[str, bytes], int] = {}
    for told in found.told:
        if told.author is not None and told.cause is not None:
            when[told.author.service, told.cause] = told.at
    when |= {(one.service, one.event_id): one.at for one in found.letters}
    return when | {(one.service, one.event_id): FOREVER for one in found.held}


def _whose(
    woken: Woken, taken: Sequence[Taken], by_place: Mapping[Position, Told], settled: Mapping[tuple[str, bytes], int]
) -> Taken | None:
    """Which event was tried again: one that was not done with then; else the last that had come for the key."""
    own = [one for one in taken if one.service == woken.service and one.now <= woken.now]
    own = [one for one in own if by_place[one.position].key == woken.key]
    open_then = [one for one in own if settled.get((one.service, by_place[one.position].event_id), 0) >= woken.now]
    return next(iter(open_then or own[-1:]), None)


def _calls(calls: Iterable[Recorded]) -> tuple[Call, ...]:
    used, failed = Counter[str](), Counter[str]()
    for call in calls:
        used[call.name] += 1
        failed[call.name] += call.failed
    return tuple(Call(name, used[name], failed[name]) for name in used)


def _repeated(calls: Iterable[Recorded]) -> int:
    """In how many attempts the same call was made: each counts the uses of a name anew."""
    return max(Counter((call.name, call.use) for call in calls).values(), default=1)


def at_rest(found: Found) -> bool:
    """Whether the sagas of the story have ended and nothing of it is parked: then only something new can go on."""
    last: dict[tuple[str, bytes | None], Told] = {}
    for told in sorted(found.told, key=lambda one: one.at):
        if told.kind == "change":
            last[told.saga, told.key] = told
    return not found.held and all(one.status in ENDS for one in last.values())


ENDS = ("completed", "compensated", "cancelled")
