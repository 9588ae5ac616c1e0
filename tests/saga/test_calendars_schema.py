"""The JSON Schema of calendars.yaml: an editor says what the reader says, but for what windows and days mean."""

from datetime import date
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from choreo.errors import SpecError
from choreo.saga.almanac import Shared
from choreo.saga.schema import calendars_schema
from choreo.saga.spec import parse_spec
from tests.saga.flow import CATALOGUE, source, step
from tests.saga.test_shared_calendars import FILE

VALIDATOR = Draft202012Validator(calendars_schema())
SOUND = "zone: UTC, open: '* * * * *'"


def as_editors_read(value: Any) -> Any:
    """As YAML 1.2 has it: a day is a text."""
    if isinstance(value, dict):
        return {name: as_editors_read(one) for name, one in value.items()}
    if isinstance(value, list):
        return [as_editors_read(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


def is_refused_by_editor(text: str) -> bool:
    """Whether something is underlined."""
    return not VALIDATOR.is_valid(as_editors_read(YAML(typ="safe", pure=True).load(text)))


def is_refused_by_reader(text: str) -> bool:
    """Whether the file is to blame where a spec names a calendar that it does not have."""
    named = source(step("a", "within: 1h", "calendar: shared"))
    try:
        parse_spec(named, "flow.yaml", CATALOGUE, shared=Shared("calendars.yaml", text))
    except SpecError as error:
        return "there is no calendar shared" not in str(error)
    return False


def test_the_schema_is_one() -> None:
    """It is valid JSON Schema, draft 2020-12, and explains every key."""
    schema = calendars_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    calendar = schema["properties"]["calendars"]["additionalProperties"]
    assert all(key["description"] for key in calendar["properties"].values())
    assert {"UTC", "Europe/Berlin"} <= set(calendar["properties"]["zone"]["enum"])


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (FILE.source, False),
        (f"calendars: {{day: {{{SOUND}}}, night: {{{SOUND}, closed: [2026-12-25, '* * 1 jan *']}}}}", False),
        ("calendars: {day: {zone: Europe/Berlin, open: ['* 9 * * mon', '* 10 * * tue'], closed: 2026-12-25}}", False),
        ("calendars: {day: {zone: UTC, open: '* * * * *', closed: []}}", False),
        ("calendars: {}", False),
        ("{}", False),
        ("[]", True),
        ("calendars: []", True),
        ("calendars:", True),
        ("calendars: day", True),
        ("calendars: {day: office}", True),
        ("calendars: {day: {zone: UTC}}", True),
        ("calendars: {day: {open: '* * * * *'}}", True),
        ("calendars: {day: {zone: UTC, open: []}}", True),
        ("calendars: {day: {zone: UTC, open: ''}}", True),
        ("calendars: {day: {zone: UTC, open: {a: b}}}", True),
        ("calendars: {day: {zone: UTC, open: [[a]]}}", True),
        ("calendars: {day: {zone: UTC, open: '* * * * *', closed: {a: b}}}", True),
        ("calendars: {day: {zone: Mars, open: '* * * * *'}}", True),
        ("calendars: {day: {zone: [UTC], open: '* * * * *'}}", True),
        (f"calendars: {{none: {{{SOUND}}}}}", True),
        (f"calendars: {{day: {{{SOUND}, opens: '* * * * *'}}}}", True),
        (f"calendars: {{day: {{{SOUND}}}}}\nsaga: order", True),
    ],
)
def test_editor_and_reader_agree(text: str, refused: bool) -> None:
    """What the one takes the other takes, and what it refuses is refused."""
    assert (is_refused_by_editor(text), is_refused_by_reader(text)) == (refused, refused)


@pytest.mark.parametrize("wrong", ["open: '* 25 * * *'", "open: '* * * *'", "open: '* * 30 feb *'"])
def test_what_windows_mean_is_for_the_reader(wrong: str) -> None:
    """A schema sees texts; whether they are windows, and open ever, is for `choreo check` to say."""
    text = f"calendars: {{day: {{zone: UTC, {wrong}}}}}"
    assert (is_refused_by_editor(text), is_refused_by_reader(text)) == (False, True)
