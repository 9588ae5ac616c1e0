"""The mapping file of a migration: what is asked is written down, what is answered is read back."""

from pathlib import Path
from typing import Any

import pytest

from choreo.cli.saga_answers import MappingFile, read_mapping
from choreo.errors import ConfigError
from choreo.saga.instance import Instance, StepRecord
from choreo.saga.migration import Answers, Question
from tests.saga.flow import CATALOGUE, flow, step

FIRST = flow(step("a"), step("b"), remember="[n]")
TO = flow(
    step("a"), step("c", "emit: {event: Told1, with: {n: steps.a.n}}", "after: a"), remember="[n, at]", version="2"
)
LIVE = Instance(saga="flow", key="x1", version=1, digest="d", remembered={"n": 3}, steps={"a": StepRecord()})
ASKED = [
    Question("steps", "b", "step b is done, and version 2 has no such step"),
    Question("fields", "saga.at", "version 2 remembers saga.at"),
    Question("events", "flow.Told1", "it has told flow.Told1"),
]


def written(tmp_path: Path, mapping: MappingFile, *questions: Question) -> tuple[str, MappingFile]:
    """A mapping as it is written with these questions, and as it is read back."""
    file = tmp_path / "flow-to-2.yaml"
    file.write_text(mapping.with_questions(questions).text(TO, questions), encoding="utf-8")
    return file.read_text(encoding="utf-8"), read_mapping(file)


def test_what_is_asked_stands_above_the_place_for_the_answer(tmp_path: Path) -> None:
    """With why it is asked; what is empty is not answered."""
    text, mapping = written(tmp_path, MappingFile(), *ASKED)
    lines = text.splitlines()
    assert lines[lines.index("  b:") - 1].startswith("  # step b is done, and version 2 has no such step")
    assert mapping.told == {"steps": {"b": None}, "fields": {"saga.at": None}, "events": {"flow.Told1": None}}
    assert mapping.answers(TO) == Answers()
    assert mapping.values(LIVE, (FIRST, TO), CATALOGUE) == {}


def test_answers_are_kept_where_more_is_asked(tmp_path: Path) -> None:
    """A second run adds its questions and forgets nothing."""
    told: dict[str, dict[str, Any]] = {
        "steps": {"b": "c", "x": "drop"},
        "fields": {"saga.n": {"cel": "saga.n + 1"}},
        "events": {},
    }
    _, mapping = written(tmp_path, MappingFile(told), *ASKED)
    assert mapping.told["steps"] == {"b": "c", "x": "drop"}
    assert mapping.told["fields"] == {"saga.n": {"cel": "saga.n + 1"}, "saga.at": None}
    assert mapping.answers(TO) == Answers({"b": "c", "x": None})


def test_an_event_that_is_dropped_is_answered(tmp_path: Path) -> None:
    """It is named in full."""
    _, mapping = written(tmp_path, MappingFile({"steps": {}, "fields": {}, "events": {"flow.Told1": "drop"}}))
    assert mapping.answers(TO) == Answers({}, frozenset({"flow.Told1"}))


@pytest.mark.parametrize(
    ("name", "said", "value"),
    [
        ("saga.n", 4, 4),
        ("saga.n", "4", 4),
        ("saga.n", {"cel": "saga.n * 2"}, 6),
        ("steps.a.n", {"cel": "saga.n + 1"}, 4),
        ("saga.at", "2026-03-02T12:00:00Z", "2026-03-02T12:00:00Z"),
    ],
)
def test_a_value_is_what_the_event_would_have_had(name: str, said: Any, value: Any) -> None:
    """Given, or worked out of what the saga remembers; in the type of the field."""
    mapping = MappingFile({"steps": {}, "fields": {name: said}, "events": {}})
    assert mapping.values(LIVE, (FIRST, TO), CATALOGUE) == {name: value}


def test_a_saga_for_which_nothing_comes_out_is_asked_about_again() -> None:
    """An answer that reads what this one does not remember is none for it; others have theirs."""
    mapping = MappingFile({"steps": {}, "fields": {"saga.n": {"cel": "steps.a.n + 1"}}, "events": {}})
    assert mapping.values(LIVE, (FIRST, TO), CATALOGUE) == {}
    knows = LIVE.model_copy(update={"steps": {"a": StepRecord(fields={"n": 6})}})
    assert mapping.values(knows, (FIRST, TO), CATALOGUE) == {"saga.n": 7}


@pytest.mark.parametrize(
    ("name", "said", "why"),
    [
        ("saga.n", {"cel": "saga.n +"}, "syntax error"),
        ("saga.at", "noon", "saga.at: 'noon': Input should be a valid datetime"),
        ("steps.c.n", 1, "version 2 remembers no steps.c.n"),
    ],
)
def test_a_value_that_is_none_is_said(name: str, said: Any, why: str) -> None:
    """With the field, and why."""
    mapping = MappingFile({"steps": {}, "fields": {name: said}, "events": {}})
    with pytest.raises(ConfigError, match=why):
        mapping.values(LIVE, (FIRST, TO), CATALOGUE)
