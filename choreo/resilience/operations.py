"""Operations: what an operator changed on the log, who did it and why, as events on one topic.

An operation begins, tells how far it has come in the same transactions as what it writes, and ends. So whoever goes on
with one that was interrupted knows what is done.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from choreo.events.event import Event, Value
from choreo.log.interface import TopicSpec

TOPIC = "choreo.operations"
SPEC = TopicSpec(TOPIC, 1, {"cleanup.policy": "delete", "retention.ms": "-1"})
"""One partition: what operators do is little, and is read in the order in which it was done."""

Outcome = Literal["redriven", "edited", "dropped"]
OUTCOMES: tuple[Outcome, ...] = ("redriven", "edited", "dropped")
"""What may become of a dead letter."""


class Operation(Event, namespace="choreo", topic=TOPIC, key="operation", abstract=True):
    """Something of one operation of an operator."""

    operation: UUID
    """Made when it begins; the mark `again` of a record names it."""


class OperationBegan(Operation):
    """An operator changes something."""

    kind: str
    """redrive, edit, drop, release, emit, ...: what is done."""
    subjects: tuple[str, ...]
    """To what: services, topics."""
    who: str
    why: str
    asked: dict[str, str]
    """How it was asked for: the filters and options, as text."""
    at: datetime


class LetterPlace(Value):
    """Where a dead letter lies; of one in parts the last of them."""

    topic: str
    partition: int
    offset: int


class LettersSettled(Operation):
    """Dead letters need nobody's attention any more; what was put on the log for it is in the same transaction."""

    outcome: Outcome
    who: str
    why: str
    letters: tuple[LetterPlace, ...]
    at: datetime


class RecordsEmitted(Operation):
    """Records were put on the log again, in the same transaction."""

    reached: dict[str, int]
    """By partition (`shop.orders[3]`), the offset from which it goes on; the others stand where they stood."""
    read: int
    """How many records were looked at, since the operation began."""
    emitted: int
    """How many of them were put on the log again."""
    at: datetime


class OperationEnded(Operation):
    """All that was asked for is done."""

    counts: dict[str, int]
    at: datetime


CLASSES: tuple[type[Operation], ...] = (OperationBegan, LettersSettled, RecordsEmitted, OperationEnded)
