"""Event classes: what can't work is refused when the class is made, what can't be written when the event is."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from types import GenericAlias
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID, uuid4

import pytest
from pydantic import Field, ValidationError, create_model

from choreo.errors import EventError, PublishError
from choreo.events.avro import schema_of
from choreo.events.event import Event, EventType, Job, Tick, Value, composite_key, key_of, key_text
from choreo.types import Int32, Json, Millis
from tests.events.sample import Line, OrderEvent, OrderPlaced

T = TypeVar("T")


class Nothing(Value):
    """A record without a field."""


def event_class(annotations: dict[str, Any] | None = None, /, **keywords: Any) -> Any:
    """A class made as a class statement would make it, so that type checkers look away."""
    body = {"__annotations__": annotations or {"order_id": str}, "__module__": __name__}
    known: dict[str, Any] = {"namespace": "shop", "topic": "shop.orders"}
    return EventType("Placed", (Event,), body, **(known | keywords))


def test_keywords_are_inherited_but_for_what_names_one_class() -> None:
    """A base says once what its events share; `abstract` and `formerly` hold for the class that says them."""

    class Reworded(OrderEvent, formerly="OrderRephrased", lease_s=3): ...

    class Shorter(Reworded, key=("order_id", "line"), subject="line"):
        line: str

    assert OrderEvent.contract.abstract
    assert not OrderPlaced.contract.abstract
    assert (OrderPlaced.contract.full_name, OrderPlaced.contract.topic) == ("shop.OrderPlaced", "shop.orders")
    assert OrderPlaced.contract.key == ("order_id",)
    assert OrderPlaced.contract.subject == "customer_id"
    assert Reworded.contract.former_name == "shop.OrderRephrased"
    assert (Shorter.contract.formerly, Shorter.contract.lease_s) == (None, 3)
    assert Shorter.contract.key == ("order_id", "line")
    assert Shorter(order_id="o", line="l").contract is Shorter.contract


def test_a_job_lies_on_its_queue() -> None:
    """The topic of a job is its queue."""

    class Print(Job, namespace="shop", queue="prints"):
        order_id: str

    assert (Print.contract.topic, Print.contract.queue) == ("prints", "prints")


def test_a_tick_can_be_made_though_it_has_no_topic() -> None:
    """The runtime makes ticks itself."""
    assert Tick(due_at=datetime(2026, 1, 1, tzinfo=UTC)).contract.full_name == "choreo.Tick"


@pytest.mark.parametrize(
    ("keywords", "said", "cure"),
    [
        ({"topik": "orders"}, "topik= is not a class keyword", "did you mean topic=?"),
        ({"qqq": 1}, "qqq= is not a class keyword", "one of namespace, topic"),
        ({"topic": 3}, "topic=3 is not the name of a topic", "topic takes"),
        ({"topic": "shop orders"}, "topic='shop orders' is not", "topic takes"),
        ({"namespace": "1shop"}, "namespace='1shop' is not a dotted name", "namespace takes"),
        ({"key": 3}, "key=3 is not the name of a field", "key takes"),
        ({"key": ()}, "key=() is not", "key takes"),
        ({"abstract": "yes"}, "abstract='yes' is not True or False", "abstract takes"),
        ({"wire": "json"}, "wire='json' is not a Wire", "wire takes"),
        ({"headers": "text"}, "headers='text' is not", "headers takes"),
        ({"lease_s": 0}, "lease_s=0 is not a positive number", "lease_s takes"),
        ({"key": "ordr_id"}, 'key="ordr_id" is not a field', 'key="order_id"'),
        ({"subject": "customer"}, 'subject="customer" is not a field', "name a field, or add customer: str"),
        ({"topic": ""}, "topic='' is not", "topic takes"),
    ],
)
def test_a_wrong_keyword_is_told_with_its_cure(keywords: dict[str, Any], said: str, cure: str) -> None:
    """A keyword that is misspelt, of the wrong type or names no field is an error that says what to write."""
    with pytest.raises(EventError) as caught:
        event_class(**keywords)
    assert said in caught.value.message
    assert cure in str(caught.value.hint)
    assert isinstance(caught.value, TypeError)


def test_an_error_reads_at_why_try() -> None:
    """The error names the file and line of the class, its fields, and the nearest one."""
    with pytest.raises(EventError) as caught:

        class Misspelt(OrderEvent, key="ordr_id"): ...

    lines = str(caught.value).splitlines()
    assert lines[0] == 'Misspelt: key="ordr_id" is not a field'
    assert lines[1].startswith("  at   tests/events/test_event.py:") or "test_event.py:" in lines[1]
    assert lines[2:] == ["  why  its fields are order_id", '  try  key="order_id"']


@pytest.mark.parametrize("missing", ["namespace", "topic"])
def test_an_event_must_lie_somewhere(missing: str) -> None:
    """Without a namespace or topic an event is a base, and must say so."""
    known = {"namespace": "shop", "topic": "shop.orders"}
    del known[missing]
    with pytest.raises(EventError, match=f"Loose: no {missing}"):
        EventType("Loose", (Event,), {"__annotations__": {"a": str}, "__module__": __name__}, **known)


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (Decimal, "a Decimal without digits"),
        (dict[str, Decimal], "a Decimal without digits"),
        (timedelta, "timedelta has no Avro type"),
        (set[str], "has no Avro type"),
        (tuple[int, str], "has no Avro type"),
        (dict[int, str], "has no Avro type"),
        (object, "object has no Avro type"),
        (Any, "Any has no Avro type"),
        (str | UUID, "str | UUID has no Avro type"),
        (int | datetime, "int | datetime has no Avro type"),
        (tuple[str, ...] | list[int] | None, "has no Avro type"),
        (Line | dict[str, str], "has no Avro type"),
        (tuple[Nothing, ...], "items without a field take no bytes"),
        (GenericAlias(list, (type(None),)), "items without a field take no bytes"),
    ],
)
def test_a_field_that_avro_can_not_hold_is_refused(annotation: Any, said: str) -> None:
    """A field without one sure Avro type is an error when the class is made, naming class and field."""
    with pytest.raises(EventError) as caught:
        event_class({"order_id": str, "much": annotation})
    assert caught.value.message.startswith("Placed.much: ")
    assert said in caught.value.message
    assert "test_event.py" in str(caught.value.at)


def test_defaults_that_change_are_refused() -> None:
    """Time and randomness as a default would make each replay another story; empty containers are fine."""
    for factory in (uuid4, datetime.now, lambda: "x"):
        with pytest.raises(EventError, match=r"A\.x: default_factory"):
            EventType("A", (OrderEvent,), {"__annotations__": {"x": str}, "x": Field(default_factory=factory)})

    class Tagged(OrderEvent):
        tags: list[str] = Field(default_factory=list)

    assert Tagged(order_id="o").tags == []
    with pytest.raises(EventError, match=r"C\.id: default_factory"):
        EventType(
            "C",
            (OrderEvent,),
            {"__annotations__": {"id": str}, "id": Field(default_factory=lambda: "x")},
            external=True,
            wire=Json(),
        )


def test_a_default_of_another_type_is_refused() -> None:
    """A default that does not fit its field is found at import."""
    with pytest.raises(EventError, match=r"B\.total: the default 'none' is no"):
        EventType("B", (OrderEvent,), {"__annotations__": {"total": Line}, "total": "none"})


def test_a_key_must_be_text_for_every_reader() -> None:
    """A key by a field that has no one text is refused."""
    with pytest.raises(EventError, match='key="much" is float, which no key can hold'):
        event_class({"much": float}, key="much")
    with pytest.raises(EventError, match='key="line" is Line'):
        event_class({"line": Line}, key="line")


def test_two_types_of_one_name_are_refused() -> None:
    """Two Values of one name within an event could not be told apart by a reader."""

    def other() -> type[Value]:
        class Line(Value):
            text: str

        return Line

    with pytest.raises(EventError, match=r"two types are called shop\.Line"):
        event_class({"a": Line, "b": other()})


def test_a_field_called_contract_is_refused() -> None:
    """Every event has its contract under that name."""
    with pytest.raises(EventError, match="can't be called contract"), pytest.warns(UserWarning, match="shadows"):
        event_class({"contract": str})


@pytest.mark.parametrize(
    ("annotation", "fine", "refused"),
    [
        (int, 2**63 - 1, 2**63),
        (int, -(2**63), -(2**63) - 1),
        (int | None, None, 2**63),
        (tuple[int, ...], (1,), (2**63,)),
        (Int32, 2**31 - 1, 2**31),
        (datetime, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1)),
        (dict[str, datetime], {}, {"a": datetime(2026, 1, 1)}),
        (time, time(1), time(1, tzinfo=UTC)),
    ],
)
def test_a_value_that_avro_would_bend_is_refused_when_made(annotation: Any, fine: Any, refused: Any) -> None:
    """Numbers out of range and datetimes without a zone are a ValidationError, not another value on the wire."""
    cls = event_class({"much": annotation})
    assert cls(much=fine).much == fine
    with pytest.raises(ValidationError):
        cls(much=refused)


def test_millis_are_cut_when_made() -> None:
    """What is finer than a millisecond is gone before anybody sees it, so the event reads back equal."""

    class Rough(OrderEvent):
        at: Millis

    moment = datetime(2026, 1, 1, 0, 0, 0, 123_999, tzinfo=UTC)
    assert Rough(order_id="o", at=moment).at == moment.replace(microsecond=123_000)


def test_events_are_frozen_and_know_their_fields() -> None:
    """An event can't be changed, nor made with a field that it has not."""
    event = OrderEvent(order_id="o1")
    with pytest.raises(ValidationError, match="frozen"):
        event.order_id = "o2"  # type: ignore[misc]  # that type checkers see it too is the point
    with pytest.raises(ValidationError, match="Extra inputs"):
        OrderEvent(order_id="o1", more=1)  # type: ignore[call-arg]  # as above


def test_local_and_later_types_are_found() -> None:
    """A class may name a type of the function it is made in, and one that is made after it."""

    class Local(Value):
        text: str

    class Uses(OrderEvent):
        local: "Local"

    assert Uses(order_id="o", local=Local(text="t")).local.text == "t"
    assert schema_of(Later)["fields"][1]["type"]["name"] == "MadeLater"
    assert Later(order_id="o", made=MadeLater(text="t")).made.text == "t"


class Later(OrderEvent):
    made: "MadeLater"


class MadeLater(Value):
    text: str


def test_generic_values_and_made_models_work() -> None:
    """pydantic's own ways of making classes go through our metaclass."""

    class Page(Value, Generic[T]):
        items: tuple[T, ...]

    made: Any = create_model("Made", __base__=OrderEvent, pages=(Page[int], ...))
    assert made(order_id="o", pages=Page[int](items=(1,))).contract.full_name == "shop.Made"


def test_a_value_for_stores_may_hold_what_avro_can_not() -> None:
    """Only what is published must fit Avro: a Value that stays in a store is free."""

    class Lease(Value):
        wait: timedelta
        much: Decimal
        seen: ClassVar[int] = 3

    assert Lease(wait=timedelta(1), much=Decimal("1.234")).seen == 3


class Kind(Enum):
    BIG = "big"


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("ö", "ö".encode()),
        (7, b"7"),
        (-7, b"-7"),
        (True, b"true"),
        (date(2026, 1, 2), b"2026-01-02"),
        (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=1))), b"2026-01-02T02:00:00+00:00"),
        (UUID(int=1), b"00000000-0000-0000-0000-000000000001"),
        (Kind.BIG, b"big"),
    ],
)
def test_key_texts(value: object, key: bytes) -> None:
    """Each kind of value has one text, whoever writes it."""
    assert key_text(value) == key
    assert composite_key([value, "x"]) == b'["' + key + b'","x"]'


@pytest.mark.parametrize("value", ["", None, 1.5, b"x", ()])
def test_what_is_no_key_is_a_publish_error(value: object) -> None:
    """Empty text, None and what has no one text can't be keys."""
    with pytest.raises(PublishError):
        key_text(value)


def test_keys_of_events() -> None:
    """A key is the field that the class names; a class without one has no key."""

    class Loose(Event, namespace="shop", topic="loose"):
        text: str

    class Pair(Event, namespace="shop", topic="pair", key=("a", "b")):
        a: str
        b: int

    class Whole(OrderEvent): ...

    assert key_of(Whole(order_id="o1")) == b"o1"
    assert key_of(Pair(a='q"', b=1)) == b'["q\\"","1"]'
    assert key_of(Loose(text="t")) is None
    with pytest.raises(PublishError, match=r"Pair: the key is empty\n.*\n.*the event is made|Pair: the key is empty"):
        key_of(Pair(a="", b=1))
