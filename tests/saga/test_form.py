"""The form of a decision: what people read of a field, and what is wrong with a value."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field

from choreo.events.event import Event, Value
from choreo.saga.form import fault_of, form_of, schema_of


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Part(Value):
    name: str


class Decided(Event, namespace="forms", topic="forms", key="key"):
    key: str
    amount: Annotated[Decimal, Field(max_digits=9, decimal_places=2, gt=0)]
    """What it costs."""
    colour: Colour
    maybe: Colour | None = None
    word: Literal["yes", "no"]
    sure: bool = False
    count: int
    few: Annotated[int, Field(ge=1, le=9)] = 3
    share: float
    name: Annotated[str, Field(min_length=2, pattern="^[a-z]+$")]
    at: datetime
    on: date
    reference: UUID
    parts: tuple[Part, ...] = ()
    either: int | str = 0
    raw: bytes = b""


FORM = {entry.name: entry for entry in form_of(Decided, ["key"])}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("amount", "number, more than 0, 2 decimal places at most"),
        ("colour", "one of red, blue"),
        ("maybe", "one of red, blue"),
        ("word", "one of yes, no"),
        ("sure", "true or false"),
        ("count", "whole number"),
        ("few", "whole number, at least 1, at most 9"),
        ("share", "number"),
        ("name", "text, at least 2 characters, as ^[a-z]+$"),
        ("at", "date and time with its zone (ISO 8601)"),
        ("on", "date (ISO 8601)"),
        ("reference", "UUID"),
        ("parts", "list (JSON)"),
        ("either", "whole number or text"),
        ("raw", "bytes (base64)"),
    ],
)
def test_what_may_stand_in_a_field_is_said_in_words(name: str, hint: str) -> None:
    """Its type, its choices and its limits, from the class of the event."""
    assert FORM[name].hint == hint


def test_a_form_says_what_must_be_there() -> None:
    """Required or with its default, in the order of the class, with its text; what is filled in is no part of it."""
    assert list(FORM) == [name for name in Decided.model_fields if name != "key"]
    assert (FORM["amount"].required, FORM["amount"].says) == (True, "What it costs.")
    assert (FORM["few"].required, FORM["few"].default) == (False, 3)
    assert (FORM["maybe"].required, FORM["maybe"].default) == (False, None)


def test_a_form_for_programs_is_json_schema() -> None:
    """Without the fields that are filled in, and with what others refer to."""
    schema = schema_of(Decided, ["key", "parts"])
    Draft202012Validator.check_schema(schema)
    assert "key" not in schema["properties"]
    assert "key" not in schema["required"]
    given = {"amount": 3, "colour": "red", "word": "no", "count": 1, "share": 0.5, "name": "ab"}
    given |= {"at": "2026-01-02T03:04:05Z", "on": "2026-01-02", "reference": "6f1f9d1c-0000-4000-8000-000000000000"}
    assert list(Draft202012Validator(schema).iter_errors(given)) == []
    assert list(Draft202012Validator(schema).iter_errors(given | {"colour": "green"})) != []
    assert list(Draft202012Validator(schema).iter_errors(given | {"key": "k1"})) != []


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("amount", "2.50", None),
        ("amount", "much", "Input should be a valid decimal"),
        ("amount", "0", "Input should be greater than 0"),
        ("colour", "green", "Input should be 'red' or 'blue'"),
        ("count", "3", None),
        ("name", "a", "String should have at least 2 characters"),
        ("parts", [{"name": "leg"}], None),
        ("parts", "leg", "Input should be a valid tuple"),
    ],
)
def test_what_is_wrong_with_a_value_is_said_before_it_is_sent(name: str, value: object, fault: str | None) -> None:
    """A value is taken as `choreo sagas answer` takes it: a text for every plain type."""
    assert fault_of(Decided, name, value) == fault
