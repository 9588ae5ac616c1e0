"""Events to records and back: Confluent framing, Avro bodies, ids in headers. The hot path of every worker.

Whatever can't be read is a DecodeError that names the position; whatever can't be written is a PublishError.
What of an event was erased is taken out of it here, and nowhere else (`Unseal`).
"""

import json
from collections.abc import Callable, Container, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from choreo.clock import NEVER
from choreo.errors import (
    ChoreoError,
    DecodeError,
    EventError,
    PublishError,
    RegistryUnavailableError,
    SchemaError,
    UnknownSchemaError,
    because,
)
from choreo.events.avro import shape_of
from choreo.events.body_reader import ReadBody, reader_of
from choreo.events.body_writer import WriteBody
from choreo.events.body_writer import writer_of as body_writer_of
from choreo.events.datums import Convert
from choreo.events.envelope import HEADER, Envelope, Ids, emitted_at, foreign_ids, unpack
from choreo.events.erasure import erased_in, with_erased
from choreo.events.event import Event, key_reader
from choreo.events.foreign import (
    FRAMED,
    ForeignTopic,
    Taken,
    Write,
    bears_packed_ids,
    broken,
    headers_of,
    is_foreign,
    writer_of,
)
from choreo.events.plain import plain_ids, wire_ids
from choreo.events.registry import Registry
from choreo.events.resolution import resolve
from choreo.events.upcasting import lifting, lifts_of
from choreo.record import Headers, NewRecord, Record, of_fields

_MAGIC: Final = 0
_FRAME: Final = 5
"""Bytes before the Avro body: magic byte 0, then the schema id."""


_FAR_MS: Final = NEVER // 1000

Unseal = Callable[[Record, type[Event], Mapping[str, Any]], Mapping[str, Any]]
"""Answers fields in place of those of a body that was just read, ERASED for one whose subject was erased, or somewhere
within it; empty where all is as it was read. By wire names, whatever the wire.
"""


class _Reading(NamedTuple):
    """How the bodies of one schema id become events of one class; worked out once."""

    cls: type[Event]
    topic: str
    read: ReadBody
    validate: Callable[..., Any]
    from_datum: Convert | None
    unsealed: Callable[..., Any]
    """In place of `validate` where something was erased."""


class _Writing(NamedTuple):
    """How the events of one class become records; worked out once. `write` stands for all of it where there is one."""

    topic: str
    key: Callable[[Event], bytes | None]
    body: WriteBody = bytes
    headers: Callable[[Ids, bytes | None], Headers] = lambda ids, key: ()
    write: Write | None = None
    packed: bool = False
    """Whether the headers are the packed ids and nothing more, which can be made of all ids that were ever read."""


class Unsigned(NamedTuple):
    """All of an event's record but its headers, and how these are made of its ids."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Callable[[Ids, bytes | None], Headers]


class Codec:
    """Encodes any event; decodes those of `classes`.

    `unseal`, once it is set, is asked about every body; `erased` counts the fields that it answered as erased, and
    `lacks_schemas` says that the registry did not know one. `cluster_id` goes into the ids of records that carry none;
    `topics` says of a topic that holds another's records (re-keyed, or with a prefix) which one its events belong to.
    """

    def __init__(
        self,
        registry: Registry,
        classes: Iterable[type[Event]],
        cluster_id: str,
        *,
        topics: Mapping[str, str] | None = None,
    ) -> None:
        self._registry, self._cluster_id, self._topics = registry, cluster_id, dict(topics or {})
        self.unseal: Unseal | None = None
        self.erased = 0
        self.lacks_schemas = False
        self._by_name: dict[str, type[Event]] = {}
        self._foreign: dict[str, ForeignTopic] = {}
        self._readings: dict[bytes, _Reading | None] = {}
        self._settled: dict[str, dict[bytes, _Reading | None]] = {}
        """By topic and frame."""
        self._writings: dict[type[Event], _Writing] = {}
        known = list(dict.fromkeys(classes))
        self._lifts = lifts_of(known)
        known += self._lifts
        for cls in known:
            self._add(cls)
        for cls in known:
            if cls.contract.topic in self._foreign:
                self._foreign[cls.contract.topic].add(cls)

    def encode(self, event: Event, ids: Ids) -> NewRecord:
        """The record of an event. The schema of a class is registered when its first event is encoded.

        Raises PublishError for an event without a topic, with an empty key, or that does not fit its schema, and
        RegistryUnavailableError, which is about no event.
        """
        writing = self._writings.get(type(event)) or self._writing(type(event))
        topic, key, body, headers, write, _ = writing
        try:
            if write is not None:
                value, outside = write(event, ids)
                return NewRecord(topic, key(event), value, outside)
            value = body(event)
        except ChoreoError:
            raise
        except Exception as error:  # whatever a writer raises: the event is not written, and the publish door says why
            raise _does_not_fit(event, error)
        text = key(event)
        return of_fields(NewRecord, (topic, text, value, headers(ids, text), None))

    def unsigned(self, event: Event) -> Unsigned | None:
        """The same without ids: whoever makes the headers of ids that were read, or follow from such, meets no error.

        None for an event whose record hangs on its ids otherwise. Raises as `encode` does.
        """
        writing = self._writings.get(type(event)) or self._writing(type(event))
        topic, key, body, headers, _, packed = writing
        if not packed:
            return None
        try:
            value = body(event)
        except ChoreoError:
            raise
        except Exception as error:  # as above
            raise _does_not_fit(event, error)
        return of_fields(Unsigned, (topic, key(event), value, headers))

    def ids(self, record: Record) -> Ids:
        """The ids of a record: from its header, from plain text or CloudEvents headers, else from its position."""
        try:
            for name, value in record.headers:
                if name == HEADER:
                    return unpack(value)
            given, headers = foreign_ids(self._cluster_id, record), record.headers
            if self._foreign and isinstance(taken := self._take(record), Taken):
                given = wire_ids(taken.cls.contract.topic, taken.wire, taken.body, given)
                headers = (*headers, *taken.said)
            return plain_ids(headers, given) if headers else given
        except DecodeError as error:
            error.at = record.position
            raise

    def said_ids(self, record: Record) -> Ids | None:
        """The ids that a record bears; None for one that bears none: its ids follow from its place. Raises DecodeError.

        One whose time is beyond all that ids can say has them said too.
        """
        return None if not record[6] and not self._foreign and record[3] < _FAR_MS else self.ids(record)

    def emitted_at(self, record: Record) -> int:
        """When the event of a record was emitted (microseconds). Raises DecodeError as `ids` does."""
        for name, value in record.headers:
            if name == HEADER:
                return emitted_at(value)
        return self.ids(record).at

    def event_class(self, record: Record) -> type[Event] | None:
        """The class of a record's event, without decoding its body; None for a type that this codec does not know.

        Raises DecodeError where there is no frame, the schema id is unknown, or the class belongs to another topic.
        """
        taken = self._take(record) if self._foreign else FRAMED
        if taken is not FRAMED:
            return taken.cls if isinstance(taken, Taken) else None
        reading = self._reading(record)
        return None if reading is None else reading.cls

    def event_among(
        self, record: Record, classes: Container[type[Event]]
    ) -> tuple[type[Event], Event] | tuple[None, None]:
        """The event of a record and its class where that is among `classes`; of another one the body stays unread.

        Raises DecodeError as `event_class` and `event` do.
        """
        if self._foreign:
            kind = self.event_class(record)
            return (None, None) if kind is None or kind not in classes else (kind, self.event(record))
        reading = self._reading(record)
        if reading is None or reading.cls not in classes:
            return None, None
        return reading.cls, self._event(record, reading)

    def event(self, record: Record) -> Event:
        """The event of a record. Raises DecodeError where its body is cut short, goes on too long or is not valid."""
        if self._foreign and (taken := self._take(record)) is not FRAMED:
            return self._validated(record, taken if isinstance(taken, Taken) else None)
        reading = self._reading(record)
        if reading is None:
            raise broken(record, "its type is none that this codec knows")
        return self._event(record, reading)

    def decode(self, record: Record) -> Envelope[Event]:
        """An event with its ids. Raises DecodeError."""
        return Envelope(self.event(record), self.ids(record))

    def _event(self, record: Record, reading: _Reading) -> Event:
        cls, _, read, validate, from_datum, _ = reading
        try:
            datum: Any = read(record.value, _FRAME)  # type: ignore[arg-type]  # its frame has been read
            body = datum if from_datum is None else from_datum(datum)
            if self.unseal is not None and (instead := self.unseal(record, cls, body)):
                body, validate = {**body, **instead}, reading.unsealed
                self.erased += erased_in(instead)
            event: Event = validate(body, extra="ignore")
        except Exception as error:  # garbage makes fastavro raise anything from EOFError to MemoryError
            why = f"it is no {cls.contract.full_name}"
            raise because(broken(record, why, f"{type(error).__name__}: {error}"), error)
        return event

    def _validated(self, record: Record, taken: Taken | None) -> Event:
        """The event of a record whose body is in no frame."""
        if taken is None:
            raise broken(record, "its type is none that this codec knows")
        cls, body = taken.cls, taken.body
        validate: Callable[..., Any] = cls.__pydantic_validator__.validate_python
        try:
            if self.unseal is not None and (instead := self.unseal(record, cls, body)):
                body, validate = {**body, **instead}, with_erased(cls)
                self.erased += erased_in(instead)
            event: Event = validate(body, extra="ignore")
        except Exception as error:  # validators of the user may raise anything
            raise because(broken(record, f"it is no {cls.contract.full_name}", str(error)), error)
        return event

    def _add(self, cls: type[Event]) -> None:
        contract = cls.contract
        if contract.abstract:
            raise EventError(f"{contract.full_name} is an abstract base", why="nothing is published under its name")
        if is_foreign(contract):
            self._foreign.setdefault(contract.topic, ForeignTopic())
            if contract.wire is not None:
                return
        for name in filter(None, (contract.full_name, contract.former_name)):
            other = self._by_name.setdefault(name, cls)
            if other is not cls:
                raise EventError(f"two classes are called {name}", why=f"{other.__module__} and {cls.__module__}")

    def _take(self, record: Record) -> object:
        """What a record of a foreign topic is; FRAMED where its frame says it. Raises DecodeError."""
        topic = self._foreign.get(self._topic(record))
        return FRAMED if topic is None else topic.take(record)

    def _topic(self, record: Record) -> str:
        return self._topics.get(record.topic, record.topic) if self._topics else record.topic

    def _reading(self, record: Record) -> _Reading | None:
        try:
            return self._settled[record.topic][record.value[:_FRAME]]  # type: ignore[index]  # caught below
        except (KeyError, TypeError):
            reading = self._first_reading(record)
            self._settled.setdefault(record.topic, {})[(record.value or b"")[:_FRAME]] = reading
            return reading

    def _first_reading(self, record: Record) -> _Reading | None:
        """How to read the first record of its type on its topic: all that need not be asked again is asked here."""
        value = record.value
        if value is None or len(value) < _FRAME or value[0] != _MAGIC:
            begin = "it has no value" if value is None else f"it begins with {value[:_FRAME].hex(' ') or 'nothing'}"
            raise broken(record, begin, "an event begins with byte 0 and a schema id of four bytes")
        frame = value[:_FRAME]
        try:
            reading = self._readings[frame]
        except KeyError:
            reading = self._readings[frame] = self._resolve(record, int.from_bytes(frame[1:], "big"))
        if reading is not None and reading.topic != self._topic(record):
            raise broken(
                record,
                f"{reading.cls.contract.full_name} belongs to the topic {reading.topic}",
                hint="find out who writes it here; or change topic= of the class",
            )
        return reading

    def _resolve(self, record: Record, schema_id: int) -> _Reading | None:
        try:
            written = self._registry.schema(schema_id)
            cls = self._by_name.get(_full_name(written))
            if cls is None:
                return None
            read, problems = _way_to_read(cls, json.dumps(written))
            if read is None:
                raise broken(
                    record,
                    f"{cls.__name__} can't read schema {schema_id}",
                    "; ".join(problems),
                    "give new fields a default, and renamed ones Formerly(...)",
                )
            from_datum = shape_of(cls).from_datum
            validate: Callable[..., Any] = cls.__pydantic_validator__.validate_python
            unsealed: Callable[..., Any] = with_erased(cls)
            while (newer := self._lifts.get(cls)) is not None:
                validate, unsealed = lifting(cls, newer, validate), lifting(cls, newer, unsealed)
                cls = newer
            return _Reading(cls, cls.contract.topic, read, validate, from_datum, unsealed)
        except (DecodeError, RegistryUnavailableError):
            raise  # a registry that is away says nothing about this record: it must not end as a dead letter
        except ChoreoError as error:
            self.lacks_schemas = self.lacks_schemas or isinstance(error, UnknownSchemaError)
            raise because(broken(record, error.message, error.why, error.hint), error)
        except Exception as error:  # a schema of another system that fastavro or we can't parse
            raise because(broken(record, f"schema {schema_id} can't be used", str(error)), error)

    def _writing(self, cls: type[Event]) -> _Writing:
        contract = cls.contract
        if contract.abstract:
            raise PublishError(f"{contract.full_name} is an abstract base", why="it has no topic of its own")
        key = key_reader(cls)
        if (write := writer_of(cls)) is not None:
            writing = _Writing(contract.topic, key, write=write)
        elif contract.external:
            raise PublishError(
                f"{contract.full_name} is another system's event",
                why="its Avro schema is registered by its owner only",
                hint="an event of your own",
            )
        else:
            shape = shape_of(cls)
            try:
                subject = self._registry.subject_of(contract.full_name, contract.topic)
                schema_id = self._registry.register(subject, shape.avro)
            except RegistryUnavailableError:
                raise
            except SchemaError as error:
                raise because(PublishError(error.message, at=error.at, why=error.why, hint=error.hint), error)
            frame = bytes((_MAGIC,)) + schema_id.to_bytes(4, "big")
            body, headers, packed = _way_to_write(cls, frame), headers_of(contract), bears_packed_ids(contract)
            writing = _Writing(contract.topic, key, body, headers, packed=packed)
        self._writings[cls] = writing
        return writing


# A worker that starts again in this process, as simulations have it do, makes a codec anew, but not what it goes by.


@lru_cache(maxsize=1024)
def _way_to_read(cls: type[Event], written: str) -> tuple[ReadBody | None, tuple[str, ...]]:
    """How bodies of a schema (JSON) are read for a class; or None, and why they can't be."""
    schema, problems = resolve(json.loads(written), shape_of(cls).avro)
    return (None if problems else reader_of(schema)), problems


@lru_cache(maxsize=1024)
def _way_to_write(cls: type[Event], frame: bytes) -> WriteBody:
    """How the bodies of a class are written, after their frame."""
    shape = shape_of(cls)
    return body_writer_of(shape.avro, shape, frame)


def _does_not_fit(event: Event, error: Exception) -> PublishError:
    return because(
        PublishError(
            f"{event.contract.full_name} does not fit its schema: {error}",
            hint="was it made with model_construct or changed afterwards?",
        ),
        error,
    )


def _full_name(schema: Mapping[str, Any]) -> str:
    name = str(schema.get("name", ""))
    namespace = schema.get("namespace")
    return name if "." in name or not namespace else f"{namespace}.{name}"
