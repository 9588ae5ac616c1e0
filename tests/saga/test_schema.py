"""The JSON Schema of a spec: what an editor says while a spec is written is what the reader says afterwards."""

import re
from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from choreo.errors import SpecError
from choreo.saga import shapes
from choreo.saga.problems import Problems
from choreo.saga.reading import read_spec
from choreo.saga.schema import spec_schema
from choreo.saga.shapes import Key
from choreo.saga.yaml import read_yaml
from tests.cli.sample import SAGA
from tests.saga.shop import EVENTS, ORDER, changed, spec_of
from tests.saga.test_mistakes import PLANTED

ROOT = Path(__file__).parents[2]
SPECS = sorted(
    path
    for folder in ("saga_specs", "tests")
    for path in (ROOT / folder).rglob("*.yaml")
    if "bad_specs" not in path.parts
)
OF_SHAPE = {"unknown-key", "missing-key", "wrong-shape", "not-a-duration", "not-a-number", "not-a-name", "no-steps"}
"""Problems that a schema can see, by the codes that the reader gives them."""
VALIDATOR = Draft202012Validator(spec_schema())


@cache
def loaded(text: str) -> Any:
    """A text of YAML as plain values. Nobody changes them."""
    return YAML(typ="safe", pure=True).load(text)


def refusals(text: str, validator: Draft202012Validator = VALIDATOR) -> list[str]:
    """What an editor would underline."""
    return [error.message for error in validator.iter_errors(loaded(text))]


def shape_problems(text: str) -> set[str]:
    """The codes that the reader alone gives, before any name is looked up."""
    problems = Problems("order.yaml", text)
    table = read_yaml(text, problems)
    assert table is not None
    read_spec(table, problems)
    return {problem.code for problem in problems.found}


def test_the_schema_is_one() -> None:
    """It is valid JSON Schema, draft 2020-12, and says so."""
    Draft202012Validator.check_schema(spec_schema(EVENTS))
    assert spec_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_spec_of_the_project_fits(path: Path) -> None:
    """Nothing is underlined in a spec that runs."""
    assert refusals(path.read_text(encoding="utf-8")) == []


def test_specs_of_other_tests_fit() -> None:
    """Flow style, every key that the stories use, and what a newcomer writes."""
    assert len(SPECS) >= 2
    assert refusals(ORDER) == []
    assert refusals(SAGA) == []


SEEN = [(p[0], p[1], p[3]) for p in PLANTED if p[3] != "duplicate-key"]  # that is for the editor's YAML parser


@pytest.mark.parametrize(("old", "new", "code"), SEEN, ids=lambda v: str(v)[:30])
def test_planted_mistakes_of_shape_are_refused(old: str, new: str, code: str) -> None:
    """Each mistake of the reader's tests is underlined where it is one of shape; else the file is left in peace."""
    assert bool(refusals(changed((old, new)))) is (code in OF_SHAPE or code == "not-an-identifier")


def test_events_of_the_project_are_offered_and_none_is_forced() -> None:
    """Known events stand in the schema by both names; an unknown one is for `choreo check`, which knows today's."""
    schema = spec_schema(EVENTS)
    offered = schema["properties"]["starts_on"]["anyOf"][0]["enum"]
    assert {"shop.OrderPlaced", "OrderPlaced"} <= set(offered)
    assert refusals(changed(("StockReserved\n", "StockReservd\n")), Draft202012Validator(schema)) == []


def test_every_key_is_explained() -> None:
    """An editor shows a sentence on each key."""
    tables: list[Mapping[str, Key]] = [table for name, table in vars(shapes).items() if name.endswith("_KEYS")]
    assert len(tables) == 17
    assert [name for table in tables for name, key in table.items() if not re.fullmatch(r".+[.;] ?.*", key.says)] == []


VALUES = (
    *("word", "order_id", "none", "fail", "retry", "30s", "1h30m", "3", "true", "saga.total > 0", "[a, b]", "[]"),
    *("{}", "{a: b}", "{a: [b]}", "[{a: b}]", "[[a]]", "''", "null", "{event: X}", "{event: X, with: {a: 1}}"),
    *(
        "{event: X, with: [a]}",
        "{event: X, refused: Y}",
        "{emit: X, done_on: Y}",
        "{emit: X, done_on: []}",
        "{emit: X}",
    ),
    *(
        "{retry: {attempts: 2, wait: 5s}}",
        "{retry: 3}",
        "{retry: {}}",
        "{retry: {attempts: 0}}",
        "{emit: {event: 'X'}}",
    ),
    *("{emit: X, done_on: [Y, Z], with: {a: saga.b}, attempts: 4, wait: 1m, within: none, fails_on: W}", "0", "-1"),
    *("{name: x, completes_on: Y}", "[{name: x, completes_on: Y}]", "[{name: x}]", "{refused: Y}", "maybe", "12:30"),
    *("{role: clerk, asks: Sure?}", "{role: clerk, asks: [a]}", "{role: clerk}", "{role: a, asks: b, escalate_to: c}"),
    *("{emit: {event: 'X'}}", "{emit: {event: X, with: {a: b}}, done_on: Y, with: {}}"),
    *("opens", "{office: {zone: UTC, open: '* * * * *'}}", "{office: {zone: UTC, open: []}}", "{office: {zone: UTC}}"),
    *("{office: {zone: UTC, open: [a, [b]]}}", "{office: {zone: UTC, open: a, closed: [a, b]}}", "{office: {}}"),
    *("{by: n}", "{by: n, scope: desk, within: 1m, expires: 1h}", "{by: n, scope: Desk}", "{by: [n]}", "{expires: 1h}"),
    "0s",
)
NAMES = [*shapes.SPEC_KEYS, *(f"steps.{key}" for key in shapes.STEP_KEYS)]


def keys_with(values: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The keys of a spec and of its step; those that must be there and are not chosen are as they should be."""
    spec = {"saga": "order", "version": "1", "starts_on": "OrderPlaced", "correlate_by": "order_id"}
    step = {"name": "pay", "completes_on": "PaymentTaken"}
    spec |= {key: value for key, value in values.items() if "." not in key}
    step |= {key.removeprefix("steps."): value for key, value in values.items() if "." in key}
    return spec, step


def plain_with(values: Mapping[str, str]) -> dict[str, Any]:
    """What `loaded(spec_with(values))` is, without reading the same words of it again for each key."""
    spec, step = ({key: loaded(value) for key, value in keys.items()} for keys in keys_with(values))
    return spec if "steps" in spec else spec | {"steps": [step]}


def spec_with(values: Mapping[str, str]) -> str:
    """A spec whose keys have these values."""
    spec, step = keys_with(values)
    written = "".join(f"    {key}: {value}\n" for key, value in step.items())
    steps = "" if "steps" in spec else "steps:\n  -\n" + written
    return "".join(f"{key}: {value}\n" for key, value in spec.items()) + steps


def test_editor_and_reader_agree() -> None:
    """Whatever stands at whatever key, the schema refuses it just where the reader says that its shape is wrong. (A
    number or truth value in place of a name is read as that word, and is no name that exists: the editor may say so.)
    """
    apart = []
    for key, value in product(NAMES, VALUES):
        given = {key: value}
        badly_named = key == "steps.name" and isinstance(loaded(value), str) and not loaded(value).isidentifier()
        found = bool(shape_problems(spec_with(given))) or badly_named
        if VALIDATOR.is_valid(plain_with(given)) is found and not (_has_plain(loaded(value)) and not found):
            apart.append((key, value, found))
    assert apart == []


DURATIONS = ("0s", "0h0.0m", "0.5s", "10s", "none", "soon")
HOLDERS = (
    ("isolate_on", "{by: n, within: %s}"),
    ("isolate_on", "{by: n, expires: %s}"),
    ("steps.remind", "{emit: X, every: %s}"),
    ("steps.on_timeout", "{ask: {emit: X, within: %s}}"),
    ("steps.on_timeout", "{retry: {wait: %s}}"),
    ("steps.on_timeout", "{retry: {longest: %s}}"),
    ("steps.compensate", "{emit: X, done_on: Y, within: %s}"),
    ("steps.compensate", "{emit: X, done_on: Y, longest: %s}"),
)


@pytest.mark.parametrize(("key", "value"), HOLDERS)
def test_editor_and_reader_agree_on_durations(key: str, value: str) -> None:
    """Where a time has to pass, one of nothing is refused by both, and `none` where it has to pass some time."""
    texts = [spec_with({key: value % duration}) for duration in DURATIONS]
    seen = [bool(refusals(text)) for text in texts]
    assert seen == [bool(shape_problems(text)) for text in texts]
    assert seen[2:4] == [False, False]
    assert seen[0] is seen[1] is ("wait" not in value)


@pytest.mark.parametrize("key", ["events", "steps", "steps.emit"])
def test_what_the_editor_is_asked_is_what_the_reader_reads(key: str) -> None:
    """The plain values that stand for a text in the test above are those that YAML makes of it."""
    assert [value for value in VALUES if loaded(spec_with({key: value})) != plain_with({key: value})] == []


def _has_plain(value: object) -> bool:
    """Whether a number or truth value is in it."""
    if isinstance(value, dict):
        return any(map(_has_plain, value.values()))
    if isinstance(value, list):
        return any(map(_has_plain, value))
    return isinstance(value, bool | int | float)


@pytest.mark.parametrize("timing", shapes.POLICY_KEYS)
def test_editor_and_reader_agree_on_policies(timing: str) -> None:
    """Each word of each timing is taken or refused by both; how long an event is kept may stand behind `keep` only."""
    words = ("take", "keep", "keep 2h", "keep 1h30m", "keep none", "keep long", "take 2h", "merge", "ignore", "fail")
    for word in (*words, "dead-letter", "dead letter", "kept", "[keep]", "{keep: 2h}", "''", "3"):
        text = spec_with({"events": f"{{PaymentTaken: {{{timing}: {word}}}}}"})
        assert bool(refusals(text)) is bool(shape_problems(text)), word
        allowed = word.split()[0] in shapes.POLICY_KEYS[timing].words
        assert allowed or shape_problems(text), word


def test_a_list_that_ends_nothing_is_refused() -> None:
    """A step that no event ends, and a saga that no field finds, are mistakes of shape for the reader, too."""
    for old, new in (
        ("completes_on: OrderDelivered", "completes_on: []"),
        ("done_on: ParcelRecalled}", "done_on: []}"),
        ("correlate_by: order_id", "correlate_by: {}"),
    ):
        assert "wrong-shape" in shape_problems(changed((old, new)))
        assert refusals(changed((old, new)))
    with pytest.raises(SpecError, match="correlate_by takes a field, or a table"):
        spec_of(changed(("correlate_by: order_id", "correlate_by: {}")))


def test_numbers_and_truths_may_be_written_either_way() -> None:
    """An expression may be a plain number, a count or a truth may stand in quotes, as for the reader."""
    for old, new in (
        ("{amount: steps.pay.amount}", "{amount: 5}"),
        ("when: saga.total > 0", "when: true"),
        ("version: 1", "version: '1'"),
        ("pivot: true", "pivot: 'true'"),
    ):
        assert (refusals(changed((old, new))), shape_problems(changed((old, new)))) == ([], set())
