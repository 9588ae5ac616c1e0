"""Bodies of other systems: JSON, bytes and plain Avro, with ids and fields that lie beside the body."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastavro import schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from choreo.errors import DecodeError, EventError, PublishError
from choreo.events.codec import Codec
from choreo.events.envelope import FOREIGN, Ids
from choreo.events.event import Event
from choreo.events.registry import MemoryRegistry
from choreo.record import Headers, NewRecord, Record
from choreo.types import Avro, Bytes, Formerly, Json, Wire
from tests.events.sample import Everything, Money, Node, kept
from tests.events.test_codec import everything, place_of_error

IDS = Ids(UUID(int=5).bytes, "o1", UUID(int=6).bytes, at=7)
MOMENT = 1_767_225_600_000_000
OWNERS = {
    "type": "record", "name": "Metering", "namespace": "grid",
    "fields": [
        {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "meter", "type": "string"},
        {"name": "kwh", "type": "int"},
        {"name": "station", "type": ["null", "string"], "default": None},
    ],
}  # fmt: skip


class Metered(Event, namespace="erp", topic="grid.meters", key="meter", external=True,
              wire=Avro(OWNERS, event_id="uuid", timestamp="at")):  # fmt: skip
    meter: str
    energy: Annotated[float, Formerly("kwh")]


class Picture(Event, namespace="cam", topic="cam.pictures", key="camera", external=True,
              wire=Bytes("jpeg", key="camera", headers={"lux": "x-lux", "night": "x-night"},
                         event_id="header:x-id", timestamp="header:x-time")):  # fmt: skip
    camera: str
    jpeg: bytes
    lux: int | None = None
    night: bool = False


class LogLine(Event, namespace="sys", topic="sys.log", external=True, wire=Bytes("line")):
    line: str


class Priced(Event, namespace="erp", topic="erp.prices", key="sku", external=True,
             wire=Json(key="s", headers={"shop": "shop"}, event_id="header:id")):  # fmt: skip
    sku: Annotated[str, Field(alias="s")]
    price: Annotated[Decimal, Field(max_digits=25, decimal_places=2)]
    shop: str


class Told(Event, namespace="own", topic="own.told", key="key", wire=Json()):
    key: str
    total: Money
    raw: bytes


class Heard(Event, namespace="own", topic="own.told", key="key", wire=Json(), headers="plain"):
    key: str


class Framed(Event, namespace="own", topic="own.told", key="key"):
    key: str


def codec(*classes: type[Event]) -> Codec:
    return Codec(MemoryRegistry(), classes, "cluster-1")


def foreign(topic: str, value: bytes | None, key: bytes | None = b"k", headers: Headers = ()) -> Record:
    return kept(NewRecord(topic, key, value, headers))


def metering(**changed: Any) -> bytes:
    body = BytesIO()
    row = {"uuid": str(UUID(int=9)), "at": MOMENT // 1000, "meter": "m1", "kwh": 12, "station": "north"}
    schemaless_writer(body, OWNERS, row | changed)
    return body.getvalue()


def test_a_plain_avro_body_is_read_by_the_schema_of_its_sender() -> None:
    """Promotions, earlier names and removed fields are resolved; id and time come from the body."""
    record = foreign("grid.meters", metering())
    assert codec(Metered).decode(record) == (
        Metered(meter="m1", energy=12.0),
        Ids(UUID(int=9).bytes, str(UUID(int=9)), at=MOMENT),
    )


def test_a_plain_avro_body_cut_short_or_too_long_is_a_decode_error() -> None:
    """Every prefix of a body, and one with a byte more, names the position."""
    reading, value = codec(Metered), metering()
    for damaged in (*(value[:end] for end in range(len(value))), value + b"x"):
        with pytest.raises(DecodeError) as caught:
            reading.event(foreign("grid.meters", damaged))
        assert str(caught.value.at) == "grid.meters[0]@0"


@given(event=everything)
def test_every_type_goes_through_plain_avro(event: Everything) -> None:
    """Without a schema given, that of the class is used: no frame, and what is written reads back."""
    assert PLAIN.event(kept(PLAIN.encode(PlainEverything(**dict(event)), IDS))) == PlainEverything(**dict(event))


class PlainEverything(Everything, topic="plain.everything", wire=Avro()):
    """Everything, without a frame."""


PLAIN = codec(PlainEverything)


def test_an_avro_schema_comes_from_a_file_or_as_text(tmp_path: Path) -> None:
    """A Path is read, text is parsed; whatever is no record, or can't be read, is told where the class stands."""
    file = tmp_path / "metering.avsc"
    file.write_text(json.dumps(OWNERS))
    for schema in (file, json.dumps(OWNERS)):

        class Metering(Event, namespace="grid", topic="grid.meters", key="meter", external=True, wire=Avro(schema)):
            meter: str

        assert codec(Metering).event(foreign("grid.meters", metering())) == Metering(meter="m1")
    for wrong, said in ((tmp_path / "none.avsc", "No such file"), ("{", "Expecting"), ('"string"', "Avro record")):
        with pytest.raises(EventError, match="schema can't be used") as caught:

            class Lost(Event, namespace="grid", topic="grid.meters", external=True, wire=Avro(wrong)):
                meter: str

        assert said in str(caught.value.why)
        assert "test_wire.py" in str(caught.value.at)


def test_an_avro_schema_that_does_not_fit_is_refused_when_the_class_is_made() -> None:
    """A field that the sender never writes, and that has no default, can't be read."""
    with pytest.raises(EventError, match="can't read what its Avro schema writes") as caught:

        class Metering(Event, namespace="grid", topic="grid.meters", external=True, wire=Avro(OWNERS)):
            volts: int

    assert "volts" in str(caught.value.why)


def test_bytes_are_one_field_and_the_rest_lies_beside() -> None:
    """Value, key and headers become fields; the id and the time of the sender come from headers."""
    headers = [("x-lux", b"40"), ("x-night", b"true"), ("x-id", b"pic-1"), ("x-time", b"%d" % (MOMENT // 1000))]
    reading, record = codec(Picture), foreign("cam.pictures", b"\xff\xd8", b"cam-7", headers)
    assert reading.event(record) == Picture(camera="cam-7", jpeg=b"\xff\xd8", lux=40, night=True)
    ids = reading.ids(record)
    assert ids.at == MOMENT
    assert ids.event_id == reading.ids(record._replace(offset=9)).event_id
    bare = foreign("cam.pictures", b"", b"cam-7")
    assert reading.event(bare) == Picture(camera="cam-7", jpeg=b"")
    assert reading.ids(bare) != reading.ids(bare._replace(offset=9))


def test_what_lies_beside_is_written_beside() -> None:
    """An event of bytes is written as its owner would: value as it is, key as the key, headers as text."""
    writing = codec(Picture)
    event = Picture(camera="cam-7", jpeg=b"\xff\xd8", night=True)
    assert writing.encode(event, IDS) == NewRecord("cam.pictures", b"cam-7", b"\xff\xd8", (("x-night", b"true"),))
    assert writing.event(kept(writing.encode(event, IDS))) == event


def test_bytes_of_text_are_utf_8() -> None:
    """A text field holds the value as text; what is no UTF-8 is a DecodeError."""
    both = codec(LogLine)
    assert both.event(foreign("sys.log", "süß".encode())) == LogLine(line="süß")
    assert both.encode(LogLine(line="süß"), IDS).value == "süß".encode()
    for broken in (b"\xff", None):
        with pytest.raises(DecodeError):
            both.event(foreign("sys.log", broken))


def test_a_key_that_was_replaced_by_a_relay_is_still_known() -> None:
    """A relayed record has another key; the field that is the key is read from the original one."""
    record = foreign("cam.pictures", b"x", b"by-another-field", [("choreo-key", b"cam-7")])
    assert codec(Picture).event(record) == Picture(camera="cam-7", jpeg=b"x")


def test_json_with_the_key_outside_keeps_every_digit() -> None:
    """Key and header are no part of the body, and money is not read through a float."""
    both = codec(Priced)
    body = b'{"price": 12345678901234567890.12}'
    event = both.event(foreign("erp.prices", body, b"tea", [("shop", b"vienna")]))
    assert event == Priced(sku="tea", price=Decimal("12345678901234567890.12"), shop="vienna")
    new = both.encode(event, IDS)
    assert (new.key, new.headers) == (b"tea", (("shop", b"vienna"),))
    assert json.loads(new.value or b"") == {"price": "12345678901234567890.12"}
    assert both.event(kept(new)) == event


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        (Json(key="metre"), "did you mean 'meter'?"),
        (Json(headers={"qqq": "x"}), "None"),
        (Avro(key="metre"), "did you mean 'meter'?"),
        (Bytes("metre"), "did you mean 'meter'?"),
        (Bytes("meter"), 'headers={"volts": ...}'),
    ],
)
def test_a_wire_that_does_not_fit_its_class_is_refused(wire: Wire, said: str) -> None:
    """A wire that names no field, or leaves one without a value, is an error where the class is made."""
    with pytest.raises(EventError) as caught:

        class Metering(Event, namespace="grid", topic="grid.meters", external=True, wire=wire):
            meter: str
            volts: int

    assert said in str(caught.value.hint)
    assert "test_wire.py" in str(caught.value.at)


def test_our_own_json_keeps_its_ids_and_says_its_type() -> None:
    """Own events as JSON lie on one topic with framed ones: each is told by its header or frame, ids and all."""
    both = codec(Told, Heard, Framed)
    events = [Told(key="a", total=Decimal("1.50"), raw=b"\xff\0"), Heard(key="a"), Framed(key="a")]
    for event in events:
        assert both.decode(kept(both.encode(event, IDS))) == (event, IDS)
    told, heard, _ = (both.encode(event, IDS) for event in events)
    assert [name for name, _ in told.headers] == ["choreo", "choreo-type"]
    assert dict(heard.headers)["choreo-type"] == b"own.Heard"
    assert "choreo" not in dict(heard.headers)
    assert json.loads(heard.value or b"") == {"key": "a"}


def test_a_neighbours_types_are_passed_over() -> None:
    """A service that knows one class of a topic takes neither the others' JSON nor their frames for its own."""
    registry = MemoryRegistry()
    writing, reading = Codec(registry, (), "c"), Codec(registry, (Told,), "c")
    for event in (Heard(key="a"), Framed(key="a")):
        assert reading.event_class(kept(writing.encode(event, IDS))) is None


def test_an_event_changed_past_validation_is_a_publish_error() -> None:
    """What the wire can't write leaves by the publish door."""
    broken = PlainEverything.model_construct(uid=UUID(int=1), day=datetime(2026, 1, 1, tzinfo=UTC).date(), text=7)
    with pytest.raises(PublishError, match="does not fit its schema"):
        PLAIN.encode(broken, IDS)


@settings(deadline=None, max_examples=100)
@given(body=st.binary(max_size=60), flip=st.integers(0, 10_000))
def test_fuzzed_bodies_raise_nothing_but_decode_errors(body: bytes, flip: int) -> None:
    """Whatever stands in value, key and headers, each wire gives an event or a DecodeError with the position."""
    reading, damaged = codec(Metered, Picture, LogLine, Priced, Told), bytearray(metering())
    damaged[flip % len(damaged)] ^= 1 + flip % 255
    for topic in ("grid.meters", "cam.pictures", "sys.log", "erp.prices", "own.told"):
        for value in (body, bytes(damaged), b'{"price": ' + body + b"}"):
            headers = [("x-lux", body), ("x-time", b"7"), ("shop", b"v"), ("choreo-type", b"own.Told")]
            record = foreign(topic, value, body, headers)
            for read in (reading.event_class, reading.event, reading.ids):
                assert place_of_error(read, record) in (None, record.position)


@pytest.mark.parametrize("depth", [1_000, 300_000])
def test_a_body_of_great_depth_does_not_end_the_process(depth: int) -> None:
    """Records within records, in Avro or JSON, are refused where they go too deep."""

    class Planted(Event, namespace="t", topic="t.avro", external=True, wire=Avro()):
        tree: Node

    class Grown(Event, namespace="t", topic="t.json", external=True, wire=Json()):
        tree: Node

    inner = b'{"name":"","size":"SMALL","children":['
    for topic, value in (
        ("t.avro", b"\0\0\x02" * depth + b"\0\0\0" + b"\0" * depth),
        ("t.json", b'{"tree":' + inner * depth + b"]}" * depth + b"}"),
    ):
        with pytest.raises(DecodeError):
            codec(Planted, Grown).event(foreign(topic, value))


@pytest.mark.parametrize("moment", ["true", '"yesterday"', "[1]", "1e300", "1e400", "1e99999999", "NaN"])
def test_a_time_that_is_none_is_a_decode_error(moment: str) -> None:
    """What is neither ISO 8601 nor milliseconds names its position, whatever JSON it is."""

    class Ticked(Event, namespace="erp", topic="erp.ticks", external=True, wire=Json(timestamp="t")): ...

    with pytest.raises(DecodeError, match="ids in the body") as caught:
        codec(Ticked).ids(foreign("erp.ticks", f'{{"t": {moment}}}'.encode()))
    assert caught.value.at


@pytest.mark.parametrize("number", ["1e99999999", "-1E99999999", "1e99999999999999999999", "Infinity", "9" * 5000])
def test_a_number_beyond_all_bounds_is_a_decode_error_at_once(number: str) -> None:
    """A few bytes can't make a worker write out a hundred million digits."""

    class Counted(Event, namespace="erp", topic="erp.counts", external=True, wire=Json()):
        pieces: int

    with pytest.raises(DecodeError):
        codec(Counted).event(foreign("erp.counts", f'{{"pieces": {number}}}'.encode()))


def test_an_id_of_the_sender_is_the_same_for_the_same_topic() -> None:
    """An id that is no UUID becomes one of its topic, so that a record sent twice is one event."""
    from uuid import uuid5

    record = foreign("erp.prices", b'{"price": 1}', b"tea", [("id", b"77"), ("shop", b"v")])
    assert codec(Priced).ids(record).event_id == uuid5(FOREIGN, "erp.prices 77").bytes


def test_a_plain_body_that_begins_as_a_single_object_is_read() -> None:
    """Two bytes do not make a single object: a body whose first field begins with C3 01 is still a plain one."""

    class Counted(Event, namespace="t", topic="t.counted", external=True, wire=Avro()):
        pieces: int
        name: str

    body = BytesIO()
    fields = [{"name": "pieces", "type": "long"}, {"name": "name", "type": "string"}]
    schemaless_writer(body, {"type": "record", "name": "A", "fields": fields}, {"pieces": -98, "name": "nine bytes"})
    assert body.getvalue()[:2] == b"\xc3\x01"
    record = kept(NewRecord("t.counted", None, body.getvalue()))
    assert Codec(MemoryRegistry(), [Counted], "c").event(record) == Counted(pieces=-98, name="nine bytes")
