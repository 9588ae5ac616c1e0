"""One saga at work, as a store keeps it: status, steps, remembered fields. No history: that is on the log."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Self, cast

from pydantic import Field
from pydantic_core import from_json

from choreo.events.event import Value
from choreo.state.values import VALUE_VERSION, ValueCodec, remembering_codec

Status = Literal["waiting", "compensating", "stuck", "completed", "compensated", "cancelled"]
"""Where a saga stands. `stuck` waits for an operator, or for a late answer; the last three are ends."""

ENDED: tuple[Status, ...] = ("completed", "compensated", "cancelled")
SEEN_EVENTS = 32
"""How many event ids an instance remembers in order to recognise duplicates."""

READ_LAST = 4096
"""How many instances are kept as objects, some kB each, so that they need not be read again."""


class StepState(StrEnum):
    """Where a step stands."""

    IDLE = "idle"
    HELD = "held"
    """Its turn has come, and it begins later."""
    WAITING = "waiting"
    """Its turn has come and a service starts it by itself: it may be happening."""
    REQUESTED = "requested"
    """The coordinator asked for it: it may be happening."""
    DONE = "done"
    FAILED = "failed"
    """Certainly did not happen: nothing to undo."""
    UNKNOWN = "unknown"
    """May have happened: undone as if it had."""
    SKIPPED = "skipped"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"


NOT_BEGUN = (StepState.IDLE, StepState.HELD)
IN_FLIGHT = (StepState.WAITING, StepState.REQUESTED)
OPEN = (*NOT_BEGUN, *IN_FLIGHT)
"""Nobody knows yet what becomes of it."""
SETTLED = (StepState.DONE, StepState.SKIPPED)
"""What comes after it need not wait any more."""
UNTOUCHED = (*NOT_BEGUN, StepState.SKIPPED)
UNDOING = (StepState.COMPENSATING, StepState.COMPENSATION_FAILED)


class Copied:
    """A frozen model without private fields that is copied with every decision: as pydantic does it, at a tenth of
    the cost.
    """

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """The same but for `update`, which is not validated. Never deep: what is frozen can be shared."""
        assert not deep
        told = update or {}
        made, put = object.__new__(type(self)), object.__setattr__
        put(made, "__dict__", {**self.__dict__, **told})
        put(made, "__pydantic_fields_set__", {*self.__pydantic_fields_set__, *told})  # type: ignore[attr-defined]  # of the model that this is mixed into
        put(made, "__pydantic_extra__", None)
        put(made, "__pydantic_private__", None)
        return made


class Asked(Value):
    """A question to people: since when (microseconds since 1970), and who answered it by which event (full name)."""

    since: int
    by: str = ""
    event: str = ""


class StepRecord(Copied, Value):
    """What an instance keeps of one step. Times are microseconds since 1970.

    `by` and `undone_by` are the full names of the events that settled it, or words such as `timeout`. `due` is when
    its timer fires, `remind_due` when it reminds, `resting` means that the timer ends a wait before the next request.
    `run` counts how often it was begun, `asked` and `reminded` questions and reminders. `round` counts undos: a late
    success after an undo opens the next one. `late` is set when the success was heard after an undo had been asked for:
    `uncovered` until the undo is asked for again, unless it is that of an item which `counted` for its step. `since` is
    when the event was emitted that began a further `run`. `stands` means that it happened in an earlier run, which a
    `repeat` follows: it has to be undone whatever comes of this one.
    `items` are those of a step that is done for each, by their keys, once the list is known; each has a record of its
    own, `ship[KEY]`. `asked_as` is the name under which it is asked for, where a migration has renamed it: a request
    keeps its id.
    """

    state: StepState = StepState.IDLE
    by: str = ""
    undone_by: str = ""
    run: int = 1
    attempt: int = 0
    undo_attempt: int = 0
    asked: int = 0
    reminded: int = 0
    remind_due: int | None = None
    round: int = 1
    due: int | None = None
    resting: bool = False
    overdue: bool = False
    done_at: int | None = None
    undone_at: int | None = None
    late: Literal["", "uncovered", "counted", "covered"] = ""
    since: int | None = None
    stands: bool = False
    asked_as: str = ""
    fields: dict[str, Any] = Field(default_factory=dict)
    problem: str = ""
    items: dict[str, Any] | None = None
    question: Asked | None = None


class Cause(Value):
    """Why a saga is being undone: a step and the event (full name) or timeout that ended it; what cancelled it, or took
    it back ("asked"); or, by a policy, the event that came at no good time: `kind` is its timing then.
    """

    kind: Literal[
        "failed", "unknown", "timeout", "cancelled", "asked", "early", "late", "duplicate", "out_of_order", "unexpected"
    ]
    step: str = ""
    by: str = ""


class Held(Value):
    """An event (full name, id in hex) that an instance keeps for its turn, `until` (None: for ever); `fields` are those
    that decisions need, `at` is when it was emitted. Times are microseconds since 1970.
    """

    event: str
    event_id: str
    at: int
    until: int | None
    fields: dict[str, Any] = Field(default_factory=dict)


class Instance(Copied, Value):
    """One saga: (`saga`, `key`). Times are microseconds since 1970; field values are as JSON has them.

    It follows the spec of `version` and `digest` to its end. A `forgotten` one only marks that its key was used. One
    that is `cancelled_above` was begun, or taken back, by a saga that had been cancelled: so its requests are marked.
    """

    saga: str
    key: str
    version: int
    digest: str
    status: Status = "waiting"
    cause: Cause | None = None
    steps: dict[str, StepRecord] = Field(default_factory=dict)
    remembered: dict[str, Any] = Field(default_factory=dict)
    seen: tuple[str, ...] = ()
    correlation_id: str = ""
    refused: str = ""
    started_at: int = 0
    ended_at: int | None = None
    due: int | None = None
    forgotten: bool = False
    held: tuple[Held, ...] = ()
    cancelled_above: bool = False

    @classmethod
    def __value_codec__(cls) -> ValueCodec:
        """Most events change nothing of their instance: those read last are kept as they were read."""
        return remembering_codec(cls, READ_LAST)

    @property
    def cancelled(self) -> bool:
        """Whether it is undone because it was cancelled."""
        return self.cause is not None and self.cause.kind == "cancelled"

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class Glance(NamedTuple):
    """What tells at first sight whether an instance may be looked for."""

    key: str
    digest: str
    status: Status


_HEAD = re.compile(rb'\{"saga":"[^"\\]*","key":"([^"\\]*)","version":\d+,"digest":"(\w*)"(?:,"status":"(\w+)")?[,}]')
"""How a stored instance begins: these fields, in this order; the status only where it is not waiting."""


def glance(stored: bytes) -> Glance | None:
    """A stored instance at first sight, at a small part of the cost of reading it; None for an unknown format."""
    if stored[:1] != VALUE_VERSION:
        return None
    head = _HEAD.match(stored, 1)
    if head is not None:
        key, digest, status = head.groups()
        return Glance(key.decode(), digest.decode(), cast(Status, status.decode() if status else "waiting"))
    told = from_json(stored[1:])  # its key is one that JSON writes otherwise
    return Glance(told["key"], told["digest"], told.get("status", "waiting"))
