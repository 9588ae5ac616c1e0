"""Log records as lines: JSON for programs, text for people; both with the ids, neither with what is personal."""

import json
import logging
from datetime import datetime
from typing import Any

import pytest

from choreo.errors import ConfigError
from choreo.runtime.log_fields import about
from choreo.telemetry.log_lines import ConsoleLines, JsonLines, Origin
from tests.telemetry.test_privacy import ANN, HIDDEN


def record(text: str, *arguments: object, error: BaseException | None = None, **extra: Any) -> logging.LogRecord:
    """A record as a logger would make it."""
    info: Any = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.getLogger("choreo.payments.Charge").makeRecord(
        "choreo.payments.Charge", logging.WARNING, __file__, 1, text, arguments, info, extra=extra or None
    )
    made.created = 1_772_452_800.25
    return made


def parsed(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonLines().format(made)
    assert "\n" not in line
    assert line.isascii()

    def refuse(word: str) -> object:
        raise AssertionError(f"{word} is no JSON")

    return dict(json.loads(line, parse_constant=refuse))


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """The error as it comes out of a handler: with a traceback."""
    try:
        raise error from cause
    except Exception as caught:
        return caught


def test_a_json_line_has_time_level_logger_message_and_ids() -> None:
    """Time is ISO 8601 in UTC; the fields of the handling come after the message, in a fixed order."""
    line = parsed(record("charged %d", 5, **about(offset=7, event_id="e", service="payments", task=3, saga=None)))
    assert list(line.items()) == [
        ("time", "2026-03-02T12:00:00.250Z"),
        ("level", "warning"),
        ("logger", "choreo.payments.Charge"),
        ("message", "charged 5"),
        ("service", "payments"),
        ("task", 3),
        ("event_id", "e"),
        ("offset", 7),
    ]


def test_what_the_author_adds_becomes_fields() -> None:
    """`extra=` stands in the line; it can't replace what the framework says."""
    line = parsed(record("x", **about(service="payments"), amount=5, service="another", at=datetime(2026, 1, 2)))
    assert (line["amount"], line["service"], line["at"]) == (5, "payments", "2026-01-02 00:00:00")


def test_personal_fields_do_not_get_into_lines() -> None:
    """Events given as arguments or extras are masked in both formats."""
    by_name = logging.getLogger("x").makeRecord("x", 20, "", 1, "%(who)s", ({"who": ANN},), None)
    for made in (record("got %s and %r", ANN, [ANN], order=ANN), by_name):
        for text in (JsonLines().format(made), ConsoleLines().format(made)):
            assert [word for word in HIDDEN if word in text] == []
            assert "Vienna" in text


def test_errors_show_cause_and_cure() -> None:
    """Ours say at, why and try; a foreign one shows its traceback; each what caused it."""
    ours = raised(ConfigError("no way", at="x:1", why="because", hint="another"), OSError("the line is dead"))
    assert parsed(record("x", error=ours))["error"] == {
        "type": "ConfigError",
        "message": "no way",
        "at": "x:1",
        "why": "because",
        "try": "another",
        "cause": "OSError: the line is dead",
    }
    found = parsed(record("x", error=raised(ValueError("bad"))))["error"]
    assert (found["type"], found["message"]) == ("ValueError", "bad")
    assert "raise error from cause" in found["traceback"]
    console = ConsoleLines().format(record("x", error=ours))
    for words in ("why  because", "try  another", "OSError: the line is dead"):
        assert words in console


def test_a_validation_error_is_logged_without_the_value() -> None:
    """In message, error, traceback and console alike."""
    planted: Any = "hunter" + "2"  # in one piece it would stand in the traceback, as a line of this file
    try:
        type(ANN)(person="p", email="e", address=ANN.address, age=planted)
    except ValueError as caught:
        made = record("failed: %s", caught, error=caught)
    for text in (JsonLines().format(made), ConsoleLines().format(made)):
        assert "hunter2" not in text
        assert "valid integer" in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {(1, 2): 3}, b"\xff", "\udcff", object])
def test_whatever_is_added_a_line_is_json(value: object) -> None:
    """What JSON has no word for becomes text: no line is lost, and none breaks its reader."""
    assert "odd" in parsed(record("x", odd=value))


def test_arguments_that_do_not_fit_lose_no_line() -> None:
    """A mistake in a log call is seen as it was made."""
    assert parsed(record("%d apples", "many"))["message"] == "%d apples ('many',)"


def test_a_console_line_is_one_line_and_the_rest_is_indented() -> None:
    """Nobody forges a line by a line break in what is logged."""
    lines = ConsoleLines().format(record("two\n2026 lines", **about(service="payments", task=3))).split("\n")
    assert lines[0] == "2026-03-02 12:00:00.250Z WARNING choreo.payments.Charge: two [service=payments task=3]"
    assert lines[1:] == ["    2026 lines"]


def test_the_origin_is_added_where_the_author_said_none() -> None:
    """The service by the thread of its worker, and the number of the process."""
    origin, made, mine, stranger = Origin(worker=2), record("x"), record("y", **about(service="payments")), record("z")
    origin.services.add("inventory")
    made.threadName = mine.threadName = "inventory"
    assert all(map(origin.filter, (made, mine, stranger)))
    assert (parsed(made)["service"], parsed(made)["worker"]) == ("inventory", 2)
    assert parsed(mine)["service"] == "payments"
    assert "service" not in parsed(stranger)


def test_a_bare_record_has_four_fields() -> None:
    """What every record of this Python has is no extra."""
    assert set(parsed(record("x"))) == {"time", "level", "logger", "message"}
