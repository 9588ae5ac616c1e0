"""Nothing that is marked personal, and nothing that failed a validation, is printed by the framework."""

import pytest
from pydantic import ValidationError

from choreo import Event, Personal, Value
from choreo.events.avro import shape_of
from choreo.telemetry.privacy import masked, masked_as, shown, without, without_inputs


class Address(Value):
    street: Personal[str]
    city: str


class Registered(Event, namespace="people", topic="people", key="person"):
    person: str
    email: Personal[str]
    phone: Personal[str] | None = None
    address: Address
    former: list[Address] = []
    age: int = 0


ANN = Registered(
    person="p1",
    email="ann@example.org",
    phone="555",
    address=Address(street="Elm 5", city="Vienna"),
    former=[Address(street="Oak 1", city="Graz")],
)
HIDDEN = ("ann@example.org", "'555'", "Elm 5", "Oak 1")


def test_personal_fields_are_masked_however_deep_they_lie() -> None:
    """Directly, in a union, in a nested value, in a list; the rest stays."""
    assert masked({"who": (ANN,)}) == {
        "who": [
            {
                "person": "p1",
                "email": "***",
                "phone": "***",
                "address": {"street": "***", "city": "Vienna"},
                "former": [{"street": "***", "city": "Graz"}],
                "age": 0,
            }
        ]
    }


def test_an_event_prints_with_its_personal_fields_masked() -> None:
    """As an argument of a log line it looks as usual, without what is personal."""
    text = f"{shown([ANN])!r} {shown({'a': ANN})!s}"
    assert "person='p1', email=***, phone=***, address=Address(street=***, city='Vienna')" in text
    assert [word for word in HIDDEN if word in text] == []


@pytest.mark.parametrize("value", ["secret-1", "], input_type=str] secret-2", "two\nlines secret-3"])
def test_a_validation_error_keeps_what_failed_to_itself(value: str) -> None:
    """Field, reason and type stay; the value goes, whatever it holds."""
    with pytest.raises(ValidationError) as caught:
        Registered(person="p1", email="e", address=ANN.address, age=value)  # type: ignore[arg-type]  # planted
    text = without_inputs(f"before {caught.value} after")
    assert "secret" not in text
    assert "age" in text
    assert "valid integer" in text
    assert "[type=int_parsing, input_type=str]" in text
    assert text.startswith("before ")
    assert text.endswith(" after")


def test_the_schema_alone_says_what_is_personal() -> None:
    """Where the class is not loaded: the marks in the Avro schema mask the same, and the masked texts are told."""
    hidden: list[str] = []
    body = ANN.model_dump()
    assert masked_as(shape_of(Registered).avro, body, hidden) == masked(ANN)
    assert sorted(hidden) == ["555", "Elm 5", "Oak 1", "ann@example.org"]
    assert masked_as({"type": "string"}, "plain") == "plain"


def test_words_are_taken_out_of_a_text() -> None:
    """Whole words only, the longer first; what is no word by itself stays."""
    assert (
        without("to ann@example.org, 555 times; 5550", ["555", "ann", "ann@example.org"]) == "to ***, *** times; 5550"
    )
    assert without("a b", ["a"]) == "a b"
