"""What log records carry besides their text: whose they are and, inside a handling, the ids of its event.

A record has it in its attribute `choreo`, a mapping; whoever formats it decides what to show.
"""

from collections.abc import Callable, Mapping
from logging import Logger, LogRecord
from typing import Any
from uuid import UUID

from choreo.events.envelope import Ids
from choreo.events.event import Event
from choreo.record import Position
from choreo.runtime.observer import Subject

ATTRIBUTE = "choreo"

Fields = Mapping[str, object]


def about(**fields: object) -> dict[str, Any]:
    """The `extra` of a log call: `logger.info(text, extra=about(service="payments", task=3))`."""
    return {ATTRIBUTE: {name: value for name, value in fields.items() if value is not None}}


def subject_fields(subject: Subject, attempt: int | None = None) -> dict[str, object]:
    """An input as log records name it."""
    fields: dict[str, object] = {"service": subject.service, "task": subject.partition}
    if subject.handler is not None:
        fields["handler"] = subject.handler
    if subject.event is not None:
        fields["event"] = subject.event
    if subject.ids is not None:
        fields |= id_fields(subject.ids)
    if subject.place is not None:
        fields |= place_fields(subject.place)
    if attempt is not None:
        fields["attempt"] = attempt
    return fields


def id_fields(ids: Ids) -> dict[str, object]:
    """The ids of an event as texts."""
    fields: dict[str, object] = {
        "event_id": str(UUID(bytes=ids.event_id)),
        "correlation_id": ids.correlation_id,
        "causation_id": None if ids.causation_id is None else str(UUID(bytes=ids.causation_id)),
    }
    if ids.saga is not None:
        fields |= {"saga": ids.saga.name, "step": ids.saga.step}
    return fields


def place_fields(place: Position) -> dict[str, object]:
    return {"topic": place.topic, "partition": place.partition, "offset": place.offset}


def event_name(arguments: tuple[object, ...], timer: str) -> str:
    """How an input is named: the event's full name, or that of the method that answers a timer."""
    event = arguments[0] if arguments else None
    return event.contract.full_name if isinstance(event, Event) else timer


class HandlingLog(Logger):
    """`ctx.log`: the logger of a handler, whose records carry the ids of the handling that runs.

    The ids are asked for when a record is made, so a call that is below the level costs what it always does.
    """

    def __init__(self, logger: Logger, fields: Callable[[], Fields]) -> None:
        super().__init__(logger.name)
        self.parent: Logger = logger
        self._fields = fields

    def isEnabledFor(self, level: int) -> bool:
        """As the logger of that name says: it hears when levels change, a logger without a place does not."""
        return self.parent.isEnabledFor(level)

    def getEffectiveLevel(self) -> int:
        return self.parent.getEffectiveLevel()

    def filter(self, record: LogRecord) -> Any:
        return self.parent.filter(record)

    def makeRecord(self, *arguments: Any, **more: Any) -> LogRecord:
        record = super().makeRecord(*arguments, **more)
        setattr(record, ATTRIBUTE, self._fields())
        return record
