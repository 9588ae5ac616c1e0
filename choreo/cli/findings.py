"""What a verification found, for people: where it came about, what brought it about, both values."""

from collections.abc import Iterator, Mapping
from typing import Any

from choreo.cli.output import as_text, as_value
from choreo.cli.records import Bodies, uuid_text
from choreo.cli.store_values import StoreValues
from choreo.clock import iso, to_datetime
from choreo.errors import DecodeError, UnknownSchemaError
from choreo.events.envelope import header_in, unpack
from choreo.events.registry import Registry
from choreo.record import NewRecord, Record
from choreo.replay.findings import Difference, Finding, entry_name
from choreo.replay.naming import Named
from choreo.service.service import Service

SAID = {
    "entry": "the store has another value than the log: it was changed behind the service's back",
    "write": "wrote another value",
    "event": "emitted another event",
}
NOTHING = "nothing"
UUIDS = ("event_id", "causation_id", "request_id")
"""Of what goes with an event (`Ids`)."""


class Values:
    """What a verification found of one service, for people: personal fields are masked."""

    def __init__(self, service: Service, registry: Registry) -> None:
        self._stores, self._bodies = StoreValues(service), Bodies(registry)

    def plain(self, finding: Finding, value: bytes | Record | NewRecord | None) -> Any:
        """A store's value, or an event as its fields; how it lies on the log where it can't be read."""
        if value is None:
            return NOTHING
        if isinstance(value, bytes):
            return self._stores.plain(finding.entry[0] if finding.entry else finding.name, value)
        try:
            return self._bodies.shown(_record(value))
        except (DecodeError, UnknownSchemaError):
            return (value.value or b"").hex()

    def differing(self, finding: Finding) -> set[str] | None:
        """The fields of two events that are not the same, masked or not; None where these are not two events."""
        live, replayed = finding.live, finding.replayed
        if live is None or replayed is None or isinstance(live, bytes) or isinstance(replayed, bytes):
            return None
        try:
            mine, theirs = self._bodies.read(_record(live)), self._bodies.read(_record(replayed))
        except (DecodeError, UnknownSchemaError):
            return None
        return {name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)}

    def name(self, finding: Finding) -> str:
        """What was written or emitted otherwise."""
        if finding.entry is None:
            return finding.name
        store, parts = finding.entry
        return entry_name(store, self._stores.parts(store, parts))

    def key(self, cause: Named) -> str:
        """The key of what was acted upon."""
        return self._stores.keys.cause(cause.place, cause.key)

    def difference(self, one: Difference) -> dict[str, Any]:
        """An entry that differs, for programs."""
        return {
            "partition": one.partition,
            "store": one.store,
            "key": self._stores.parts(one.store, one.key),
            "live": self._stores.plain(one.store, one.live),
            "replayed": self._stores.plain(one.store, one.replayed),
        }

    def line(self, one: Difference) -> str:
        """The same for people."""
        row = self.difference(one)
        live, replayed = (NOTHING if row[side] is None else as_value(row[side]) for side in ("live", "replayed"))
        return f"{one.store} {row['key']!r} in task {one.partition}: live {live}, replayed {replayed}"


def finding_row(finding: Finding, values: Values) -> dict[str, Any]:
    """A finding for programs."""
    cause = finding.cause
    return {
        "what": finding.what,
        "name": values.name(finding),
        "task": finding.partition,
        "checkpoint": finding.checkpoint,
        "build": finding.build,
        "at": to_datetime(finding.now),
        "cause": cause.name,
        "event_id": uuid_text(cause.event_id),
        "key": values.key(cause),
        "place": cause.place,
        "handlers": list(finding.handlers),
        "live": values.plain(finding, finding.live),
        "replayed": values.plain(finding, finding.replayed),
    }


def finding_lines(finding: Finding, values: Values) -> Iterator[str]:
    """A finding for people: when, upon what, in which handler; then what was done and what should have been."""
    cause = finding.cause
    who = f"{cause.name} {values.key(cause)!r}"
    who += f", id {uuid_text(cause.event_id)}" if cause.event_id else ""
    who += f", at {cause.place}" if cause.place else ""
    yield f"first at {iso(to_datetime(finding.now), 'milliseconds')}, {who}"
    handlers = " or ".join(finding.handlers) or "no handler"
    where = f"task {finding.partition}, checkpoint {finding.checkpoint}, build {finding.build}"
    yield f"  {handlers} {SAID[finding.what]}: {values.name(finding)} ({where})"
    if finding.among > 1 and finding.what == "write":
        yield f"  {finding.among} inputs of that checkpoint wrote it; this is the last of them"
    live, replayed = values.plain(finding, finding.live), values.plain(finding, finding.replayed)
    if isinstance(live, Mapping) and isinstance(replayed, Mapping):
        every = [*live, *(name for name in replayed if name not in live)]
        differing = values.differing(finding)
        if differing is None:
            differing = {name for name in every if live.get(name) != replayed.get(name)}
        for name in every:
            if name in differing:
                yield f"    {name}: live {as_value(live.get(name))}, replayed {as_value(replayed.get(name))}"
        if differing:  # else it is masked
            return
    beside = _beside(finding.live, finding.replayed) if live == replayed else {}
    for name, (mine, theirs) in beside.items():
        yield f"    ({name}): live {mine}, replayed {theirs}"
    if beside:
        return
    yield f"    live {as_value(live)}"
    yield f"    replayed {as_value(replayed)}"


def _beside(live: object, replayed: object) -> dict[str, tuple[str, str]]:
    """What goes with two events and is not the same: the key, the ids, the time."""
    if not isinstance(live, Record | NewRecord) or not isinstance(replayed, Record | NewRecord):
        return {}
    mine, theirs = _accompanying(live), _accompanying(replayed)
    return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs.get(name)}


def _accompanying(record: Record | NewRecord) -> dict[str, str]:
    packed = header_in(record.headers)
    ids = {} if packed is None else unpack(packed)._asdict()
    at = {"at": iso(to_datetime(ids["at"]), "microseconds")} if ids else {}
    every = {"key": record.key} | ids | at
    return {name: uuid_text(one) or "-" if name in UUIDS else as_text(one) for name, one in every.items()}


def _record(value: Record | NewRecord) -> Record:
    """As it would lie on the log."""
    return value if isinstance(value, Record) else Record(value.topic, -1, -1, 0, *value[1:4])
