"""Where a difference came about: the input, its handlers and both values, found by a second replay, turn by turn."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from choreo.errors import DivergenceError
from choreo.events.envelope import event_id_in, header_in
from choreo.record import NewRecord, Record
from choreo.replay.findings import Finding, What, entry_name
from choreo.replay.naming import Naming, entry_of
from choreo.replay.rebuild import Act
from choreo.replay.sandbox import Sandbox


class Suspect(NamedTuple):
    """What is to be looked for, and where as far as that is known."""

    what: What
    partition: int | None
    checkpoint: int | None
    key: bytes
    """Of an entry the key, of an event the id."""
    live: bytes | Record | None
    replayed: bytes | None = None
    """Of an entry; an event is found again."""
    cause_id: bytes | None = None
    """Of an event that the replay did not emit, what brought it about live."""


def locate(sandbox: Sandbox, suspects: Sequence[Suspect]) -> list[Finding]:
    """The earliest of each kind, as far as it can be found again; the earliest first."""
    naming = sandbox.naming()
    found: dict[What, Finding] = {}
    for suspect in sorted(suspects, key=lambda one: (one.checkpoint is None, one.checkpoint or 0)):
        if suspect.what not in found:
            every = range(sandbox.partitions) if suspect.partition is None else [suspect.partition]
            finding = next((one for number in every for one in _found(sandbox, suspect, number, naming)), None)
            if finding is not None:
                found[suspect.what] = finding
    return sorted(found.values(), key=lambda one: one.now)


def _found(sandbox: Sandbox, suspect: Suspect, partition: int, naming: Naming) -> Iterator[Finding]:
    """The last act of the checkpoint (None: of all) that has to do with it: the log tells what was left in the end."""
    last: Act | None = None
    near: Act | None = None
    count, build = 0, ""
    before = 0 if suspect.checkpoint is None else suspect.checkpoint - 1
    with (
        suppress(DivergenceError),  # it is told of by itself; what was found until then stands
        sandbox.looking(partition, before) as (rebuild, _),
    ):
        for act in rebuild.acts(suspect.checkpoint):
            build = rebuild.build
            if _concerns(act, suspect, naming):
                last, count = act, count + 1
            elif suspect.what != "event" and _is_near(act, suspect.key, naming):
                near = act
    # What the replay does not write at all it may write upon an event of that key.
    blamed = last or near
    if blamed is not None:
        yield _finding(suspect, partition, blamed, (count, build), naming)


def _concerns(act: Act, suspect: Suspect, naming: Naming) -> bool:
    if suspect.what != "event":
        return suspect.key in act.changes
    if suspect.cause_id is not None:
        return naming.cause_id(act.cause) == suspect.cause_id
    return _emitted(act, suspect.key) is not None


def _is_near(act: Act, key: bytes, naming: Naming) -> bool:
    """Whether an act that did not write an entry is about its key, and handlers had something to say."""
    answered = not isinstance(act.cause, Record) or naming.handlers(act.cause)
    return bool(answered) and naming.cause(act.cause).key in _key_texts(key)


def _key_texts(key: bytes) -> list[str]:
    return [str(part) for part in entry_of(key)[1]]


def _emitted(act: Act, event_id: bytes) -> NewRecord | None:
    return next((one for one in act.outputs if _id_of(one) == event_id), None)


def _id_of(emitted: NewRecord) -> bytes | None:
    packed = header_in(emitted.headers)
    return None if packed is None else event_id_in(packed)


def _finding(suspect: Suspect, partition: int, act: Act, seen: tuple[int, str], naming: Naming) -> Finding:
    count, build = seen
    cause = naming.cause(act.cause)
    replayed: bytes | NewRecord | None
    entry: tuple[str, tuple[object, ...]] | None = None
    if suspect.what == "event":
        emitted, live = _emitted(act, suspect.key), suspect.live
        name = naming.event(emitted if emitted is not None else live if isinstance(live, Record) else None)
        emitter = None if cause.event_id is None else naming.emitter(cause.event_id, suspect.key)
        handlers, replayed = [emitter] if emitter else naming.handlers(act.cause), emitted
    else:
        store, parts = entry = entry_of(suspect.key)
        name = entry_name(store, parts)
        handlers, replayed = naming.blamed(act, store), suspect.replayed
    where = (partition, act.checkpoint, act.now)
    return Finding(suspect.what, name, *where, cause, tuple(handlers), build, suspect.live, replayed, count, entry)
