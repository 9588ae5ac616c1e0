"""Log records as lines: one JSON object each for programs, one readable line each for people."""

import json
import logging
import threading
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from choreo.clock import iso
from choreo.errors import ChoreoError
from choreo.runtime.log_fields import ATTRIBUTE
from choreo.telemetry.privacy import masked, shown, without_inputs

COMMAND = "choreo.cli"
"""The logger of the command itself: on a console its lines stand as they are."""
ORDER = ("service", "worker", "task", "handler", "event", "event_id", "correlation_id", "causation_id")
"""Fields that come first, in this order."""
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", ATTRIBUTE}
"""What every log record has: whatever else it has was added by the author of the line."""


class Origin(logging.Filter):
    """Adds what the record's author did not say: the service, by the thread of its worker, and which process it is.

    Attached to a handler it lets every record pass.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self.services: set[str] = set()
        """Names of the services that run here: so are the threads of their workers."""
        self._worker = worker

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true."""
        fields = dict(getattr(record, ATTRIBUTE, None) or {})
        if self._worker is not None:
            fields.setdefault("worker", self._worker)
        if record.threadName in self.services:
            fields.setdefault("service", record.threadName)
        setattr(record, ATTRIBUTE, fields)
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII: time, level, logger, message, whose it is, ids, the author's extras, error."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": iso(_time(record), "milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message_of(record),
        }
        line |= fields_of(record)
        for name, value in _extras(record).items():
            line.setdefault(name, masked(value))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = error_fields(record.exc_info[1])
        return _dumped(line)


class ConsoleLines(logging.Formatter):
    """`2026-11-21 12:00:07.500Z WARNING choreo.runtime: text [service=payments ...]`; further lines indented."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == COMMAND:
            return message_of(record)
        fields = fields_of(record) | _extras(record)
        tail = " ".join(f"{name}={shown(value)}" for name, value in fields.items() if value is not None)
        head = f"{_time(record).strftime('%Y-%m-%d %H:%M:%S.%f')[:-3]}Z {record.levelname:<7} {record.name}:"
        first, *more = message_of(record).split("\n")
        lines = [f"{head} {first}{f' [{tail}]' if tail else ''}", *more]
        if record.exc_info and record.exc_info[1] is not None:
            lines += without_inputs(_traced(record.exc_info[1])).splitlines()
        return "\n    ".join(lines)


def message_of(record: logging.LogRecord) -> str:
    """The text of a record, its arguments masked."""
    arguments = record.args
    if not arguments:
        return without_inputs(str(record.msg))
    given = shown(dict(arguments)) if isinstance(arguments, Mapping) else tuple(shown(value) for value in arguments)
    try:
        return without_inputs(str(record.msg) % given)
    except (TypeError, ValueError, KeyError):  # a line whose arguments don't fit is better than none
        return without_inputs(f"{record.msg} {given!r}")


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Whose it is and the ids, in a fixed order."""
    fields: Mapping[str, object] = getattr(record, ATTRIBUTE, None) or {}
    found = {name: fields[name] for name in ORDER if fields.get(name) is not None}
    return found | {name: value for name, value in fields.items() if name not in ORDER and value is not None}


def error_fields(error: BaseException) -> dict[str, object]:
    """An error for programs: type, message, and of ours at, why and try; what caused it; the traceback."""
    found: dict[str, object] = {"type": type(error).__name__}
    if isinstance(error, ChoreoError):
        found["message"] = without_inputs(error.message)
        facts = (("at", error.at), ("why", error.why), ("try", error.hint))
        found |= {word: without_inputs(str(fact)) for word, fact in facts if fact}
    else:
        found["message"] = without_inputs(str(error))
    if error.__cause__ is not None:
        cause = error.__cause__
        found["cause"] = f"{type(cause).__name__}: {without_inputs(str(cause))}"
    if not isinstance(error, ChoreoError):
        found["traceback"] = without_inputs(_traced(error))
    return found


class Sparing(logging.Filter):
    """Lets the same news of the framework about the same thing through once a second: progress, not a flood.

    Lines of handlers and warnings always pass.
    """

    EVERY_S = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[object, ...], float] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is shown."""
        if record.levelno > logging.INFO or record.name not in FRAMEWORK:
            return True
        about = record.args[:1] if isinstance(record.args, tuple) else ()
        news = (record.name, record.msg, *about)
        with self._lock:
            if record.created - self._told.get(news, 0.0) < self.EVERY_S:
                return False
            self._told[news] = record.created
            return True


class WithoutRoutine(logging.Filter):
    """Leaves out what the framework does all the time, for somebody who looks at their own code: checkpoints, workers
    that come and go, what they have. Lines of handlers, of tasks, of failures, and warnings pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is shown."""
        if record.levelno > logging.INFO or record.name not in FRAMEWORK:
            return True
        return (getattr(record, ATTRIBUTE, None) or {}).get("task") is not None


FRAMEWORK = ("choreo.runtime", "choreo.saga", "choreo.log.kafka")
"""Loggers of Choreo itself; those of handlers are `choreo.SERVICE.HANDLER`."""


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _OWN}


def _traced(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()


def _dumped(line: Mapping[str, object]) -> str:
    """As one line of strict JSON; what JSON has no word for becomes its text."""
    try:
        return json.dumps(line, default=str, allow_nan=False)
    except (ValueError, TypeError, RecursionError):  # infinities, keys that are no text, a value inside itself
        plain = dict(_plain(line))
        return json.dumps(plain, default=str)


def _plain(line: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in line.items():
        try:
            json.dumps(value, default=str, allow_nan=False)
            yield name, value
        except (ValueError, TypeError, RecursionError):
            yield name, repr(value)
