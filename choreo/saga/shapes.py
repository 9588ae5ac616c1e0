"""The keys of a spec: how each is written, whether it must be there, and what it says. The reader and the JSON Schema
for editors both go by these tables; what the words mean is left to `checking.py`.
"""

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

SAGA_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
NESTED = re.compile(rf"({SAGA_NAME.pattern})(?:@([1-9][0-9]{{0,8}}))?")
ON_TIMEOUT = ("fail", "escalate", "retry")
NO_COMPENSATION = "none"
REST = ("leave", "wait", "undo")
NO_CALENDAR = "none"
OPENS = "opens"
"""What `not_before` says to wait until the calendar is open."""


class Shape(Enum):
    """How a value is written."""

    WORD = auto()
    SAGA_NAME = auto()
    STEP_NAME = auto()
    EVENT = auto()
    """The name of one event."""
    EVENTS = auto()
    """One name or a list of them."""
    NESTED = auto()
    """The name of another saga, with or without the least version that will do: `shipping@2`."""
    NAMES = auto()
    """One name of a step or field, or a list of them."""
    ORDER = auto()
    """As NAMES, or a table with ORDER_KEYS."""
    EXPRESSION = auto()
    """CEL over `saga.*` and `steps.*.*`."""
    DURATION = auto()
    LIMIT = auto()
    """A DURATION that is not over at once."""
    PASSING = auto()
    """As LIMIT, and not `none`."""
    TIME = auto()
    """A LIMIT, or an EXPRESSION that gives a point in time."""
    BEGINNING = auto()
    """As TIME, a DURATION of nothing too, or OPENS."""
    NUMBER = auto()
    """A whole number of at least 1."""
    FLAG = auto()
    CORRELATION = auto()
    """One field for all events, or a table: event -> field."""
    MAPPINGS = auto()
    """A table: field -> expression."""
    EMISSION = auto()
    """An event's name, or a table with EMISSION_KEYS."""
    TELLINGS = auto()
    """A table: what became of the saga -> EMISSION, with TELL_KEYS."""
    STEP_TELLINGS = auto()
    """A table: what became of the step -> EMISSION, with STEP_TELL_KEYS."""
    CANCELLATION = auto()
    """An event's name, or a table with CANCELLATION_KEYS."""
    COMPENSATION = auto()
    """`none`, or a table with COMPENSATION_KEYS."""
    TIMEOUT = auto()
    """One of ON_TIMEOUT, or a table with TIMEOUT_KEYS."""
    RETRY = auto()
    """A table with RETRY_KEYS."""
    ASKING = auto()
    """A table with ASK_KEYS."""
    SHARE = auto()
    """`all`, `any`, a NUMBER, or a percentage such as 80%."""
    REST = auto()
    """One of REST."""
    ISOLATION = auto()
    """The name of a field, or a table with ISOLATION_KEYS."""
    REPETITION = auto()
    """A table with REPEAT_KEYS."""
    REMINDER = auto()
    """A table with REMIND_KEYS."""
    HUMAN = auto()
    """A table with HUMAN_KEYS."""
    CALENDARS = auto()
    """A table: name -> a table with CALENDAR_KEYS."""
    POLICIES = auto()
    """A table: event, or `*` -> at least one of POLICY_KEYS."""
    POLICY = auto()
    """One of the key's words; behind `keep` may stand a DURATION that is one."""
    STEPS = auto()
    """A list of at least one table with STEP_KEYS."""


class Key(NamedTuple):
    """One key of a table. `missing` and `cure` are for one that must be there, where the plain words do not do.

    `words` are those that a POLICY may be. `unless` is another key beside which it need not be.
    """

    shape: Shape
    says: str
    required: bool = False
    missing: str = ""
    cure: str = ""
    words: tuple[str, ...] = ()
    unless: str = ""


Keys = Mapping[str, Key]

SPEC_KEYS: Keys = {
    "saga": Key(Shape.SAGA_NAME, "The saga's name: lower-case letters, digits and _.", required=True),
    "version": Key(Shape.NUMBER, "Counts up with each change; instances keep the one they began with.", required=True),
    "namespace": Key(Shape.WORD, "Put before every event name that has no dot."),
    "starts_on": Key(Shape.EVENT, "The event that starts an instance.", required=True),
    "correlate_by": Key(
        Shape.CORRELATION,
        "The field whose value is the instance's key: one that every event has, or a field by event.",
        required=True,
    ),
    "isolate_on": Key(
        Shape.ISOLATION, "A field of the start event: instances that have one value there do their steps one by one."
    ),
    "remember": Key(Shape.NAMES, "Fields of the start event to keep, beyond those that conditions and mappings read."),
    "within": Key(Shape.LIMIT, "How long a step may wait that says nothing else; none: for ever, on purpose."),
    "deadline": Key(
        Shape.TIME,
        "When a step that says nothing else must be done: so long after the start, or a point in time.",
    ),
    "calendars": Key(Shape.CALENDARS, "Business calendars by name: when somebody is there to do the work."),
    "calendar": Key(Shape.WORD, "The calendar of every step that names none: its durations count open time only."),
    "cancels_on": Key(Shape.CANCELLATION, "The event that asks to cancel; what was done is undone."),
    "compensates_on": Key(Shape.CANCELLATION, "The event that takes the saga back, even where it is complete already."),
    "cancellable_until": Key(Shape.WORD, "The step after which a cancellation is refused; a pivot does it, too."),
    "tell": Key(Shape.TELLINGS, "Events that tell others where the saga stands."),
    "events": Key(Shape.POLICIES, "What is done with events that come at no good time: by event, or for all with '*'."),
    "keep_early": Key(Shape.DURATION, "How long an event is kept that comes before its instance starts; 1d."),
    "keep_ended": Key(Shape.DURATION, "How long an ended instance is kept whole; 30d."),
    "refuse_again": Key(Shape.DURATION, "How long a key that has ended is not started again; 365d."),
    "steps": Key(Shape.STEPS, "What has to happen. Steps without after: begin at once, in parallel."),
}
STEP_KEYS: Keys = {
    "name": Key(Shape.STEP_NAME, "The step's name: letters, digits and _.", required=True),
    "after": Key(
        Shape.ORDER, "The steps that come before: all of them, {any: [a, b]}, or {at_least: 2, of: [a, b, c]}."
    ),
    "when": Key(Shape.EXPRESSION, "The step is skipped where this is false: CEL over saga.* and steps.NAME.*."),
    "while": Key(Shape.WORD, "The step begins only while this one is under way; once it has ended, it is skipped."),
    "excludes": Key(Shape.NAMES, "The step is not under way at the same time as these, whichever begins first."),
    "else": Key(Shape.NAMES, "The step is skipped unless all of these were skipped: the other way of a choice."),
    "for_each": Key(Shape.EXPRESSION, "The step is done once for each item of this list, all at the same time."),
    "item_key": Key(Shape.WORD, "The field that names an item: of the items, and of the events that speak of one."),
    "adds_on": Key(Shape.EVENTS, "The event that is one more item, for as long as the step is not done."),
    "complete": Key(Shape.SHARE, "How many items must be done: all, any, 3 or 80%; all."),
    "rest": Key(Shape.REST, "What becomes of the other items then: leave, wait (for them) or undo; leave."),
    "emit": Key(Shape.EMISSION, "The event that asks for the step; leave it out where a service reacts by itself."),
    "human": Key(Shape.HUMAN, "A person decides the step: who is asked, and what."),
    "saga": Key(Shape.NESTED, "The saga that the step is, or its least version too: shipping@2. It says how it ends."),
    "with": Key(Shape.MAPPINGS, "Where fields of the events that start and undo this saga come from."),
    "completes_on": Key(
        Shape.EVENTS,
        "The event that ends the step well.",
        required=True,
        cure="add completes_on: the event that ends it",
        unless="saga",
    ),
    "fails_on": Key(Shape.EVENTS, "The event that says that it certainly did not happen."),
    "unknown_on": Key(Shape.EVENTS, "The event that says that it may have happened: it is undone like a timeout."),
    "skips_on": Key(Shape.EVENTS, "The event after which the step need not be done any more."),
    "reopens_on": Key(Shape.EVENTS, "The event that takes the done step back: it must be done again."),
    "repeat": Key(Shape.REPETITION, "The step is done again until a condition holds."),
    "not_before": Key(
        Shape.BEGINNING, "The step begins so long after its turn has come, at this point in time, or when it opens."
    ),
    "within": Key(Shape.TIME, "How long the step may wait for its answer, or until when; none: for ever, on purpose."),
    "deadline": Key(Shape.TIME, "When the step must be done: so long after the start, or at this point in time."),
    "calendar": Key(Shape.WORD, "The step's durations count the open time of this calendar; none: all time."),
    "on_timeout": Key(Shape.TIMEOUT, "What a timeout means: fail, escalate, retry or ask what became of it."),
    "remind": Key(Shape.REMINDER, "Reminders for as long as the step waits."),
    "compensate": Key(Shape.COMPENSATION, "How the step is undone; none: it need not be, on purpose."),
    "tell": Key(Shape.STEP_TELLINGS, "Events that tell others what became of the step."),
    "pivot": Key(Shape.FLAG, "From this step on the saga only goes forward; a cancellation is refused."),
}
CALENDAR_KEYS: Keys = {
    "zone": Key(Shape.WORD, "The time zone by whose clocks it opens: Europe/Berlin.", required=True),
    "open": Key(
        Shape.NAMES,
        "Cron windows; the minutes that one of them matches are open: '* 9-16 * * mon-fri' is from 9:00 to 17:00.",
        required=True,
        cure="add open: '* 9-16 * * mon-fri', or other windows",
    ),
    "closed": Key(
        Shape.NAMES,
        "Days (2026-12-25, 2026-12-24..2026-12-31) and cron windows ('* * 1 jan *') that are closed nevertheless.",
    ),
}
ORDER_KEYS: Keys = {
    "any": Key(Shape.NAMES, "One of these is enough."),
    "at_least": Key(Shape.NUMBER, "So many of `of` are enough."),
    "of": Key(Shape.NAMES, "The steps of which `at_least` are enough."),
}
COMPENSATION_KEYS: Keys = {
    "emit": Key(Shape.EMISSION, "The event that asks for the undo.", required=True),
    "with": Key(Shape.MAPPINGS, "Where fields of the emitted event come from: field -> expression."),
    "done_on": Key(
        Shape.EVENTS,
        "The event that says that it is undone.",
        required=True,
        missing="compensate does not say when it is done",
        cure="add done_on: the event that says so",
    ),
    "fails_on": Key(Shape.EVENTS, "The event that says that the undo failed: it is asked for again."),
    "within": Key(Shape.LIMIT, "How long to wait for the answer before asking again."),
    "after": Key(Shape.NAMES, "It is undone once these are, whatever the order was in which they were done."),
    "attempts": Key(Shape.NUMBER, "How often to ask in all before the saga is stuck; 3."),
    "wait": Key(Shape.DURATION, "How long to wait between two attempts; 30s."),
    "backoff": Key(Shape.NUMBER, "So many times as long each time: 2 doubles the wait; 1."),
    "longest": Key(Shape.LIMIT, "The wait grows no longer than this."),
}
EMISSION_KEYS: Keys = {
    "event": Key(Shape.EVENT, "The event to emit.", required=True),
    "with": Key(Shape.MAPPINGS, "Where its fields come from: field -> expression. Fields of one name fill themselves."),
}
TELL_KEYS: Keys = {
    "started": Key(Shape.EMISSION, "Emitted when an instance starts."),
    "completed": Key(Shape.EMISSION, "Emitted when all steps are done or skipped."),
    "compensated": Key(Shape.EMISSION, "Emitted when everything is undone after a failure."),
    "cancelled": Key(Shape.EMISSION, "Emitted when everything is undone after a cancellation."),
    "stuck": Key(Shape.EMISSION, "Emitted when nothing goes on without a late answer or an operator."),
}
STEP_TELL_KEYS: Keys = {
    "done": Key(Shape.EMISSION, "Emitted when the step is done."),
    "failed": Key(Shape.EMISSION, "Emitted when the step certainly did not happen."),
    "unknown": Key(
        Shape.EMISSION,
        "Emitted when the step may have happened: its time ran out, a service said so, or the saga goes back.",
    ),
    "skipped": Key(Shape.EMISSION, "Emitted when the step is skipped."),
    "overdue": Key(Shape.EMISSION, "Emitted when its time has run out and on_timeout: escalate goes on waiting."),
    "undone": Key(Shape.EMISSION, "Emitted when the step is undone."),
}
CANCELLATION_KEYS: Keys = {
    "event": Key(Shape.EVENT, "The event that asks for it.", required=True),
    "refused": Key(Shape.EMISSION, "The event that answers where it is too late."),
}
TIMEOUT_KEYS: Keys = {
    "retry": Key(Shape.RETRY, "Request the step again by emitting its event anew."),
    "ask": Key(Shape.ASKING, "Ask what became of it, before it is undone as something that may have happened."),
}
RETRY_KEYS: Keys = {
    "attempts": Key(Shape.NUMBER, "How often to ask in all; 3."),
    "wait": Key(Shape.DURATION, "How long to wait before asking again."),
    "backoff": Key(Shape.NUMBER, "So many times as long each time: 2 doubles the wait; 1."),
    "longest": Key(Shape.LIMIT, "The wait grows no longer than this."),
}
ASK_KEYS: Keys = {
    "emit": Key(Shape.EMISSION, "The event that asks; any event that ends the step is the answer.", required=True),
    "attempts": Key(Shape.NUMBER, "How often to ask in all; 3."),
    "within": Key(Shape.PASSING, "How long to wait for each answer.", required=True),
}
REMIND_KEYS: Keys = {
    "emit": Key(Shape.EMISSION, "The event that reminds.", required=True),
    "every": Key(Shape.PASSING, "How long to wait before each reminder.", required=True),
    "at_most": Key(Shape.NUMBER, "How many reminders; 3."),
}
HUMAN_KEYS: Keys = {
    "role": Key(Shape.WORD, "Who decides: those who say that they have this role.", required=True),
    "asks": Key(
        Shape.WORD,
        "The question, with values in braces: Approve {saga.total} for {saga.customer}?",
        required=True,
    ),
    "escalate_to": Key(Shape.WORD, "Who decides instead once the step is overdue; it needs on_timeout: escalate."),
}
POLICY_KEYS: Keys = {
    "early": Key(
        Shape.POLICY,
        "It comes before its saga, or its turn: keep, keep 2h, take, ignore, dead-letter or fail.",
        words=("take", "keep", "ignore", "dead-letter", "fail"),
    ),
    "late": Key(
        Shape.POLICY,
        "What it speaks of was settled in another way, or the saga is over: take, ignore, dead-letter or fail.",
        words=("take", "ignore", "dead-letter", "fail"),
    ),
    "duplicate": Key(
        Shape.POLICY,
        "Another event said the same: ignore, merge its fields, dead-letter or fail.",
        words=("ignore", "merge", "dead-letter", "fail"),
    ),
    "out_of_order": Key(
        Shape.POLICY,
        "It belongs to an older run of its step, or to an older undo: take, ignore, dead-letter or fail.",
        words=("take", "ignore", "dead-letter", "fail"),
    ),
    "unexpected": Key(
        Shape.POLICY,
        "It means nothing as the saga stands: ignore, dead-letter or fail.",
        words=("ignore", "dead-letter", "fail"),
    ),
}
ISOLATION_KEYS: Keys = {
    "by": Key(Shape.WORD, "The field of the start event by whose value instances exclude each other.", required=True),
    "scope": Key(Shape.SAGA_NAME, "Sagas of one scope share their locks; left out: the saga's own name."),
    "within": Key(Shape.LIMIT, "How long to wait for the lock; left out: as the saga's steps do."),
    "expires": Key(Shape.PASSING, "How long a lock is held at most; left out: until its saga has ended."),
}
REPEAT_KEYS: Keys = {
    "until": Key(
        Shape.EXPRESSION, "The step is not done before this is true: CEL, its own fields included.", required=True
    ),
    "at_most": Key(Shape.NUMBER, "How often it is done in all; then it has failed.", required=True),
}
