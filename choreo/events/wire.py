"""How the bodies of other systems are read and written: the seam `Wire`, JSON and plain bytes. Avro: `avro_wire.py`."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from copy import copy
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, NamedTuple, Self, get_args

from pydantic import BaseModel

from choreo.errors import EventError
from choreo.record import Headers, Record

ORIGINAL_KEY = "choreo-key"
"""The header with the key that a record had before a relay gave it another."""
_HEADER = "header:"
_FLOAT_DIGITS = 308


class Written(NamedTuple):
    """The value of a record, and the headers that belong to its body."""

    value: bytes
    headers: Headers = ()


class Wire(ABC):
    """How the body of an event is written: the seam for whatever other systems speak.

    `decode` and `encode` are all that a wire needs; the others have an answer that suits most. `content_type` is the
    media type of the bytes (RFC 2046), which a CloudEvent names.
    """

    content_type: str = "application/octet-stream"

    @abstractmethod
    def decode(self, value: bytes) -> Mapping[str, Any] | None:
        """The body by wire name (alias); None for one that is not of this class. Raises ValueError when unreadable."""

    @abstractmethod
    def encode(self, body: Mapping[str, Any]) -> bytes:
        """The bytes for a body by wire name, its values as JSON has them."""

    def event_id(self, body: Mapping[str, Any]) -> str | None:
        """The sender's own id of the event, where the body has one."""
        return None

    def timestamp(self, body: Mapping[str, Any]) -> object:
        """When it happened: a datetime, ISO 8601 text or milliseconds since 1970; None where the body doesn't say."""
        return None

    def bound_to(self, cls: type[BaseModel]) -> "Wire":
        """This wire for the bodies of one class. Raises EventError where it can't carry the class."""
        return self

    def read(self, record: Record) -> Mapping[str, Any] | None:
        """The body of a record that has a value; as `decode`, for a wire that looks at key and headers too."""
        return self.decode(record.value or b"")

    def write(self, event: BaseModel) -> Written:
        """The value and the headers of an event."""
        return Written(self.encode(event.model_dump(mode="json", by_alias=True)))


class FieldWire(Wire):
    """A wire whose fields may lie beside the body.

    `event_id` and `timestamp` name what carries the sender's id and time: a name in the body, or `header:NAME`.
    `key` names the field that is the record's key, `headers` those that are headers: {field: header}.
    """

    def __init__(
        self,
        *,
        event_id: str | None = None,
        timestamp: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.key, self.headers = key, dict(headers or {})
        self._event_id, self._timestamp = event_id, timestamp
        told = (name for name in (event_id, timestamp) if name and name.startswith(_HEADER))
        self._asked = {name.removeprefix(_HEADER): name for name in told}
        self.beside = frozenset([*self.headers, *([key] if key else [])])
        """The fields that are no part of the body."""

    def event_id(self, body: Mapping[str, Any]) -> str | None:
        given = body.get(self._event_id) if self._event_id else None
        return None if given is None else str(given)

    def timestamp(self, body: Mapping[str, Any]) -> object:
        return body.get(self._timestamp) if self._timestamp else None

    def bound_to(self, cls: type[BaseModel]) -> Self:
        check_fields(cls, self.beside)
        return self

    def read(self, record: Record) -> Mapping[str, Any] | None:
        body = self.decode(record.value or b"")
        if body is None or not (self.beside or self._asked):
            return body
        outside: dict[str, Any] = {}
        if self.key is not None:
            key = next((bytes(value) for name, value in record.headers if name == ORIGINAL_KEY), record.key)
            outside |= {} if key is None else {self.key: key.decode()}
        if self.headers or self._asked:
            told = {
                name: bytes(value).decode()
                for name, value in record.headers
                if name in self._asked or name in self.headers.values()
            }
            outside |= {field: told[name] for field, name in self.headers.items() if name in told}
            outside |= {kept: told[name] for name, kept in self._asked.items() if name in told}
        return {**body, **outside}

    def write(self, event: BaseModel) -> Written:
        body = event.model_dump(mode="json", by_alias=True)
        headers = self.headers_of(body)
        return Written(self.encode({name: part for name, part in body.items() if name not in self.beside}), headers)

    def headers_of(self, body: Mapping[str, Any]) -> Headers:
        """The headers that hold fields, from the body by wire name; a field that is None has none."""
        said = ((header, body[field]) for field, header in self.headers.items() if body.get(field) is not None)
        return tuple((header, _text(value)) for header, value in said)


class Json(FieldWire):
    """A JSON object. `only` picks the bodies with these values; the rest is told at FieldWire."""

    content_type = "application/json"

    def __init__(
        self,
        *,
        only: Mapping[str, str] | None = None,
        event_id: str | None = None,
        timestamp: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(event_id=event_id, timestamp=timestamp, key=key, headers=headers)
        self.only = dict(only or {})

    def decode(self, value: bytes) -> Mapping[str, Any] | None:
        body = json.loads(value, parse_float=_exact)
        if not isinstance(body, dict):
            raise ValueError(f"the body is a JSON {type(body).__name__}, not an object")
        return body if all(body.get(name) == wanted for name, wanted in self.only.items()) else None

    def encode(self, body: Mapping[str, Any]) -> bytes:
        return json.dumps(self.only | dict(body), ensure_ascii=False, separators=(",", ":")).encode()


class Bytes(FieldWire):
    """The whole value is one field: as it is where the field is `bytes`, else as UTF-8 text.

    Other fields come from the key and the headers, or have a default.
    """

    def __init__(
        self,
        field: str,
        *,
        event_id: str | None = None,
        timestamp: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(event_id=event_id, timestamp=timestamp, key=key, headers=headers)
        self.field, self._attribute, self._is_text = field, field, False

    def bound_to(self, cls: type[BaseModel]) -> Self:
        check_fields(cls, [*self.beside, self.field])
        name, info = next(each for each in wire_fields(cls).items() if each[0] == self.field)[1]
        bound = copy(super().bound_to(cls))
        bound._attribute, bound._is_text = name, bytes not in (info.annotation, *get_args(info.annotation))
        bound.content_type = "text/plain; charset=utf-8" if bound._is_text else self.content_type
        others = [
            wire
            for wire, (_, other) in wire_fields(cls).items()
            if other.is_required() and wire != self.field and wire not in self.beside
        ]
        if others:
            raise EventError(
                f"{cls.__name__}: {', '.join(others)} would have no value",
                hint=f'give a default, or say where it lies: key="{others[0]}" or headers={{"{others[0]}": ...}}',
                why=f"the record's value is {self.field} alone",
            )
        return bound

    def decode(self, value: bytes) -> Mapping[str, Any] | None:
        return {self.field: value.decode() if self._is_text else value}

    def encode(self, body: Mapping[str, Any]) -> bytes:
        return _text(body[self.field])

    def write(self, event: BaseModel) -> Written:
        value = getattr(event, self._attribute)
        body = event.model_dump(mode="json", by_alias=True, exclude={self._attribute} if type(value) is bytes else None)
        return Written(value if type(value) is bytes else self.encode(body), self.headers_of(body))


def wire_fields(cls: type[BaseModel]) -> dict[str, tuple[str, Any]]:
    """The fields of a class by wire name, each with its name in Python and what pydantic knows of it."""
    return {info.alias or name: (name, info) for name, info in cls.model_fields.items()}


def check_fields(cls: type[BaseModel], named: Iterable[str]) -> None:
    """Raise EventError where a wire names a field that the class does not have."""
    known = wire_fields(cls)
    for name in named:
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise EventError(
                f"{cls.__name__}: its wire names a field {name!r} that it does not have",
                why=f"its fields are {', '.join(known) or 'none'}",
                hint=f"did you mean {near[0]!r}?" if near else None,
            )


def _exact(number: str) -> Decimal | float:
    """A number with all its digits, as money needs them; not beyond a float's range: as an int it would fill memory."""
    exact = Decimal(number)
    return exact if abs(exact.adjusted()) <= _FLOAT_DIGITS else float(number)


def _text(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode()
