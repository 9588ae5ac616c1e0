"""Expressions: typed when they are compiled, plain values when they run."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import Field

from choreo.events.event import Value
from choreo.saga.conditions import BadExpression, Language
from choreo.saga.kinds import Kind, ValueType, kind_of

LANGUAGE = Language(
    {
        "saga.total": Kind.DOUBLE,
        "saga.count": Kind.INT,
        "saga.name": Kind.STRING,
        "saga.note": Kind.DYN,
        "saga.placed_at": Kind.TIMESTAMP,
        "saga.lines": Kind.LIST,
        "steps.pay.status": Kind.STRING,
        "steps.pay.amount": Kind.DOUBLE,
    }
)
VALUES: dict[str, Any] = {
    "saga.total": "9.50",
    "saga.count": 3,
    "saga.name": "ada",
    "saga.note": None,
    "saga.placed_at": "2026-03-02T12:00:00Z",
    "saga.lines": [{"sku": "tea", "quantity": 2}],
    "steps.pay.status": "idle",
}


class Colour(Enum):
    RED = "red"


class Line(Value):
    sku: str


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (bool, "bool"),
        (int, "int"),
        (float, "double"),
        (Annotated[Decimal, Field(max_digits=12, decimal_places=2)], "double"),
        (str, "string"),
        (UUID, "string"),
        (date, "string"),
        (Colour, "string"),
        (Literal["a", "b"], "string"),
        (datetime, "timestamp"),
        (bytes, "bytes"),
        (tuple[Line, ...], "list"),
        (dict[str, int], "map"),
        (Line, "map"),
        (int | None, "dyn"),
        (int | str, "dyn"),
    ],
)
def test_the_kind_of_a_field(annotation: Any, kind: str) -> None:
    """Each type of an event's field has one kind in expressions."""
    assert kind_of(annotation) == kind


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("saga.total > 0", True),
        ("10 < saga.total", False),
        ("saga.total > -10 && 3 < saga.total", True),
        ("saga.total * 2", 19.0),
        ("saga.count + 1", 4),
        ("saga.name == 'ada' && saga.name != 'saga.total'", True),
        ("saga.note == null", True),
        ("saga.placed_at < timestamp('2027-01-01T00:00:00Z')", True),
        ("saga.lines.exists(line, line.quantity > 1)", True),
        ("steps.pay.status == 'done' && steps.pay.amount > 1", False),
    ],
)
def test_an_expression_gives_its_value(text: str, value: object) -> None:
    """Values as JSON has them are compared as what they are; an int literal beside a double is a double."""
    assert LANGUAGE.compile(text).evaluate(VALUES) == (value, None)


@pytest.mark.parametrize(
    ("text", "said", "offset"),
    [
        ("saga.ttal > 0", "there is no saga.ttal here", 0),
        ("1 > 0 && event.total > 0", "there is no event.total here", 9),
        ("saga.name > 3", "'>' does not take (string, int)", 10),
        ("saga.total > saga.count", "'>' can't compare or combine a double and an int: write double(...)", 11),
        ("saga.total >", "syntax error: mismatched input '<EOF>'", 12),
        ("1 > 0 &&\n  saga.nme == 'x'", "there is no saga.nme here", 11),
    ],
)
def test_what_can_not_work_is_refused_when_compiled(text: str, said: str, offset: int) -> None:
    """The mistake is named with the place where it stands."""
    with pytest.raises(BadExpression) as raised:
        LANGUAGE.compile(text)
    assert str(raised.value).startswith(said)
    assert raised.value.offset == offset


def test_a_missing_value_is_a_problem_only_where_it_matters() -> None:
    """What short-circuits needs no value; what does not says which one is missing."""
    amount = LANGUAGE.compile("steps.pay.amount > 1")
    assert amount.evaluate(VALUES).problem == 'No value with name "steps.pay.amount" found in Activation'
    assert LANGUAGE.compile("saga.count / 0 > 1").evaluate(VALUES).problem == "divide by zero"


def test_an_expression_knows_what_it_reads() -> None:
    """Only what is read has to be remembered; text in quotes is not a variable."""
    assert list(LANGUAGE.compile("saga.count > 1 || saga.name == 'saga.total'").reads) == ["saga.count", "saga.name"]


PRICED = Language(
    {
        "saga.price": ValueType(Annotated[Decimal, Field(max_digits=12, decimal_places=2)]),
        "saga.off": ValueType(Annotated[Decimal, Field(max_digits=12, decimal_places=2)] | None),
        "saga.weight": ValueType(float),
        "saga.count": ValueType(int),
        "saga.name": ValueType(str),
    }
)
COMPARED = "a decimal is compared with a decimal, a float or a number such as 9.5; with an int as double(...)"


@pytest.mark.parametrize(
    ("text", "said", "cure"),
    [
        ("saga.price > 'x'", "'>' does not take (decimal, string)", COMPARED),
        ("saga.count > 1 && 'x' == (saga.price)", "'==' does not take (string, decimal)", COMPARED),
        ("saga.off < saga.name", "'<' does not take (decimal, string)", COMPARED),
        ("saga.price in [1, 2]", "'in' does not take (decimal, list(int))", COMPARED),
        (
            "saga.price > saga.count",
            "'>' can't compare or combine a decimal and an int: write double(...) around the int",
            COMPARED,
        ),
        ("size(saga.price) > 1", "'size' does not take (decimal)", ""),
        ("saga.weight > 'x'", "'>' does not take (double, string)", ""),
        ("saga.price * 2 > 'x'", "'>' does not take (double, string)", ""),
        ("saga.price > 1 && saga.weight > 'x'", "'>' does not take (double, string)", ""),
    ],
)
def test_a_decimal_is_called_one(text: str, said: str, cure: str) -> None:
    """A field that is a Decimal is no double to whoever wrote it; floats, and what is computed, are doubles."""
    with pytest.raises(BadExpression) as raised:
        PRICED.compile(text)
    assert (str(raised.value), raised.value.cure) == (said, cure)


@pytest.mark.parametrize("other", ["saga.price", "saga.weight", "9.5", "9", "double(saga.count)"])
def test_a_decimal_is_compared_with_what_the_cure_says(other: str) -> None:
    """With another decimal, a float, numbers as they are written, and an int that is made a double."""
    values = {"saga.price": "9.50", "saga.weight": 9.5, "saga.count": 9}
    assert PRICED.compile(f"saga.price >= {other}").evaluate(values) == (True, None)
