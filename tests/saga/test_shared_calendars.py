"""Calendars that several specs share: a file beside them, part of whatever names one of its calendars."""

import json
from pathlib import Path

import pytest

from choreo.config import modules
from choreo.errors import SpecError
from choreo.log.memory import MemoryLog
from choreo.record import TopicPartition
from choreo.saga.almanac import NO_SHARED, Shared
from choreo.saga.rules import Spec
from choreo.saga.shelf import TOPIC, deploy, examine_deployed, older_specs, shelf
from choreo.saga.spec import SHARED, load_spec, parse_spec, shared_beside
from tests.saga.flow import CATALOGUE, flow, source, step

DAY = "{day: {zone: UTC, open: '* 9-16 * * mon-fri', closed: [2026-12-24..2026-12-31]}}"
FILE = Shared("specs/calendars.yaml", f"calendars: {DAY}\n")
USES = step("a", "within: 1h", "calendar: day")


def text(version: int = 1, **keys: str) -> str:
    """A spec whose one step names the calendar `day`."""
    return source(USES, **{"version": str(version), **keys})


def shared(source: str, file: Shared = FILE) -> Spec:
    """The spec, beside a file of calendars."""
    return parse_spec(source, "flow.yaml", CATALOGUE, shared=file)


def test_a_spec_may_name_a_calendar_that_lies_beside_it(tmp_path: Path) -> None:
    """It is found in `calendars.yaml` of its folder, and means what it would mean if it stood in the spec."""
    (tmp_path / "flow.yaml").write_text(text(), encoding="utf-8")
    with pytest.raises(SpecError, match="there is no calendar day"):
        load_spec(tmp_path / "flow.yaml", CATALOGUE)
    (tmp_path / SHARED).write_text(FILE.source, encoding="utf-8")
    assert load_spec(tmp_path / "flow.yaml", CATALOGUE) == flow(USES, calendars=DAY)
    assert shared_beside(tmp_path / "flow.yaml").source == FILE.source


def test_the_digest_holds_what_a_name_led_to() -> None:
    """Another content of the shared calendar is another digest; one that nobody names, and its place, are nothing."""
    plain = shared(text()).digest
    assert plain == flow(USES, calendars=DAY).digest
    more = Shared("elsewhere.yaml", FILE.source.replace("}}", "}, night: {zone: UTC, open: '* 0-5 * * *'}}"))
    assert shared(text(), more).digest == plain
    longer = Shared(FILE.file, FILE.source.replace("12-31", "12-30"))
    assert shared(text(), longer).digest != plain


def test_a_calendar_of_its_own_goes_before_a_shared_one() -> None:
    """The same name in the spec means the one in the spec."""
    own = "{day: {zone: UTC, open: '* 8 * * *'}}"
    assert shared(text(calendars=own)) == flow(USES, calendars=own)


WRONG = [
    ("calendars: {day: {zone: Mars, open: '* * * * *'}}", "specs/calendars.yaml:1:25: there is no time zone Mars"),
    ("calendars: {day: {open: '* * * * *'}}", "specs/calendars.yaml:1:18: calendar day has no zone"),
    ("saga: day", "specs/calendars.yaml:1:1: the file of shared calendars has no key saga"),
    ("calendars: [", "specs/calendars.yaml:"),
    ("calendars: {night: {zone: UTC, open: '* * * * *'}}", "there is no calendar day"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_what_is_wrong_with_the_file_is_said_where_it_is_named(wrong: str, said: str) -> None:
    """At the word of the spec, with the place in the file; a spec that names none of its calendars does not mind."""
    with pytest.raises(SpecError, match=r"flow\.yaml:9:122") as raised:
        shared(text(), Shared(FILE.file, wrong))
    assert said in str(raised.value)
    plain = source(step("a", "within: 1h"))
    assert shared(plain, Shared(FILE.file, wrong)) == flow(step("a", "within: 1h"))


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """It is not as if there were none."""
    (tmp_path / SHARED).write_bytes(b"\xff")
    with pytest.raises(SpecError, match="is not UTF-8 text"):
        shared_beside(tmp_path / "flow.yaml")


def test_a_deployed_version_keeps_the_calendar_with_which_it_began() -> None:
    """The shelf has the shared calendars beside the spec: an older version is read as it was, whatever they are now."""
    log = MemoryLog()
    first = shared(text())
    assert deploy(log, first, text(), FILE)
    later = Shared(FILE.file, FILE.source.replace("9-16", "8-18"))
    second = shared(text(version=2), later)
    with pytest.raises(SpecError, match="version 1 was deployed with another content"):
        deploy(log, shared(text(), later), text(), later)
    assert deploy(log, second, text(version=2), later)
    assert older_specs(log, second, CATALOGUE) == [first]
    every = shelf(log, "flow")
    assert [examine_deployed(one, every, CATALOGUE)[0] for one in every] == [first, second]


def test_only_who_names_a_shared_calendar_carries_them() -> None:
    """A spec by itself lies on the log as it ever did, so that releases that know no shared calendars can read it."""
    log, alone = MemoryLog(), text(calendars=DAY)
    deploy(log, shared(alone), alone, FILE)
    with log.reader({TopicPartition(TOPIC, 0): 0}) as reader:
        (record,) = reader.read(0)
    assert set(json.loads((record.value or b"")[1:])) == {"saga", "version", "digest", "source"}
    assert parse_spec(alone, "flow.yaml", CATALOGUE, shared=NO_SHARED) == shared(alone)


def test_the_file_is_no_spec_of_the_project() -> None:
    """The globs of a project leave out what the reader of specs takes for shared calendars."""
    assert modules.SHARED_CALENDARS == SHARED
