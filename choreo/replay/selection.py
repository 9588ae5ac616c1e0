"""Which records an operator means: a condition in CEL over the fields of the event and of its envelope.

The variables are `event` (its fields, as JSON has them, a Decimal as a double), `name`, `id`, `correlation_id`,
`causation_id`, `key`, `at`, `topic`, `partition`, `offset`, `attempt` and `again`; of a dead letter also `letter`.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from cel_expr_python import cel

from choreo.clock import to_datetime
from choreo.errors import ConfigError, DecodeError, UnknownSchemaError
from choreo.events.envelope import Ids
from choreo.record import Record
from choreo.replay.letters import Letter
from choreo.saga.conditions import explained

_RECORD = {
    "event": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "name": cel.Type.STRING,
    "id": cel.Type.STRING,
    "correlation_id": cel.Type.STRING,
    "causation_id": cel.Type.DYN,
    "key": cel.Type.DYN,
    "at": cel.Type.TIMESTAMP,
    "topic": cel.Type.STRING,
    "partition": cel.Type.INT,
    "offset": cel.Type.INT,
    "attempt": cel.Type.INT,
    "again": cel.Type.BOOL,
}
_LETTER = {"letter": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)}
NAMES = (*_RECORD, *_LETTER)
LETTER_FIELDS = ("service", "door", "cause", "error", "attempts", "handler", "state")
_BODY = re.compile(r"\b(event|name)\b")
_LACKS = re.compile(r'Key not found in map : "(.*)"')


class Contents(Protocol):
    """Reads what a record holds."""

    def name(self, record: Record) -> str:
        """The full name of its event. Raises DecodeError and UnknownSchemaError."""

    def read(self, record: Record) -> Mapping[str, Any]:
        """The fields of its event. Raises DecodeError and UnknownSchemaError."""


class Condition:
    """One expression, compiled. A record that lacks a field of which it speaks does not fit."""

    def __init__(self, text: str, contents: Contents, *, letters: bool = False) -> None:
        """Raises ConfigError for what is no condition over records."""
        self._text, self._contents = text, contents
        self._reads_body = _BODY.search(text) is not None
        self._lacked, self._asked = "", False
        self._compiled = compiled(text, _RECORD | (_LETTER if letters else {}), NAMES)

    def holds(self, record: Record, ids: Ids | None, letter: Letter | None = None) -> bool:
        """Whether it is true for a record."""
        result = self._compiled.eval(data=self._values(record, ids, letter))
        if result.type() == cel.Type.ERROR:
            lacks = _LACKS.search(str(result))
            self._lacked = lacks[1] if lacks else self._lacked
            return False
        self._asked = True
        return result.plain_value() is True

    def require_sense(self) -> None:
        """Raises ConfigError where every record that was looked at lacks a field of which the condition speaks."""
        if self._lacked and not self._asked:
            raise ConfigError(
                f"--where {self._text}: no record here has a field {self._lacked}",
                hint="fields of the event are event.NAME; see choreo schemas show, or a record with --json",
            )

    def _values(self, record: Record, ids: Ids | None, letter: Letter | None) -> dict[str, Any]:
        known = ids or Ids(b"", "", at=record.timestamp_ms * 1000)
        name, fields = self._content(record) if self._reads_body else ("", {})
        values: dict[str, Any] = {
            "event": fields,
            "name": name,
            "id": str(UUID(bytes=known.event_id)) if known.event_id else "",
            "correlation_id": known.correlation_id,
            "causation_id": str(UUID(bytes=known.causation_id)) if known.causation_id else None,
            "key": None if record.key is None else record.key.decode("utf-8", "backslashreplace"),
            "at": to_datetime(known.at),
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "attempt": known.attempt,
            "again": known.again is not None,
        }
        if letter is not None:
            said = {} if letter.said is None else {name: getattr(letter.said, name) for name in LETTER_FIELDS[:-1]}
            values["letter"] = said | {"state": letter.standing.outcome}
        return values

    def _content(self, record: Record) -> tuple[str, dict[str, Any]]:
        try:
            return self._contents.name(record), as_cel(self._contents.read(record))
        except (DecodeError, UnknownSchemaError):
            return "", {}


def compiled(text: str, variables: Mapping[str, Any], names: Iterable[str]) -> Any:
    """A condition over these variables, with their types in CEL. Raises ConfigError, which tells of these names."""
    told = f"what there is: {', '.join(names)}"
    try:
        found = cel.NewEnv(variables=dict(variables)).compile(text)
    except RuntimeError as error:
        raise ConfigError(f"--where {text}: {explained(text, str(error))}", hint=told) from None
    if (kind := found.return_type().name()) not in ("BOOL", "DYN"):
        raise ConfigError(f"--where {text} is a {kind.lower()}, not true or false", hint=told)
    return found


def as_cel(value: Any) -> Any:
    """A value of an event as conditions see it: of JSON's kinds."""
    if isinstance(value, Mapping):
        return {str(name): as_cel(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_cel(part) for part in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return b64encode(value).decode()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
