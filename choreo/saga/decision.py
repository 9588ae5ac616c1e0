"""What goes into a decision and what comes out of it: values only."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from choreo.events.envelope import uuid8
from choreo.saga.instance import Instance
from choreo.saga.rules import Spec

SAGA_TIMER = "~saga"
"""The timer of the whole instance; the other timers have the names of their steps."""
REMINDS = "~remind"
"""Behind a step's name: the timer of its reminders."""
HELD_TIMER = "~held"
"""The timer of the events that an instance keeps for their turn."""


class Received(NamedTuple):
    """An event. `event` is its full name, `fields` those that the spec needs, as JSON has them; times in microseconds.

    `at` is when it was emitted, `now` when it is handled. `cancelled` is the mark of a request that another saga made
    after its cancellation.
    """

    event: str
    key: str
    event_id: bytes
    now: int
    at: int
    fields: Mapping[str, Any]
    correlation_id: str = ""
    cancelled: bool = False


class Due(NamedTuple):
    """A timer that came due."""

    timer: str
    now: int


class Retry(NamedTuple):
    """Ask for a step, or for its undo, once more."""

    step: str


class Skip(NamedTuple):
    """Go on as if the step were not there; while undoing, leave it as it is."""

    step: str


class Resolve(NamedTuple):
    """Somebody knows what became of a step, outside of all events."""

    step: str
    outcome: Literal["done", "failed", "compensated"]


class Cancel(NamedTuple):
    """Undo the saga, also where its spec knows no cancellation."""


class Answer(NamedTuple):
    """Emit an event that a step waits for: full name, and its fields as JSON has them, the correlating one aside.

    `role` is the one that whoever decides a human step says to have; "" where none was said.
    """

    step: str
    event: str
    fields: Mapping[str, Any]
    role: str = ""


class Migrate(NamedTuple):
    """Follow another version of the spec from here on, standing where its own events lead to there: as `instance`.

    `revision` is that of the instance when this was worked out (`adopt.revision`). `renamed` says what becomes of steps
    that the other version calls otherwise; None: it has none in their place.
    """

    version: int
    digest: str
    revision: str
    instance: Instance
    renamed: Mapping[str, str | None]


Order = Retry | Skip | Resolve | Cancel | Answer | Migrate


class Command(NamedTuple):
    """An operator's order, with who gave it and why. `at` is when it was given, `now` when it is handled."""

    order: Order
    event_id: bytes
    now: int
    at: int
    who: str
    why: str


Input = Received | Due | Command


class Emit(NamedTuple):
    """An event to emit. `kind` says whether it asks a step to do or undo, only tells where the saga stands, or is what
    an operator answers in place of a service.

    `request_id` stays the same over all attempts of one round.
    """

    event: str
    fields: Mapping[str, Any]
    kind: Literal["do", "undo", "notice", "answer"]
    step: str | None
    request_id: bytes
    round: int = 1
    attempt: int = 1
    cancelled: bool = False


class TimerChange(NamedTuple):
    """Set the timer `name` to `due` (microseconds since 1970), or cancel it (None)."""

    name: str
    due: int | None


class Decision(NamedTuple):
    """What follows from one input. An `instance` of None means that there is none any more.

    `changes` says in words what changed; () means that nothing did. `keep` asks to hold an early event back until
    `keep_until` (microseconds, None for ever). `dead_letter` says why the event can't be used at all, `refused` why an
    operator's order makes no sense. `letters` are the events that go to the dead letters by a policy, this one or kept
    ones: event_id and reason. `spec` is that of the decision, with a step for each item, where it was worked out.
    """

    instance: Instance | None
    emits: tuple[Emit, ...] = ()
    timers: tuple[TimerChange, ...] = ()
    changes: tuple[str, ...] = ()
    keep: bool = False
    keep_until: int | None = None
    dead_letter: str | None = None
    letters: tuple[tuple[bytes, str], ...] = ()
    refused: str | None = None
    spec: Spec | None = None

    def then(self, later: "Decision") -> "Decision":
        """Both decisions as one; the later timers win."""
        timers = dict(self.timers) | dict(later.timers)
        return later._replace(
            emits=self.emits + later.emits,
            timers=tuple(TimerChange(name, due) for name, due in timers.items()),
            changes=self.changes + later.changes,
            dead_letter=later.dead_letter or self.dead_letter,
            letters=self.letters + later.letters,
        )


def request_id(saga: str, key: str, step: str, kind: str, round: int) -> bytes:
    """16 bytes, a UUID of version 8: the same request has the same id, however often and wherever it is emitted."""
    return uuid8(b"request", *(part.encode() for part in (saga, key, step, kind, str(round))))
