"""The client against a real registry: what it registers is found, what it may not is refused."""

import json
from enum import Enum
from typing import Annotated, Any

import pytest

from choreo.clock import SystemClock
from choreo.errors import PublishError, SchemaError, UnknownSchemaError
from choreo.events.avro import schema_of
from choreo.events.codec import Codec
from choreo.events.event import Event, EventType
from choreo.events.http_registry import HttpRegistry
from choreo.events.open import open_registry
from choreo.events.registry import Entry, RegistryOptions
from choreo.events.registry_wire import Connection
from choreo.events.schema import normalised
from choreo.service.client import fresh_ids
from choreo.types import Formerly, Int32
from tests.events.sample import Everything, OrderPlaced, kept

pytestmark = [pytest.mark.registry, pytest.mark.xdist_group("registry")]


def simple(namespace: str, *fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "A", "namespace": namespace, "fields": list(fields)}


NUMBER = {"name": "a", "type": "long"}
TEXT = {"name": "a", "type": "string"}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}


def no_wait(seconds: float) -> None:
    """Nothing in these tests waits for a registry that is away."""


@pytest.fixture
def developing(registry_url: str) -> HttpRegistry:
    return HttpRegistry(registry_url, RegistryOptions(auto_register=True))


@pytest.mark.parametrize("event", [OrderPlaced, Everything])
def test_what_is_registered_is_found_by_its_id(registry_url: str, prefix: str, event: type[Event]) -> None:
    """A schema with every type, docs and marks comes back as it was, to a client that never saw it."""
    schema_id = HttpRegistry(registry_url).add(f"{prefix}.A", schema_of(event))
    other = HttpRegistry(registry_url)
    assert normalised(other.schema(schema_id)) == normalised(schema_of(event))
    assert other.find(f"{prefix}.A", schema_of(event)) == schema_id
    assert other.register(f"{prefix}.A", schema_of(event)) == schema_id
    assert list(other.entries(f"{prefix}.A")) == [Entry(schema_id, f"{prefix}.A", 1)]
    assert f"{prefix}.A" in other.subjects()


def test_nobody_registers_by_running(registry_url: str, prefix: str) -> None:
    """Unless it is allowed, a schema that is not there is an error that names the command, and is not added."""
    registry = HttpRegistry(registry_url)
    with pytest.raises(SchemaError, match="is not registered") as caught:
        registry.register(f"{prefix}.A", simple(prefix, NUMBER))
    assert caught.value.hint is not None
    assert "choreo schemas register" in caught.value.hint
    registry.add(f"{prefix}.A", simple(prefix, NUMBER))
    with pytest.raises(SchemaError, match="is not registered"):
        registry.register(f"{prefix}.A", simple(prefix, TEXT))


def test_versions_are_counted(developing: HttpRegistry, prefix: str) -> None:
    """Each change is a version, each with an id of its own."""
    first = developing.register(f"{prefix}.A", simple(prefix, NUMBER))
    second = developing.register(f"{prefix}.A", simple(prefix, NUMBER, TEXT | {"name": "b", "default": ""}))
    assert first != second
    assert [entry[::2] for entry in developing.entries(f"{prefix}.A")] == [(first, 1), (second, 2)]


def test_an_unknown_id_says_where_it_was_looked_for(registry_url: str) -> None:
    """An id that the registry does not know names the registry, and what to do."""
    with pytest.raises(UnknownSchemaError, match="schema id 2000000000 is not registered") as caught:
        HttpRegistry(registry_url).schema(2_000_000_000)
    assert str(caught.value.at) == registry_url
    assert caught.value.hint
    assert list(HttpRegistry(registry_url).entries("no.such.Subject")) == []


def test_ids_tell_decimals_of_other_digits_apart(developing: HttpRegistry, prefix: str) -> None:
    """Schemas whose bodies look alike and mean something else never share an id."""
    cents = simple(prefix, {"name": "a", "type": DECIMAL})
    tenths = simple(prefix, {"name": "a", "type": DECIMAL | {"scale": 1}})
    plain = simple(prefix, {"name": "a", "type": "bytes"})
    assert len({developing.register(f"{prefix}.A", schema) for schema in (cents, tenths, plain)}) == 3


def test_a_schema_that_is_refused_says_why(registry_url: str, prefix: str) -> None:
    """The registry's own words reach the person at the console."""
    with pytest.raises(SchemaError, match="can't be registered") as caught:
        HttpRegistry(registry_url).add(f"{prefix}.A", {"type": "nonsense"})
    assert "HTTP 422" in (caught.value.why or "")


def test_a_type_of_another_subject_is_written_out(registry_url: str, prefix: str) -> None:
    """A schema that refers to a type of another subject is read whole."""
    registry = HttpRegistry(registry_url)
    registry.add(f"{prefix}.Money", simple(prefix, NUMBER) | {"name": "Money"})
    name, subject = f"{prefix}.Money", f"{prefix}.Money"
    schema = simple(prefix, {"name": "paid", "type": name}, {"name": "due", "type": name})
    body = {"schema": json.dumps(schema), "references": [{"name": name, "subject": subject, "version": 1}]}
    answer = Connection(registry_url, RegistryOptions(), no_wait).ask("POST", f"/subjects/{prefix}.A/versions", body)
    assert answer.status == 200, answer
    read = HttpRegistry(registry_url).schema(answer.body["id"])
    assert [field["type"] for field in read["fields"]] == [
        {"type": "record", "name": name, "fields": [NUMBER]},
        name,
    ]


@pytest.mark.parametrize(
    ("subjects", "expected"), [("record", "{n}.Paid"), ("topic-record", "p-{n}.Paid"), ("topic", "p-value")]
)
def test_events_travel_between_two_programs(registry_url: str, prefix: str, subjects: Any, expected: str) -> None:
    """What one program writes another reads that shares only the registry, whatever its subjects are called."""

    class Paid(Event, namespace=prefix, topic="p", key="order_id"):
        order_id: str
        total: int

    options = RegistryOptions(auto_register=True, subjects=subjects)
    writer = Codec(HttpRegistry(registry_url, options), [Paid], "c")
    record = kept(writer.encode(Paid(order_id="o1", total=3), fresh_ids(SystemClock().now())))
    reader = Codec(open_registry(registry_url), [Paid], "c")
    assert reader.event(record) == Paid(order_id="o1", total=3)
    assert expected.format(n=prefix) in HttpRegistry(registry_url).subjects()


def test_an_event_whose_schema_is_missing_is_not_written(registry_url: str, prefix: str) -> None:
    """Outside of development an unregistered event leaves by the publish door, with the command to run."""

    class Paid(Event, namespace=prefix, topic="p", key="order_id"):
        order_id: str

    with pytest.raises(PublishError, match="is not registered") as caught:
        Codec(HttpRegistry(registry_url), [Paid], "c").encode(Paid(order_id="o1"), fresh_ids(0))
    assert "choreo schemas register" in (caught.value.hint or "")


def test_the_cache_of_a_client_is_its_own(registry_url: str, prefix: str) -> None:
    """An id that was missing is found once it is registered, after a moment in which it is not asked for again."""
    now = [100.0]
    reader = HttpRegistry(registry_url, clock=lambda: now[0])
    schema_id = HttpRegistry(registry_url).add(f"{prefix}.A", simple(prefix, NUMBER)) + 1
    with pytest.raises(UnknownSchemaError):
        reader.schema(schema_id)
    assert HttpRegistry(registry_url).add(f"{prefix}.A", simple(prefix, TEXT)) == schema_id
    with pytest.raises(UnknownSchemaError):
        reader.schema(schema_id)
    now[0] += 6
    assert reader.schema(schema_id)["fields"][0]["type"] == "string"


class Colour(Enum):
    RED = "red"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> "Colour":
        return cls.OTHER


def test_what_an_old_writer_registered_a_new_reader_reads(
    developing: HttpRegistry, registry_url: str, prefix: str
) -> None:
    """Earlier names, promotions, defaults and unknown symbols: a reader of the new class asks the registry for the old
    schema, and reads what was written with it.
    """
    words: dict[str, Any] = {"namespace": prefix, "topic": "dyed"}
    wide = Enum("Colour", {"PINK": "pink", "RED": "red"})
    fields: dict[str, Any] = {"thing": str, "count": Int32, "colour": wide, "gone": tuple[str, ...]}
    old: Any = EventType("Dyed", (Event,), {"__annotations__": fields, "__module__": __name__}, **words)
    body = {
        "__annotations__": {
            "cloth": Annotated[str, Formerly("thing")],
            "count": float,
            "colour": Colour,
            "note": str | None,
        },
        "__module__": __name__,
        "note": "none",
    }
    new: Any = EventType("Tinted", (Event,), body, **words, formerly="Dyed")
    record = Codec(developing, (), "c").encode(old(thing="wool", count=3, colour=wide.PINK, gone=("x",)), fresh_ids(1))
    found = Codec(HttpRegistry(registry_url), [new], "c").event(kept(record))
    assert found == new(cloth="wool", count=3.0, colour=Colour.OTHER, note="none")
