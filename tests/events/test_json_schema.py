"""The JSON Schema of events: what is written fits it, what others may send fits it, what we can't read does not."""

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]
from pydantic import Field

from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.event import Event, Value
from choreo.events.json_schema import json_schema_of
from choreo.events.registry import MemoryRegistry
from choreo.types import Json
from tests.events.sample import Everything, Money, OrderPlaced
from tests.events.test_codec import everything

IDS = Ids(b"1" * 16, "o1", at=7)


class Row(Value):
    sku: str


class Counted(Event, namespace="erp", topic="erp.stock", key="shelf", external=True,
              wire=Json(only={"type": "COUNT"}, headers={"shop": "x-shop"})):  # fmt: skip
    """Somebody counted a shelf."""

    shelf: Annotated[str, Field(alias="shlf")]
    """Where it stands."""
    worth: Money
    rows: tuple[Row, ...] = ()
    shop: str = ""


class JsonEverything(Everything, topic="json.everything", wire=Json()):
    """Everything, as JSON."""


WRITTEN = Draft202012Validator(json_schema_of(JsonEverything))
CODEC = Codec(MemoryRegistry(), [JsonEverything], "c")


@given(event=everything)
def test_what_we_write_fits_its_schema(event: Everything) -> None:
    """The body of an event with a field of every type is valid by the schema of its class."""
    WRITTEN.validate(json.loads(CODEC.encode(JsonEverything(**dict(event)), IDS).value or b""))


def test_the_schema_of_a_foreign_event_says_what_is_read() -> None:
    """Wire names, what `only` asks for, docs; headers are no part; further fields are allowed at any depth."""
    schema = json_schema_of(Counted)
    Draft202012Validator.check_schema(schema)
    assert schema["title"] == "erp.Counted"
    assert schema["description"] == "Somebody counted a shelf."
    assert set(schema["properties"]) == {"shlf", "worth", "rows", "type"}
    assert set(schema["required"]) == {"type", "shlf", "worth"}
    assert schema["properties"]["shlf"]["description"] == "Where it stands."
    body = {"type": "COUNT", "shlf": "a", "worth": 1.5, "more": 1, "rows": [{"sku": "tea", "more": 1}]}
    Draft202012Validator(schema).validate(body)


@pytest.mark.parametrize("change", [{"type": "MOVE"}, {"shlf": 1}, {"worth": []}, {"rows": [{}]}])
def test_what_can_not_be_read_does_not_fit(change: dict[str, Any]) -> None:
    """A wrong type, a missing field and another `only` are invalid."""
    body = {"type": "COUNT", "shlf": "a", "worth": 1.5} | change
    with pytest.raises(ValidationError):
        Draft202012Validator(json_schema_of(Counted)).validate(body)


def test_personal_fields_are_marked() -> None:
    """Whoever reads the schema sees which fields are personal data."""
    properties = json_schema_of(OrderPlaced)["properties"]
    assert [name for name, part in properties.items() if part.get("x-choreo-personal")] == ["email", "card_token"]
