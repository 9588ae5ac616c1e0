"""Topics whose bodies are not all in the Confluent frame: which class a record is of, and how such records are written.

A record says its type as a CloudEvent, by the header `choreo-type`, or by its body alone; in this order.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from choreo.errors import DecodeError, EventError, because
from choreo.events.cloudevents import PREFIX, CloudEvent, binary_headers, read_cloud_event, structured
from choreo.events.contract import Contract
from choreo.events.envelope import HEADER, Ids, pack
from choreo.events.event import Event, key_reader
from choreo.events.plain import cloud_attributes, plain_headers
from choreo.events.wire import Json, Wire, Written
from choreo.record import Headers, Record

TYPE_HEADER = "choreo-type"
"""The full name of an event whose body does not tell its type."""
FRAME_TYPE = "application/avro"
"""The media type of a CloudEvent's data in the Confluent frame: magic byte 0, schema id, Avro body."""
Write: TypeAlias = Callable[[Event, Ids], Written]


class Taken(NamedTuple):
    """Whose record it is: class and wire, the body by wire name, the attributes of a CloudEvent as `ce_` headers."""

    cls: type[Event]
    wire: Wire
    body: Mapping[str, Any]
    said: Headers = ()


class _Reader(NamedTuple):
    """A class of the topic; `wire` is None where its records are in the Confluent frame."""

    cls: type[Event]
    wire: Wire | None


class _Framed:
    """Says that a record is to be read by its frame."""


FRAMED: Final = _Framed()


class ForeignTopic:
    """The classes of one topic, and which of them a record is of."""

    def __init__(self) -> None:
        self._by_cloud: dict[str, _Reader] = {}
        self._by_type: dict[str, _Reader] = {}
        self._by_body: list[_Reader] = []
        self._may_be_framed = False
        self._last: tuple[Record, Taken | _Framed | None] | None = None

    def add(self, cls: type[Event]) -> None:
        """Read this class too. Raises EventError for a second class of the same CloudEvents type."""
        contract = cls.contract
        reader = _Reader(cls, None if contract.wire is None else contract.wire.bound_to(cls))
        self._may_be_framed = self._may_be_framed or contract.wire is None or not contract.external
        for name in filter(None, (contract.full_name, contract.former_name)):
            self._by_type[name] = reader
        if (cloud := contract.cloud) is None:
            if reader.wire is not None:
                self._by_body.append(reader)
            return
        for name in filter(None, (cloud.type, contract.former_name)):
            other = self._by_cloud.setdefault(name, reader)
            if other.cls is not cls:
                why = f"{other.cls.contract.full_name} and {contract.full_name}"
                raise EventError(
                    f"two classes read CloudEvents of the type {name}",
                    why=why,
                    hint="cloudevents=CloudEvents(type=...) of its own for each",
                )

    def take(self, record: Record) -> Taken | _Framed | None:
        """What the record is; None for a type that is none of ours; FRAMED where its frame says more.

        Raises DecodeError. The answer for the record asked last is kept: class, ids and event are asked in turn.
        """
        last = self._last
        if last is None or last[0] is not record:
            last = self._last = record, self._look(record)
        return last[1]

    def _look(self, record: Record) -> Taken | _Framed | None:
        if self._by_cloud:
            try:
                event = read_cloud_event(record)
            except Exception as error:  # whatever stands in a foreign record
                raise because(broken(record, "it is no CloudEvent", str(error)), error)
            if event is not None:
                return self._cloud(record, event)
        named = next((value for name, value in record.headers if name == TYPE_HEADER), None)
        if named is not None:
            reader = self._by_type.get(bytes(named).decode(errors="replace"))
            return self._unless_framed(record) if reader is None else self._body([reader], record)
        if self._unless_framed(record) is FRAMED:
            return FRAMED
        if not self._by_body:
            raise broken(record, "it is no CloudEvent", "neither ce_specversion nor content-type says that it is one")
        return self._body(self._by_body, record)

    def _cloud(self, record: Record, event: CloudEvent) -> Taken | _Framed | None:
        reader = self._by_cloud.get(event.attributes["type"])
        is_binary = any(name == f"{PREFIX}specversion" for name, _ in record.headers)
        if reader is None:
            return self._unless_framed(record) if is_binary else None
        if reader.wire is None and is_binary:
            return FRAMED
        if reader.wire is None:
            reader = reader._replace(wire=Json())
        said = tuple((PREFIX + name, text.encode()) for name, text in event.attributes.items())
        headers = [header for header in record.headers if not header[0].startswith(PREFIX)]
        return self._body([reader], record._replace(value=event.data, headers=(*headers, *said)), said)

    def _unless_framed(self, record: Record) -> _Framed | None:
        """FRAMED for a value that begins as the frame does, where a class of this topic, or a neighbour's, uses it."""
        return FRAMED if self._may_be_framed and record.value is not None and record.value[:1] == b"\0" else None

    def _body(self, readers: list[_Reader], record: Record, said: Headers = ()) -> Taken | _Framed | None:
        for cls, wire in readers:
            if wire is None:
                return FRAMED
            if record.value is None:
                raise broken(record, "it has no value")
            try:
                body = wire.read(record)
            except Exception as error:  # a Wire of the user may raise anything
                raise because(broken(record, f"it is no {cls.contract.full_name}", str(error)), error)
            if body is not None:
                return Taken(cls, wire, body, said)
        return None


def is_foreign(contract: Contract) -> bool:
    """Whether the frame alone does not tell what the records of a class are."""
    return contract.wire is not None or contract.cloud is not None


def bears_packed_ids(contract: Contract) -> bool:
    """Whether the packed header is all that the records of an event in the Confluent frame have beside their body."""
    return contract.cloud is None and contract.headers == "packed"


def headers_of(contract: Contract) -> Callable[[Ids, bytes | None], Headers]:
    """How ids and key of an event lie in the headers of its record where its body is in the Confluent frame."""
    if bears_packed_ids(contract):
        return lambda ids, key: ((HEADER, pack(ids)),)
    own = _own_headers(contract)
    if (cloud := contract.cloud) is None:
        return lambda ids, key: own(ids)
    return lambda ids, key: (*own(ids), *binary_headers(cloud_attributes(cloud, FRAME_TYPE, ids, key)))


def writer_of(cls: type[Event]) -> Write | None:
    """How the records of a class are written whose body is in no frame; None where it is in one.

    Another system's event carries no ids of ours, but for those of a CloudEvent, which has to have some.
    """
    contract = cls.contract
    cloud = contract.cloud
    if contract.framed:
        return None
    wire = (contract.wire or Json()).bound_to(cls)
    own = _no_headers if contract.external else _own_headers(contract)
    if cloud is None:
        if not contract.external and contract.headers == "packed":
            packed, kind = own, ((TYPE_HEADER, contract.full_name.encode()),)
            own = lambda ids: (*packed(ids), *kind)  # noqa: E731  # one line says it
        return lambda event, ids: _with(wire.write(event), own(ids))
    key = key_reader(cls)

    def write(event: Event, ids: Ids) -> Written:
        value, beside = wire.write(event)
        attributes = cloud_attributes(cloud, wire.content_type, ids, key(event))
        if cloud.mode == "binary":
            return Written(value, (*own(ids), *beside, *binary_headers(attributes)))
        return _with(Written(*structured(CloudEvent(attributes, value))), (*own(ids), *beside))

    return write


def broken(record: Record, what: str, why: str | None = None, hint: str | None = None) -> DecodeError:
    """The error for a record that is no event, with its position."""
    cure = hint or "see `choreo dead-letters list`; find out who writes it, then redrive or drop it"
    return DecodeError(f"this record is no event: {what}", at=record.position, why=why, hint=cure)


def _with(written: Written, headers: Headers) -> Written:
    return Written(written.value, (*headers, *written.headers))


def _own_headers(contract: Contract) -> Callable[[Ids], Headers]:
    if contract.headers == "packed":
        return lambda ids: ((HEADER, pack(ids)),)
    kind = (TYPE_HEADER, contract.full_name.encode())
    return lambda ids: (kind, *plain_headers(ids))


def _no_headers(ids: Ids) -> Headers:
    return ()
