"""An instance while it is being decided upon: changes, requests and timers are written down, then read off once."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from choreo.clock import to_micros
from choreo.saga.calendars import Span, end_of
from choreo.saga.clauses import Computed, Emission, Item, Reference, SagaKey, Source, Telling
from choreo.saga.conditions import Expression
from choreo.saga.decision import HELD_TIMER, REMINDS, SAGA_TIMER, Decision, Emit, TimerChange, request_id
from choreo.saga.instance import IN_FLIGHT, SEEN_EVENTS, Held, Instance, StepRecord, StepState
from choreo.saga.items import key_in, with_items
from choreo.saga.rules import Spec, Step

NOTHING = object()
NO_ITEM: Mapping[str, Any] = {}
_MOMENTS = {
    StepState.DONE: "done",
    StepState.FAILED: "failed",
    StepState.UNKNOWN: "unknown",
    StepState.SKIPPED: "skipped",
    StepState.COMPENSATED: "undone",
}
"""What is told of a step that comes into a state."""


class Draft:
    """The work on one instance for one input. Times are microseconds; nothing in here reads a clock."""

    def __init__(self, spec: Spec, instance: Instance, now: int) -> None:
        self.as_written, self.before, self.now = spec, instance, now
        self.spec = with_items(spec, instance.steps)
        """With a step for each item of those that are done for each."""
        self.steps: dict[str, StepRecord] = dict(instance.steps)
        self.status, self.cause, self.ended_at = instance.status, instance.cause, instance.ended_at
        self.due, self.refused = instance.due, instance.refused
        self.cancelled_above = instance.cancelled_above
        self.held = instance.held
        self.letters: list[tuple[bytes, str]] = []
        self.emits: list[Emit] = []
        self.changes: list[str] = []
        self.dead_letter: str | None = None
        """Why the event that is decided upon is of no use."""
        self._timers: dict[str, int | None] = {}
        self._seen = instance.seen

    # -- looking -------------------------------------------------------------------------------------------------------

    def state(self, step: Step | str) -> StepState:
        return self.steps[step if isinstance(step, str) else step.name].state

    def steps_in(self, *states: StepState) -> Iterator[Step]:
        """The steps that stand in one of these states, in the order of the spec."""
        return (step for step in self.spec.steps if self.steps[step.name].state in states)

    @property
    def pivoted(self) -> bool:
        """Whether there is only forward: a pivot is done, or was and was reopened."""
        return self.cause is None and any(self._passed(step) for step in self.spec.pivots)

    @property
    def too_late_to_cancel(self) -> str | None:
        """The step that makes a cancellation come too late: a pivot, or that of `cancellable_until`; None: none yet."""
        until = self.spec.cancellable_until
        reached = (step.name for step in self.spec.steps if self._passed(step) and (step.pivot or step.name == until))
        return next(reached, None) if self.cause is None else None

    def _passed(self, step: Step) -> bool:
        return self.state(step) is StepState.DONE or self.steps[step.name].run > 1

    def value(self, source: Reference) -> Any:
        """A remembered value; NOTHING where there is none."""
        if source.step is None:
            return self.before.remembered.get(source.field, NOTHING)
        record = self.steps[source.step]
        return record.state.value if source.field == "status" else record.fields.get(source.field, NOTHING)

    def values(self, names: Mapping[str, Any], item: Mapping[str, Any] = NO_ITEM) -> dict[str, Any]:
        """The values of these variables (`saga.x`, `steps.a.x`, `item.x`), those that have one."""
        found = {}
        for name in names:
            head, _, rest = name.partition(".")
            step, _, field = rest.partition(".")
            if head == "item":
                value = item.get(step, NOTHING)
            else:
                value = self.value(Reference(None, step) if head == "saga" else Reference(step, field))
            if value is not NOTHING:
                found[name] = value
        return found

    def time(self, limit: Span | Expression | None, since: int) -> int | None:
        """When a limit is reached that counts from `since`, unless it is a point in time (microseconds). None: never.

        Raises ValueError where it can't be worked out.
        """
        if not isinstance(limit, Expression):
            return None if limit is None else end_of(limit, since)
        answer = limit.evaluate(self.values(limit.reads))
        if answer.problem is not None:
            raise ValueError(f"{limit.text}: {answer.problem}")
        return to_micros(datetime.fromisoformat(answer.value))

    def deadline(self, step: Step) -> int | None:
        """When a step must be done at the latest. Raises ValueError where it can't be worked out."""
        return self.time(step.deadline_us, self.before.started_at)

    # -- writing down --------------------------------------------------------------------------------------------------

    def put(self, step: Step, **told: Any) -> None:
        """Change a step's record; a change of `due` or `remind_due` sets or cancels a timer."""
        record = self.steps[step.name]
        if "due" in told and told["due"] != record.due:
            self._timers[step.name] = told["due"]
        if "remind_due" in told and told["remind_due"] != record.remind_due:
            self._timers[step.name + REMINDS] = told["remind_due"]
        self.steps[step.name] = record.model_copy(update=told)

    def move(self, step: Step, state: StepState, why: str = "", **told: Any) -> None:
        """Change a step's state, and say so."""
        because = f" ({why})" if why else ""
        self.changes.append(f"{step.name}: {self.state(step)} -> {state}{because}")
        if state not in IN_FLIGHT:
            told["remind_due"] = None
        self.put(step, state=state, **told)
        if (moment := _MOMENTS.get(state)) is not None:
            self.tell(moment, step.tells, step.name)

    def begin_again(self, step: Step, why: str, **told: Any) -> None:
        """A step that was done has to be done once more, from its start."""
        run = self.steps[step.name].run + 1
        fresh: dict[str, Any] = {"attempt": 0, "asked": 0, "reminded": 0, "overdue": False, "done_at": None, "by": ""}
        self.move(step, StepState.IDLE, why, run=run, **fresh, **told)
        self.ended_at = None

    def add_steps(self, names: Iterable[str]) -> None:
        """Items have become known: each is a step of its own from now on."""
        self.steps |= {name: StepRecord() for name in names}
        self.spec = with_items(self.as_written, self.steps)

    def note(self, text: str) -> None:
        self.changes.append(text)

    def set_saga_timer(self, due: int | None) -> None:
        if due != self.due:
            self.due, self._timers[SAGA_TIMER] = due, due

    def hold(self, held: Iterable[Held]) -> None:
        """These events wait for their turn from now on; one timer goes by the first that expires."""
        self.held = tuple(held)
        self._timers[HELD_TIMER] = min((one.until for one in self.held if one.until is not None), default=None)

    def bury(self, event_id: bytes, reason: str) -> None:
        """An event goes to the dead letters."""
        self.letters.append((event_id, reason))

    def request(self, step: Step, emission: Emission, kind: str) -> str | None:
        """Ask for a step ("do") or its "undo". Answers the problem where a field can't be worked out."""
        fields, problem = self.fill(emission, step.name)
        if problem is not None:
            return problem
        record = self.steps[step.name]
        undo = kind == "undo"
        round = record.round if undo else record.run
        self.emits.append(
            Emit(
                event=emission.event,
                fields=fields,
                kind="undo" if undo else "do",
                step=step.name,
                request_id=request_id(self.spec.name, self.before.key, record.asked_as or step.name, kind, round),
                round=round,
                attempt=record.undo_attempt if undo else record.attempt,
                cancelled=self.cancelled_above or (self.cause is not None and self.cause.kind == "cancelled"),
            )
        )
        return None

    def tell(self, moment: str, tellings: Iterable[Telling], step: str | None = None) -> None:
        """Emit what the spec tells others at this moment."""
        for telling in tellings:
            if telling.moment == moment:
                self.say(moment, telling.emission, step)

    def say(self, what: str, emission: Emission, step: str | None = None) -> None:
        """Emit an event that asks for no step. What can't be worked out is noted, and goes unsaid."""
        fields, problem = self.fill(emission, step)
        if problem is not None:
            self.note(f"{step or 'saga'}: {what} goes unsaid: {problem}")
            return
        name = request_id(self.spec.name, self.before.key, step or "", f"say {what}", self.now)
        self.emits.append(Emit(emission.event, fields, "notice", step, name))

    def fill(self, emission: Emission, step: str | None = None) -> tuple[dict[str, Any], str | None]:
        """The fields of an event to emit for a step, as JSON has them; or why one of them can't be worked out."""
        fields: dict[str, Any] = {}
        item = self.item_of(self.spec.by_name[step]) if step else NO_ITEM
        for name, source in emission.fields.items():
            value, problem = self._source(source, item)
            if problem is not None:
                return {}, f"{emission.event}.{name}: {problem}"
            if value is not NOTHING:
                fields[name] = value
            elif name in emission.nulls:
                fields[name] = None
        return fields, None

    def item_of(self, step: Step) -> Mapping[str, Any]:
        """What is read of the item that a step is for, its key under ""; nothing for other steps."""
        items = self.steps[step.item_of].items if step.item_of else None
        return items[key_in(step.name)] if items else NO_ITEM

    def _source(self, source: Source, item: Mapping[str, Any]) -> tuple[Any, str | None]:
        if isinstance(source, SagaKey):
            return self.before.key, None
        if isinstance(source, Reference):
            return self.value(source), None
        if isinstance(source, Item):
            return item.get(source.field, NOTHING), None
        return self._computed(source, item)

    def _computed(self, source: Computed, item: Mapping[str, Any]) -> tuple[Any, str | None]:
        values = self.values(source.expression.reads, item)
        answer = source.expression.evaluate(values)
        if answer.problem is not None:
            missing = len(values) < len(source.expression.reads)
            return NOTHING, None if missing else answer.problem
        if isinstance(answer.value, float) and source.places is not None:
            return f"{answer.value:.{source.places}f}", None
        return answer.value, None

    # -- the outcome ---------------------------------------------------------------------------------------------------

    def remember_event(self, event_id: bytes) -> None:
        self._seen = (*self._seen, short(event_id))[-SEEN_EVENTS:]

    def decision(self) -> Decision:
        """What was written down. An instance that has not changed is the very one that came in."""
        if not self.changes:
            return Decision(self.before, dead_letter=self.dead_letter)
        told = {
            "status": self.status,
            "cause": self.cause,
            "steps": self.steps,
            "seen": self._seen,
            "refused": self.refused,
            "ended_at": self.ended_at,
            "due": self.due,
            "held": self.held,
            "cancelled_above": self.cancelled_above,
        }
        instance = self.before.model_copy(update=told)
        timers = tuple(TimerChange(name, due) for name, due in self._timers.items())
        if self.status != self.before.status:
            self.changes.append(f"{self.before.status} -> {self.status}")
        return Decision(
            instance,
            tuple(self.emits),
            timers,
            tuple(self.changes),
            letters=tuple(self.letters),
            dead_letter=self.dead_letter,
            spec=self.spec,
        )


def short(event_id: bytes) -> str:
    """Half an event id as text: enough to recognise a duplicate within one saga."""
    return event_id[:8].hex()
