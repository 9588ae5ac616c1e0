"""What a verification found, for people: where it came about, what brought it about, both values."""

from collections.abc import Iterator, Mapping
from typing import Any

from choreo.cli.output import as_value
from choreo.cli.records import Bodies, uuid_text
from choreo.clock import iso, to_datetime
from choreo.errors import DecodeError, UnknownSchemaError
from choreo.record import NewRecord, Record
from choreo.replay.findings import Finding, shown

SAID = {
    "entry": "the store has another value than the log: it was changed behind the service's back",
    "write": "wrote another value",
    "event": "emitted another event",
}
NOTHING = "nothing"


def finding_row(finding: Finding, bodies: Bodies) -> dict[str, Any]:
    """A finding for programs."""
    cause = finding.cause
    return {
        "what": finding.what,
        "name": finding.name,
        "task": finding.partition,
        "checkpoint": finding.checkpoint,
        "build": finding.build,
        "at": to_datetime(finding.now),
        "cause": cause.name,
        "event_id": uuid_text(cause.event_id),
        "key": cause.key,
        "place": cause.place,
        "handlers": list(finding.handlers),
        "live": _plain(finding.live, bodies),
        "replayed": _plain(finding.replayed, bodies),
    }


def finding_lines(finding: Finding, bodies: Bodies) -> Iterator[str]:
    """A finding for people: when, upon what, in which handler; then what was done and what should have been."""
    cause = finding.cause
    who = f"{cause.name} {cause.key!r}"
    who += f", id {uuid_text(cause.event_id)}" if cause.event_id else ""
    who += f", at {cause.place}" if cause.place else ""
    yield f"first at {iso(to_datetime(finding.now), 'milliseconds')}, {who}"
    handlers = " or ".join(finding.handlers) or "no handler"
    where = f"task {finding.partition}, checkpoint {finding.checkpoint}, build {finding.build}"
    yield f"  {handlers} {SAID[finding.what]}: {finding.name} ({where})"
    if finding.among > 1 and finding.what == "write":
        yield f"  {finding.among} inputs of that checkpoint wrote it; this is the last of them"
    live, replayed = _plain(finding.live, bodies), _plain(finding.replayed, bodies)
    if isinstance(live, Mapping) and isinstance(replayed, Mapping):
        for name in [*live, *(name for name in replayed if name not in live)]:
            if live.get(name) != replayed.get(name):
                yield f"    {name}: live {as_value(live.get(name))}, replayed {as_value(replayed.get(name))}"
        return
    yield f"    live {as_value(live)}"
    yield f"    replayed {as_value(replayed)}"


def _plain(value: bytes | Record | NewRecord | None, bodies: Bodies) -> Any:
    """A store's value as text, an event as its fields; how they lie on the log where they can't be read."""
    if value is None:
        return NOTHING
    if isinstance(value, bytes):
        return shown(value)
    known = value if isinstance(value, Record) else Record(value.topic, -1, -1, 0, *value[1:4])
    try:
        return bodies.read(known)
    except (DecodeError, UnknownSchemaError):
        return (value.value or b"").hex()
