"""Events as CloudEvents on Kafka: either mode is read, the type tells the class, what breaks the rules is refused."""

import json
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.errors import DecodeError, EventError
from choreo.events.cloudevents import CloudEvent, binary_headers, read_cloud_event, structured
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.event import Event, EventType
from choreo.events.registry import MemoryRegistry
from choreo.record import Headers, NewRecord, Record
from choreo.types import Avro, Bytes, CloudEvents, Json
from tests.events.sample import kept
from tests.events.test_codec import place_of_error

IDS = Ids(UUID(int=5).bytes, "o1", UUID(int=6).bytes, at=1_767_225_600_000_001)
TOLD = IDS._replace(at=1_767_225_600_000_001)
REQUIRED = {"specversion": "1.0", "id": "1", "source": "/s", "type": "own.Sent"}
STRUCTURED: Headers = (("content-type", b"application/cloudevents+json; charset=utf-8"),)


class Framed(Event, namespace="own", topic="own.clouds", key="key", cloudevents=True):
    key: str


class Sent(Event, namespace="own", topic="own.clouds", key="key", wire=Json(), cloudevents=True):
    key: str


class Whole(Event, namespace="own", topic="own.clouds", key="key", cloudevents=CloudEvents(mode="structured")):
    key: str
    pieces: int


class Packed(Event, namespace="own", topic="own.clouds", key="key", headers="plain",
             wire=Avro(), cloudevents=CloudEvents(mode="structured", source="/own")):  # fmt: skip
    key: str
    raw: bytes


class Text(Event, namespace="own", topic="own.clouds", wire=Bytes("line"), cloudevents=CloudEvents("structured")):
    line: str


EVENTS = [Framed(key="a"), Sent(key="a"), Whole(key="a", pieces=3), Packed(key="a", raw=b"\xff"), Text(line="ü\n")]


@pytest.fixture
def codec() -> Codec:
    return Codec(MemoryRegistry(), [type(event) for event in EVENTS], "c")


def outside(new: NewRecord) -> Record:
    """The record without what only Choreo reads."""
    return kept(new._replace(headers=[pair for pair in new.headers if not pair[0].startswith("choreo")]))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_kind_reads_back_with_its_ids(codec: Codec, event: Event) -> None:
    """On one topic, events of either mode, framed, JSON, Avro and text, are told apart and keep their ids."""
    new = codec.encode(event, IDS)
    assert codec.event_class(kept(new)) is type(event)
    assert codec.decode(kept(new)) == (event, IDS)
    assert codec.decode(outside(new)) == (event, TOLD)
    cloud = read_cloud_event(kept(new))
    assert cloud is not None
    assert cloud.attributes["type"] == event.contract.full_name
    assert cloud.attributes["time"] == "2026-01-01T00:00:00.000001+00:00"


def test_binary_mode_has_the_attributes_in_headers(codec: Codec) -> None:
    """The value is the data alone; the media type of the data is the content type."""
    new = codec.encode(Sent(key="a"), IDS)
    assert new.value == b'{"key":"a"}'
    assert {name: text.decode() for name, text in new.headers if name != "choreo"} == {
        "ce_specversion": "1.0",
        "ce_id": str(UUID(int=5)),
        "ce_source": "/choreo/own.clouds",
        "ce_type": "own.Sent",
        "ce_time": "2026-01-01T00:00:00.000001+00:00",
        "ce_correlationid": "o1",
        "ce_causationid": str(UUID(int=6)),
        "content-type": "application/json",
    }
    assert dict(codec.encode(Framed(key="a"), IDS).headers)["content-type"] == b"application/avro"


def test_structured_mode_is_one_json_object(codec: Codec) -> None:
    """JSON data stands in it as JSON, other data as Base64; the content type says what it is."""
    whole, packed = (codec.encode(event, IDS) for event in (EVENTS[2], EVENTS[3]))
    assert json.loads(whole.value or b"") == {
        "specversion": "1.0", "id": str(UUID(int=5)), "source": "/choreo/own.clouds", "type": "own.Whole",
        "time": "2026-01-01T00:00:00.000001+00:00", "datacontenttype": "application/json", "correlationid": "o1",
        "causationid": str(UUID(int=6)), "data": {"key": "a", "pieces": 3},
    }  # fmt: skip
    assert dict(whole.headers)["content-type"] == b"application/cloudevents+json; charset=UTF-8"
    assert json.loads(packed.value or b"")["data_base64"] == "AmEC/w=="
    assert json.loads(packed.value or b"")["source"] == "/own"
    assert dict(packed.headers)["choreo-event-id"] == str(UUID(int=5)).encode()


def test_a_class_takes_either_mode_whatever_it_writes(codec: Codec) -> None:
    """The reader goes by the record: also a framed class reads structured JSON, and a structured one binary JSON."""
    body = {**REQUIRED, "type": "own.Framed", "data": {"key": "z"}}
    assert codec.event(kept(NewRecord("own.clouds", b"z", json.dumps(body).encode(), STRUCTURED))) == Framed(key="z")
    headers = binary_headers({**REQUIRED, "type": "own.Sent"})
    assert codec.event(kept(NewRecord("own.clouds", b"z", b'{"key": "z"}', headers))) == Sent(key="z")


def test_a_type_that_is_not_ours_has_no_class(codec: Codec) -> None:
    """CloudEvents of other types on the topic are passed over in either mode."""
    headers = binary_headers({**REQUIRED, "type": "other"})
    body = json.dumps({**REQUIRED, "type": "other", "data": 1}).encode()
    assert codec.event_class(kept(NewRecord("own.clouds", b"z", b"?", headers))) is None
    assert codec.event_class(kept(NewRecord("own.clouds", b"z", body, STRUCTURED))) is None


@pytest.mark.parametrize("word", ["", "no", "xml", "0.3", "half", "list", "text", "both", "null", "upper"])
def test_what_breaks_the_specification_is_a_decode_error(codec: Codec, word: str) -> None:
    """Each breach is refused with the position of its record."""
    body: Any = {
        "0.3": {**REQUIRED, "specversion": "0.3"}, "half": {"specversion": "1.0", "id": "1"}, "list": [1],
        "both": {**REQUIRED, "data": 1, "data_base64": "YQ=="}, "null": {**REQUIRED, "source": None},
        "upper": {**REQUIRED, "Big": "1"}, "text": {**REQUIRED, "id": {"a": 1}},
    }.get(word, REQUIRED)  # fmt: skip
    headers: Headers = {"no": (), "xml": (("content-type", b"application/cloudevents+xml"),)}.get(word, STRUCTURED)
    record = kept(NewRecord("own.clouds", b"z", b"" if word == "" else json.dumps(body).encode(), headers), 7)
    reads = [codec.event_class, codec.event] + ([] if word == "no" else [codec.ids])
    for read in reads:
        assert place_of_error(read, record) == record.position


def test_a_class_that_is_a_cloud_event_takes_no_other_record() -> None:
    """On a foreign topic of CloudEvents a body alone does not pass for one."""

    class Foreign(Event, namespace="f", topic="f.clouds", external=True, wire=Json(), cloudevents=True):
        a: int

    codec = Codec(MemoryRegistry(), [Foreign], "c")
    with pytest.raises(DecodeError, match="no CloudEvent") as caught:
        codec.event(kept(NewRecord("f.clouds", None, b'{"a": 1}'), 3))
    assert "ce_specversion" in str(caught.value.why)
    new = codec.encode(Foreign(a=1), IDS)
    assert not [name for name, _ in new.headers if name.startswith("choreo")]
    assert codec.event(kept(new)) == Foreign(a=1)


def test_two_classes_of_one_type_are_refused() -> None:
    """A type that two classes claim can't tell which one to read."""

    class One(Event, namespace="f", topic="f.clouds", external=True, cloudevents=CloudEvents(type="x")): ...

    class Two(Event, namespace="f", topic="f.clouds", external=True, cloudevents=CloudEvents(type="x")): ...

    with pytest.raises(EventError, match="two classes read CloudEvents of the type x"):
        Codec(MemoryRegistry(), [One, Two], "c")


@pytest.mark.parametrize("wrong", [{"mode": "batch"}, {"type": ""}, {"source": ""}])
def test_a_wrong_setting_is_refused(wrong: dict[str, Any]) -> None:
    """A mode that there is none of, and empty attributes, are errors where they are written."""
    with pytest.raises(EventError) as caught:
        CloudEvents(**wrong)
    assert caught.value.hint


names = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).filter(lambda name: name not in ("data", "datacontenttype"))
texts = st.text(st.characters(codec="utf-8"), min_size=1)


@given(
    extensions=st.dictionaries(names, texts),
    mode=st.sampled_from(["binary", "structured"]),
    data=st.recursive(st.none() | st.integers() | texts, lambda inner: st.dictionaries(texts, inner), max_leaves=4),
    raw=st.binary(),
)
def test_any_attributes_and_data_survive_both_modes(
    extensions: dict[str, str], mode: Literal["binary", "structured"], data: Any, raw: bytes
) -> None:
    """Whatever text stands in attributes and whatever bytes are the data, either mode gives them back."""
    json_data = json.dumps({"inner": data, "price": "1.10", "data": [data]}).encode()
    for kind, body in (("application/json", json_data), ("application/x-own", raw), ("text/plain", raw)):
        event = CloudEvent({**extensions, **REQUIRED, "datacontenttype": kind}, body)
        value, headers = structured(event) if mode == "structured" else (body, binary_headers(event.attributes))
        assert read_cloud_event(kept(NewRecord("t", None, value, headers))) == event


def test_json_data_is_kept_letter_by_letter() -> None:
    """Numbers of a structured event lose no digit on the way to the class, whatever stands around them."""
    value = b' { "x" : "data\\" }", "data" : {"a": 12345678901234567890.10, "b":[1, {}]} ,' + json.dumps(
        REQUIRED
    ).encode().lstrip(b"{")
    event = read_cloud_event(kept(NewRecord("t", None, value, STRUCTURED)))
    assert event is not None
    assert event.data == b'{"a": 12345678901234567890.10, "b":[1, {}]}'
    assert event.attributes["x"] == 'data" }'


@given(value=st.binary(max_size=80), kind=st.sampled_from([b"application/cloudevents+json", b"\xff", b"text/plain"]))
def test_fuzzed_cloud_events_raise_nothing_but_decode_errors(value: bytes, kind: bytes) -> None:
    """Whatever stands in the headers and the value, reading gives an event or a DecodeError with the position."""
    codec = Codec(MemoryRegistry(), [Framed, Sent, Whole], "c")
    good = json.dumps(REQUIRED).encode()
    for body in (value, good[: len(value)] + value, good[:-1] + b',"data":' + value + b"}"):
        for headers in ([("content-type", kind)], [("ce_specversion", b"1.0"), ("ce_type", value), ("ce_id", kind)]):
            record = kept(NewRecord("own.clouds", None, body, headers))
            for read in (codec.event_class, codec.event, codec.ids):
                assert place_of_error(read, record) in (None, record.position)


@pytest.mark.parametrize("wire", [None, Json()])
@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_the_partition_key_is_the_key_of_the_record(mode: Literal["binary", "structured"], wire: Json | None) -> None:
    """Who asks for it has the record's key as the extension partitionkey, and nobody else has."""
    cloud = CloudEvents(mode=mode, partition_key=True)
    words: dict[str, Any] = {"namespace": "own", "topic": "own.keyed", "key": "key", "cloudevents": cloud}
    cls: Any = EventType(
        "Keyed", (Event,), {"__annotations__": {"key": str}}, **words | ({"wire": wire} if wire else {})
    )
    new = Codec(MemoryRegistry(), [cls], "c").encode(cls(key="\u00fc1"), IDS)
    found = read_cloud_event(kept(new))
    assert found is not None
    assert found.attributes["partitionkey"].encode() == new.key
    for event in EVENTS:
        other = read_cloud_event(kept(Codec(MemoryRegistry(), [type(event)], "c").encode(event, IDS)))
        assert other is not None
        assert "partitionkey" not in other.attributes


class Shelved(Event, namespace="own", topic="own.shelves", external=True, cloudevents=True,
              wire=Json(headers={"shelf": "ce_partitionkey", "hops": "ce_hops"})):  # fmt: skip
    shelf: str
    hops: int
    pieces: int


def test_an_attribute_may_be_a_field_in_either_mode() -> None:
    """`headers={field: "ce_NAME"}` reads an attribute or extension, whether it lies in a header or in the JSON."""
    attributes = {**REQUIRED, "type": "own.Shelved", "partitionkey": "s7", "hops": "3"}
    binary = NewRecord("own.shelves", None, b'{"pieces":5}', binary_headers(attributes))
    whole = NewRecord("own.shelves", None, *structured(CloudEvent(attributes, b'{"pieces":5}')))
    codec = Codec(MemoryRegistry(), [Shelved], "c")
    for new in (binary, whole):
        assert codec.event(kept(new)) == Shelved(shelf="s7", hops=3, pieces=5)


def test_a_batch_is_refused_by_name(codec: Codec) -> None:
    """The Kafka binding has no batches: a record that says it is one is an error that says so."""
    headers = (("content-type", b"application/cloudevents-batch+json"),)
    with pytest.raises(DecodeError) as caught:
        codec.event(kept(NewRecord("own.clouds", None, b"[]", headers)))
    assert "several events, which the Kafka binding does not have" in (caught.value.why or "")
