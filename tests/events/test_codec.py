"""Events as records: what is written reads back, and whatever can't be read says where it lies and why."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo.errors import DecodeError, EventError, PublishError, UnknownSchemaError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.event import Event
from choreo.events.registry import MemoryRegistry
from choreo.record import NewRecord, Record
from choreo.types import Json
from tests.events.sample import (
    AllTypes,
    Card,
    Colour,
    Everything,
    Flag,
    Line,
    Node,
    OrderEvent,
    OrderPlaced,
    Size,
    Sku,
    Transfer,
    kept,
)

IDS = Ids(b"1" * 16, "o1", at=7)
text = st.text(st.characters(codec="utf-8"))
money = st.decimals(Decimal("-9999999999.99"), Decimal("9999999999.99"), places=2)
int64 = st.integers(-(2**63), 2**63 - 1)
moments = st.datetimes(timezones=st.just(UTC))
lines = st.builds(Line, sku=text, quantity=st.integers(1, 2**63 - 1), price=money)
nodes = st.recursive(
    st.builds(Node, name=text, size=st.sampled_from(Size)),
    lambda inner: st.builds(Node, name=text, size=st.sampled_from(Size), children=st.lists(inner, max_size=3)),
    max_leaves=5,
)
either = st.none() | int64 | text | st.decimals(Decimal("-9999.9"), Decimal("9999.9"), places=1)
everything = st.builds(
    Everything, uid=st.uuids(), day=st.dates(), text=text, number=int64, small=st.integers(-(2**31), 2**31 - 1),
    ratio=st.floats(allow_nan=False), yes=st.booleans(), raw=st.binary(), digest=st.binary(min_size=4, max_size=4),
    money=money, moment=moments, rough=moments, hour=st.times(), colour=st.sampled_from(Colour),
    size=st.sampled_from(Size), flag=st.sampled_from(Flag), mood=st.sampled_from(["good", "bad"]), sku=text,
    tags=st.lists(text).map(tuple), numbers=st.lists(int64), prices=st.dictionaries(text, money),
    maybe_lines=st.none() | st.lists(lines, max_size=3).map(tuple), maybe_money=st.none() | money, either=either,
    paid_by=st.none() | st.builds(Card, number=text) | st.builds(Transfer, number=text), tree=nodes,
)  # fmt: skip


class ShelfCounted(Event, namespace="erp", topic="erp.stock", key="sku", external=True, wire=Json(only={"type": "C"})):
    sku: str
    pieces: int


class ShelfMoved(
    Event,
    namespace="erp",
    topic="erp.stock",
    key="sku",
    external=True,
    wire=Json(only={"type": "M"}, event_id="id", timestamp="when"),
):
    sku: str


def placed(**changed: Any) -> OrderPlaced:
    fields: dict[str, Any] = {
        "order_id": "o1", "customer_id": "c1", "email": "a@b.example", "warehouse": "vienna", "card_token": "t",
        "lines": (Line(sku="tea", quantity=2, price=Decimal("3.50")),), "total": Decimal("7.00"),
        "placed_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return OrderPlaced(**(fields | changed))


@pytest.fixture
def codec() -> Codec:
    return Codec(MemoryRegistry(), [OrderPlaced, Everything, ShelfCounted, ShelfMoved], "cluster-1")


def place_of_error(read: Callable[[Record], object], record: Record) -> object:
    """Where a DecodeError says that it happened; None without one."""
    try:
        read(record)
    except DecodeError as error:
        return error.at or "nowhere"
    return None


def foreign(body: bytes | None, topic: str = "erp.stock") -> NewRecord:
    return NewRecord(topic, b"k", body)


@settings(deadline=None, max_examples=60)
@given(event=everything)
def test_every_type_reads_back_as_it_was_written(event: Everything) -> None:
    """An event with a field of every type decodes to an equal event, each value of the same class.

    By generated Python, and, where there is a record within itself, by fastavro.
    """
    codec = Codec(MemoryRegistry(), [Everything, AllTypes], "c")
    flat = AllTypes(**{name: getattr(event, name) for name in AllTypes.model_fields})
    for each in (event, flat):
        back = codec.event(kept(codec.encode(each, IDS)))
        assert back == each
        for name in type(each).model_fields:
            assert type(getattr(back, name)) is type(getattr(each, name)), name


def test_a_record_carries_key_frame_and_ids(codec: Codec) -> None:
    """The record lies on the topic of the class, under its key, with one header and the Confluent frame."""
    new = codec.encode(placed(), IDS)
    assert (new.topic, new.key) == ("shop.orders", b"o1")
    assert new.value is not None
    assert new.value[0] == 0
    assert [name for name, _ in new.headers] == ["choreo"]
    assert codec.ids(kept(new)) == IDS
    assert codec.event_class(kept(new)) is OrderPlaced
    assert codec.decode(kept(new)) == (placed(), IDS)


def test_a_composite_key_is_a_json_array(codec: Codec) -> None:
    """The parts of a composite key stand as texts in a JSON array."""
    event = Everything(
        uid=UUID(int=1), day=date(2026, 1, 2), text="", number=0, small=0, ratio=0, yes=False, raw=b"", digest=b"1234",
        money=Decimal(0), moment=datetime(2026, 1, 1, tzinfo=UTC), rough=datetime(2026, 1, 1, tzinfo=UTC), hour=time(),
        colour=Colour.RED, size=Size.SMALL, flag=Flag.UP, mood="good", sku=Sku("s"), tags=(), numbers=[], prices={},
        maybe_lines=None, maybe_money=None, either=None, paid_by=None, tree=Node(name="", size=Size.SMALL),
    )  # fmt: skip
    key = codec.encode(event, IDS).key
    assert key == b'["00000000-0000-0000-0000-000000000001","2026-01-02"]'


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "it has no value"),
        (b"", "it begins with nothing"),
        (b"\0\0\0", "it begins with 00 00 00"),
        (b'{"json": true}', "it begins with 7b 22 6a 73 6f"),
    ],
)
def test_a_value_without_a_frame_is_a_decode_error(codec: Codec, value: bytes | None, said: str) -> None:
    """Garbage says at which position it lies and how it begins."""
    record = kept(foreign(value, "shop.orders"), 8812)
    for read in (codec.event_class, codec.event):
        with pytest.raises(DecodeError, match=said) as caught:
            read(record)
        assert str(caught.value.at) == "shop.orders[0]@8812"
        assert caught.value.hint


def test_an_unknown_schema_id_is_a_decode_error_until_it_is_known(codec: Codec) -> None:
    """A schema id that nobody registered is told apart by its cause, and read once it is registered."""
    other = Codec(registry := MemoryRegistry(), [], "c")
    new = other.encode(placed(), IDS)
    with pytest.raises(DecodeError, match="is not registered") as caught:
        codec.event_class(kept(new))
    assert isinstance(caught.value.__cause__, UnknownSchemaError)
    assert caught.value.at == kept(new).position
    for schema_id, subject in registry.ids().items():
        codec._registry.register(subject, registry.schema(schema_id))
    assert codec.event(kept(new)) == placed()


def test_a_class_on_a_foreign_topic_is_a_decode_error(codec: Codec) -> None:
    """An event of another topic is refused, unless the codec was told whose records the topic holds."""
    record = kept(codec.encode(placed(), IDS))._replace(topic="choreo.inventory.by-warehouse.shop.orders")
    with pytest.raises(DecodeError, match=r"shop\.OrderPlaced belongs to the topic shop\.orders"):
        codec.event_class(record)
    told = Codec(codec._registry, [OrderPlaced], "c", topics={record.topic: "shop.orders"})
    assert told.event(record) == placed()


def test_a_type_that_is_not_ours_has_no_class(codec: Codec) -> None:
    """A neighbour's event on the same topic is neither an error nor decoded."""

    class OrderArchived(OrderEvent): ...

    other = Codec(codec._registry, [], "c")
    record = kept(other.encode(OrderArchived(order_id="o1"), IDS))
    assert codec.event_class(record) is None
    with pytest.raises(DecodeError, match="none that this codec knows"):
        codec.event(record)


def test_a_body_cut_short_or_too_long_is_a_decode_error(codec: Codec) -> None:
    """A truncated body and one with bytes after its end are both refused, at any length."""
    record = kept(codec.encode(placed(), IDS))
    assert record.value is not None
    for end in range(5, len(record.value)):
        with pytest.raises(DecodeError):
            codec.event(record._replace(value=record.value[:end]))
    with pytest.raises(DecodeError, match="2 bytes follow its end"):
        codec.event(record._replace(value=record.value + b"xx"))


def test_a_body_that_breaks_a_rule_of_the_class_is_a_decode_error(codec: Codec) -> None:
    """What Avro can carry but the class forbids is refused as the class would refuse it."""
    broken = placed().model_copy(update={"lines": (Line.model_construct(sku="t", quantity=0, price=Decimal(1)),)})
    with pytest.raises(DecodeError, match="greater than or equal to 1"):
        codec.event(kept(codec.encode(broken, IDS)))


@pytest.mark.parametrize("depth", [50, 1_000, 300_000])
def test_a_body_of_great_depth_does_not_end_the_process(codec: Codec, depth: int) -> None:
    """A record within itself is read to a sane depth; deeper ones are refused, at whatever depth they were made."""

    class Planted(Event, namespace="test", topic="trees"):
        tree: Node

    codec = Codec(codec._registry, [Planted], "c")
    record = kept(codec.encode(Planted(tree=Node(name="", size=Size.SMALL)), IDS))
    assert record.value is not None
    deep = record._replace(value=record.value[:5] + b"\0\0\x02" * depth + b"\0\0\0" + b"\0" * depth)
    if depth == 50:
        assert isinstance(codec.event(deep), Planted)
    else:
        with pytest.raises(DecodeError):
            codec.event(deep)


@settings(deadline=None, max_examples=150)
@given(body=st.binary(max_size=200), flip=st.integers(0, 10_000))
def test_fuzzed_bytes_raise_nothing_but_decode_errors(body: bytes, flip: int) -> None:
    """Whatever stands in value and header, reading gives an event or a DecodeError with the position."""
    codec = Codec(MemoryRegistry(), [OrderPlaced, ShelfCounted], "c")
    good = codec.encode(placed(), IDS)
    assert good.value is not None
    damaged = bytearray(good.value)
    damaged[flip % len(damaged)] ^= 1 + flip % 255
    values = [body, good.value[:5] + body, bytes(damaged)]
    for value in values:
        for topic in ("shop.orders", "erp.stock"):
            record = kept(NewRecord(topic, b"k", value, [("choreo", body)]))
            for read in (codec.event_class, codec.event, codec.ids):
                assert place_of_error(read, record) in (None, record.position)


def test_two_classes_of_one_name_are_refused() -> None:
    """A codec with two classes under one full name can't know which one to read."""

    class OrderPlaced(OrderEvent): ...

    from tests.events import sample

    with pytest.raises(EventError, match=r"two classes are called shop\.OrderPlaced"):
        Codec(MemoryRegistry(), [OrderPlaced, sample.OrderPlaced], "c")


def test_an_abstract_base_is_neither_read_nor_written(codec: Codec) -> None:
    """A base without a topic of its own can't be published."""
    with pytest.raises(EventError, match="abstract base"):
        Codec(MemoryRegistry(), [OrderEvent], "c")
    with pytest.raises(PublishError, match="abstract base"):
        codec.encode(OrderEvent(order_id="o1"), IDS)


def test_an_empty_key_is_a_publish_error(codec: Codec) -> None:
    """An event whose key is empty leaves by the publish door."""
    with pytest.raises(PublishError, match="OrderPlaced: the key is empty"):
        codec.encode(placed(order_id=""), IDS)


def test_an_event_that_does_not_fit_is_a_publish_error(codec: Codec) -> None:
    """An event that was made past validation is refused before it is on the log."""
    with pytest.raises(PublishError, match=r"shop\.OrderPlaced does not fit its schema"):
        codec.encode(placed().model_copy(update={"total": "seven"}), IDS)


def test_an_external_event_is_told_by_its_body(codec: Codec) -> None:
    """On a foreign topic the body decides the class; a body of none is passed over; more fields are no error."""
    counted = kept(foreign(b'{"type": "C", "sku": "tea", "pieces": 5, "more": 1}'))
    assert codec.event_class(counted) is ShelfCounted
    assert codec.event(counted) == ShelfCounted(sku="tea", pieces=5)
    assert codec.event_class(kept(foreign(b'{"type": "M", "sku": "tea"}'))) is ShelfMoved
    assert codec.event_class(kept(foreign(b'{"type": "X"}'))) is None


@pytest.mark.parametrize("body", [None, b"", b"[1]", b"{", b"\xff", b'{"type": "C", "sku": "tea"}'])
def test_a_broken_external_body_is_a_decode_error(codec: Codec, body: bytes | None) -> None:
    """A body that is no JSON object, or not what the class says, names its position."""
    with pytest.raises(DecodeError) as caught:
        codec.event(kept(foreign(body), 9))
    assert str(caught.value.at) == "erp.stock[0]@9"


def test_external_ids_come_from_the_position_or_the_body(codec: Codec) -> None:
    """Reading a foreign record twice gives the same ids; those that its body names win."""
    first, second = (kept(foreign(b'{"type": "C", "sku": "tea", "pieces": 5}'), offset) for offset in (1, 2))
    assert codec.ids(first) == codec.ids(first)
    assert codec.ids(first).event_id != codec.ids(second).event_id
    assert codec.ids(first).at == 1_700_000_000_000_000
    body = b'{"type": "M", "sku": "tea", "id": "%s", "when": "2026-01-01T00:00:00Z"}' % str(UUID(int=5)).encode()
    assert codec.ids(kept(foreign(body))) == Ids(UUID(int=5).bytes, str(UUID(int=5)), at=1_767_225_600_000_000)


def test_an_external_event_is_written_as_its_owner_would(codec: Codec) -> None:
    """For tests: the body has what `only` asks for, and no ids of ours."""
    new = codec.encode(ShelfCounted(sku="tea", pieces=5), IDS)
    assert new == NewRecord("erp.stock", b"tea", b'{"type":"C","sku":"tea","pieces":5}', ())


def test_a_foreign_avro_event_is_not_registered_by_us() -> None:
    """The Avro schema of another system's event is its owner's to register."""

    class Foreign(Event, namespace="erp", topic="erp.avro", key="sku", external=True):
        sku: str

    registry = MemoryRegistry()
    with pytest.raises(PublishError, match="another system's event"):
        Codec(registry, [Foreign], "c").encode(Foreign(sku="tea"), IDS)
    assert not registry.ids()


def test_plain_and_cloud_headers_read_back() -> None:
    """A topic with text headers or CloudEvents headers keeps every id."""

    class Plain(OrderEvent, headers="plain"): ...

    class Cloud(OrderEvent, cloudevents=True): ...

    codec = Codec(MemoryRegistry(), [Plain, Cloud], "c")
    ids = Ids(UUID(int=5).bytes, "o1", UUID(int=6).bytes, UUID(int=7).bytes, 3, 8, True)
    plain = codec.encode(Plain(order_id="o1"), ids)
    assert "choreo" not in dict(plain.headers)
    assert codec.ids(kept(plain)) == ids
    cloud = codec.encode(Cloud(order_id="o1"), ids)
    assert dict(cloud.headers)["ce_type"] == b"shop.Cloud"
    assert codec.ids(kept(cloud)) == ids
    alone = [(name, value) for name, value in cloud.headers if name.startswith("ce_")]
    assert codec.ids(kept(cloud._replace(headers=alone))) == Ids(ids.event_id, "o1", UUID(int=6).bytes, at=8)


def test_text_ids_that_can_not_be_read_are_decode_errors(codec: Codec) -> None:
    """A header with a date that is none is told with the position of its record."""
    record = kept(NewRecord("shop.orders", b"k", b"", [("choreo-at", b"yesterday")]), 4)
    with pytest.raises(DecodeError, match="headers can't be read") as caught:
        codec.ids(record)
    assert caught.value.at == record.position
