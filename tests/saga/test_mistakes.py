"""Mistakes in specs: each is said where it stands, with the likely cure."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo.errors import SpecError
from tests.saga.shop import ORDER, changed, problems, spec_of

PLANTED = [  # what is replaced, by what, line:column, code, what is said, the cure
    (
        "StockReserved\n",
        "StockReservd\n",
        "11:19",
        "unknown-event",
        "there is no event shop.StockReservd",
        "did you mean StockReserved?",
    ),
    (
        "starts_on: OrderPlaced",
        "starts_on: Weather",
        "4:12",
        "unknown-event",
        "there is no event shop.Weather",
        "a spec knows the events of the project's packages, and those that its services take and return",
    ),
    ("after: ship\n", "after: shp\n", "37:12", "unknown-step", "there is no step shp", "did you mean ship?"),
    (
        "after: [reserve, pay]",
        "after: [reserve, deliver]",
        "37:12",
        "cycle",
        "these steps wait for each other: ship after deliver after ship",
        "",
    ),
    (
        "after: ship\n",
        "after: deliver\n",
        "37:12",
        "cycle",
        "these steps wait for each other: deliver after deliver",
        "",
    ),
    (
        "name: pay",
        "name: take-pay",
        "22:11",
        "not-an-identifier",
        "take-pay is not an identifier, and conditions name steps",
        "write take_pay",
    ),
    ("name: pay", "name: reserve", "22:11", "duplicate-step", "there are two steps reserve", "the first is in line 10"),
    ("pivot: true", "pivto: true", "38:5", "unknown-key", "a step has no key pivto", "did you mean pivot?"),
    ("pivot: true", "pivot: yes", "38:12", "wrong-shape", "pivot is true or false, not yes", ""),
    ("pivot: true", "after: reserve", "38:5", "duplicate-key", "after stands here twice", "the first is in line 37"),
    (
        "within: 30s",
        "within: 30",
        "13:13",
        "not-a-duration",
        "within: '30' is not a duration: write a number and a unit",
        "",
    ),
    ("attempts: 2", "attempts: 0", "19:17", "not-a-number", "attempts takes a whole number of at least 1, not 0", ""),
    (
        "when: saga.total > 0",
        "when: event.total > 0",
        "23:11",
        "bad-expression",
        "there is no event.total here",
        "expressions see saga.* and steps.NAME.*, never event",
    ),
    (
        "when: saga.total > 0",
        "when: saga.total > 0 && now() > saga.total",
        "23:29",
        "bad-expression",
        "there is no now here",
        "expressions know no clock: within:, deadline: and not_before: say when",
    ),
    (
        "when: saga.total > 0",
        "when: saga.ttal > 0",
        "23:11",
        "bad-expression",
        "there is no saga.ttal here",
        "did you mean saga.total?",
    ),
    (
        "when: saga.total > 0",
        "when: saga.total",
        "23:11",
        "not-a-condition",
        "a condition is true or false, this gives a decimal",
        "compare it: saga.total > 0",
    ),
    (
        "when: saga.total > 0",
        "when: saga.warehouse > 3",
        "23:26",
        "bad-expression",
        "'>' does not take (string, int)",
        "",
    ),
    (
        "when: saga.total > 0",
        "when: steps.ship.status == 'done'",
        "23:11",
        "not-before",
        "step pay reads step ship, but does not come after it",
        "add after: ship",
    ),
    (
        "emit: ShipmentRequested",
        "emit: PaymentRefunded",
        "31:11",
        "unfilled-field",
        "nothing fills shop.PaymentRefunded.amount: shop.OrderPlaced has no field amount",
        "add with: {amount: ...}",
    ),
    (
        "emit: ShipmentRequested",
        "emit: {event: PaymentRefunded, with: {amount: steps.pay.amount}}",
        "31:51",
        "may-be-missing",
        "shop.PaymentRefunded.amount needs a value, and steps.pay.amount has none where that step did not surely",
        "give amount a default in the event, or take it from saga.*",
    ),
    (
        "{amount: steps.pay.amount}",
        "{amuont: steps.pay.amount}",
        "27:74",
        "no-such-field",
        "shop.RefundRequested has no field amuont",
        "did you mean amount?",
    ),
    (
        "emit: ShipmentRequested",
        "emit: {event: ShipmentRequested, with: {warehouse: saga.total}}",
        "31:56",
        "wrong-type",
        "shop.ShipmentRequested.warehouse is a string, this gives a decimal",
        "",
    ),
    (
        "emit: ShipmentRequested",
        "emit: {event: ShipmentRequested, with: {warehouse: vienna}}",
        "31:56",
        "bad-expression",
        "there is no vienna here",
        "a text needs quotes of its own: \"'vienna'\"",
    ),
    (
        "correlate_by: order_id",
        "correlate_by: oder_id",
        "5:15",
        "no-such-field",
        "shop.OrderPlaced has no field oder_id",
        "did you mean order_id?",
    ),
    (
        "correlate_by: order_id",
        "correlate_by: warehouse",
        "7:21",
        "no-correlation",
        "shop.OrderCancelled has no field warehouse, by which the saga is found",
        "correlate_by: {OrderCancelled: FIELD, ...} names a field for each event",
    ),
    (
        "within: 1h\n",
        "",
        "21:11",
        "no-time-limit",
        "step pay may wait for ever",
        "add within: 1h to the step or the saga, or within: none",
    ),
    (
        "    compensate: {emit: ParcelRecallRequested, done_on: ParcelRecalled}\n",
        "",
        "29:11",
        "no-compensation",
        "nothing undoes step ship",
        "compensate: none to say so on purpose",
    ),
    (
        "on_timeout: escalate",
        "on_timeout: retry",
        "36:11",
        "nothing-to-retry",
        "step deliver has no emit, so there is no request to make again",
        "on_timeout: fail or escalate",
    ),
    (
        "on_timeout: escalate",
        "on_timeout: pray",
        "41:17",
        "wrong-shape",
        "this is no answer to a timeout",
        "on_timeout: fail, escalate, {retry: {attempts: 3, wait: 30s}} or {ask: {emit: EVENT, within: 1m}}",
    ),
    (
        "fails_on: PaymentDeclined",
        "fails_on: PaymentTaken",
        "22:11",
        "ambiguous",
        "shop.PaymentTaken means two things to step pay",
        "two outcomes need two events",
    ),
    (
        "fails_on: PaymentDeclined",
        "fails_on: OrderPlaced",
        "22:11",
        "ambiguous",
        "shop.OrderPlaced starts the saga, so it can't end step pay",
        "",
    ),
    ("saga: order", "saga: Order!", "1:7", "not-a-name", "Order! is not a saga's name", ""),
    ("version: 1\n", "", "1:1", "missing-key", "a saga has no version", "add version:"),
    ("version: 1", "version: one", "2:10", "not-a-number", "version takes a whole number of at least 1, not one", ""),
    (
        "completes_on: OrderDelivered",
        "completes_on: {a: b}",
        "39:19",
        "wrong-shape",
        "completes_on takes one name or a list of names",
        "",
    ),
    ("    completes_on: OrderDelivered\n", "", "36:5", "missing-key", "a step has no completes_on", "add completes_on"),
    ("emit: ParcelRecallRequested, ", "", "34:17", "missing-key", "compensate has no emit", "add emit:"),
    (", done_on: ParcelRecalled", "", "34:17", "missing-key", "compensate does not say when it is done", "add done_on"),
    (
        "{emit: ParcelRecallRequested, done_on: ParcelRecalled}",
        "maybe",
        "34:17",
        "wrong-shape",
        "a compensation is a table, or none",
        "compensate: {emit: ..., done_on: ...}, or none",
    ),
]


@pytest.mark.parametrize(("old", "new", "place", "code", "said", "cure"), PLANTED, ids=lambda value: str(value)[:30])
def test_a_mistake_is_said_where_it_stands(old: str, new: str, place: str, code: str, said: str, cure: str) -> None:
    """file:line:column, a code, the sentence, the line with a caret, and the likely cure."""
    message = problems(changed((old, new)))
    assert f"order.yaml:{place}: error[{code}]: {said}" in message
    found = re.search(rf"order\.yaml:{place}: error\[{code}\].*\n +\d+ \| (.*)\n +\| ( *)\^+(.*)", message)
    assert found is not None
    assert len(found[2]) == int(place.partition(":")[2]) - 1
    assert cure in found[3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("saga: [1", "order.yaml:1:9: error[not-yaml]: expected ',' or ']', but got '<stream end>'"),
        ("a:\n\tb: 1", "order.yaml:2:1: error[not-yaml]: found character '\\t' that cannot start any token"),
        ("- 1", "order.yaml:1:1: error[not-a-spec]: a spec is a table of keys and values, beginning with `saga: NAME`"),
        ("", "order.yaml:1:1: error[not-a-spec]"),
        ("saga: x\nversion: 1", "error[missing-key]: a saga has no starts_on"),
        ("saga: x\nversion: 1\nstarts_on: shop.OrderPlaced\ncorrelate_by: order_id", "error[no-steps]"),
        ("saga: &a\n  b: *a", "error[not-yaml]: this alias leads back to itself"),
    ],
)
def test_what_is_no_spec_at_all(text: str, said: str) -> None:
    """Broken YAML and missing basics are problems with a place, too."""
    assert said in problems(text)


def test_all_mistakes_are_said_at_once() -> None:
    """One run shows everything, in the order of the file."""
    message = problems(changed(("StockReserved\n", "StockReservd\n"), ("after: ship\n", "after: shp\n"), ("30s", "30")))
    assert re.findall(r"order\.yaml:(\d+):\d+: error\[([a-z-]+)\]", message) == [
        ("11", "unknown-event"),
        ("13", "not-a-duration"),
        ("37", "unknown-step"),
    ]


def test_the_error_looks_as_a_compiler_would_say_it() -> None:
    """The whole text, once."""
    with pytest.raises(SpecError) as raised:
        spec_of(
            changed(("completes_on: PaymentTaken", "completes_on: PaymentTakn"), ("steps.pay.amount", "saga.total"))
        )
    assert str(raised.value) == (
        "order.yaml:24:19: error[unknown-event]: there is no event shop.PaymentTakn\n"
        "  24 |     completes_on: PaymentTakn\n"
        "     |                   ^^^^^^^^^^^  did you mean PaymentTaken?\n"
        "  at   order.yaml:24:19"
    )


SCRAPS = ["", " ", "\n", ":", "[", "{a: b}", "- ", "&x ", "*x", "none", "'", "#", "\x00", "é", "..", "|\n", "!!int "]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_text_breaks_the_reader(data: st.DataObject) -> None:
    """However a spec is cut and torn, it is a spec or a SpecError with a place."""
    text = ORDER
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 30))
        middle = data.draw(st.sampled_from(SCRAPS))
        text = text[:place] + middle + text[place + length :]
    place_of_error = "order.yaml:1:1"
    try:
        spec_of(text)
    except SpecError as error:
        place_of_error = str(error.at)
    assert re.fullmatch(r"order\.yaml:\d+:\d+", place_of_error)
