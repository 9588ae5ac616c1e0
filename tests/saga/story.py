"""Stories told to `decide`: given events and time, then what it emits and where the saga stands."""

from typing import Any, Self

from choreo.saga.decide import begin, decide
from choreo.saga.decision import Command, Decision, Due, Emit, Input, Order, Received
from choreo.saga.durations import parse_duration
from choreo.saga.explain import explain, waits_for
from choreo.saga.instance import Instance
from choreo.saga.rules import Spec
from tests.saga.sense import makes_sense, timers_of

PLACED = {"warehouse": "vienna", "total": "9.00"}
FIELDS: dict[str, dict[str, Any]] = {"OrderPlaced": PLACED, "PaymentTaken": {"amount": "9.00"}}


class Story:
    """One saga, its timers and what it emitted. Time stands still until `after`."""

    def __init__(self, spec: Spec, key: str = "o1") -> None:
        self.spec, self.key = spec, key
        self.now = 0
        self.instance: Instance | None = None
        self.timers: dict[str, int] = {}
        self.emits: list[Emit] = []
        self.early: list[Received] = []
        self.last = Decision(None)
        self._namespace = spec.starts_on.rpartition(".")[0]
        self._count = 0
        self._told: list[Emit] = []

    def received(self, event: str, event_id: bytes | None = None, **fields: Any) -> Received:
        """An event as `decide` gets it; each has an id of its own unless one is given."""
        self._count += 1
        name = event if "." in event else f"{self._namespace}.{event}"
        wanted = self.spec.needs.get(name, ())
        told = {**FIELDS.get(event, {}), **fields}
        return Received(
            event=name,
            key=self.key,
            event_id=event_id or self._count.to_bytes(8, "big") + bytes(8),
            now=self.now,
            at=self.now,
            fields={field: told[field] for field in wanted if field in told},
            correlation_id="story-1",
        )

    def when(self, *events: str, **fields: Any) -> Self:
        """These events are received, in this order; `fields` are those of the last."""
        for number, event in enumerate(events):
            told = fields if number == len(events) - 1 else {}
            self.give(self.received(event, **told))
        return self

    def give(self, given: Received) -> Self:
        """One event is received."""
        if self.instance is None and given.event == self.spec.starts_on:
            early, self.early = self.early, []
            self._apply(begin(self.spec, given, early), given)
        else:
            self._decide(given)
            if self.last.keep:
                self.early.append(given)
        return self

    def orders(self, order: Order, event_id: bytes | None = None) -> Self:
        """Ada gives an order."""
        self._count += 1
        its = event_id or self._count.to_bytes(8, "big") + bytes(8)
        self._decide(Command(order, its, self.now, self.now, "ada", "seen it"))
        return self

    def after(self, duration: str) -> Self:
        """Time passes, and every timer that comes due meanwhile fires at its time."""
        until = self.now + (parse_duration(duration) or 0)
        while self.timers and min(self.timers.values()) <= until:
            name = min(self.timers, key=lambda one: (self.timers[one], one))
            self.now = max(self.now, self.timers.pop(name))
            self._decide(Due(name, self.now))
        self.now = until
        return self

    def _decide(self, given: Input) -> None:
        self._apply(decide(self.spec, self.instance, given), given)

    def _apply(self, decision: Decision, given: Input) -> None:
        makes_sense(self.spec, self.instance, given, decision)
        self.last = decision
        self.instance = decision.instance
        if decision.instance is not None:  # the store trusts it to be as JSON has it
            assert Instance.model_validate_json(decision.instance.model_dump_json()) == decision.instance
        for name, due in decision.timers:
            self.timers.pop(name, None)
            if due is not None:
                self.timers[name] = due
        assert self.timers == timers_of(decision.instance), "a timer is set for each time that is waited for"
        if decision.changes and self.instance is not None and not isinstance(given, Due):
            again = decide(self.spec, self.instance, given)
            assert (again.instance, again.emits) == (self.instance, ()), "what comes twice is decided once"
        self.emits += decision.emits
        self._told += decision.emits

    def then(self, *events: str) -> Self:
        """Exactly these events were emitted since the last `then`, in this order."""
        told, self._told = [self._short(emit.event) for emit in self._told], []
        assert told == list(events)
        return self

    def stands(self, status: str, *waits: str) -> Self:
        """The status, and the events that it waits for."""
        assert self.instance is not None
        assert self.instance.status == status, explain(self.spec, self.instance)
        assert [self._short(name) for name in waits_for(self.spec, self.instance)] == list(waits)
        return self

    def tells(self, explanation: str) -> Self:
        """The story in one line."""
        assert self.instance is not None
        assert explain(self.spec, self.instance) == explanation
        return self

    def _short(self, event: str) -> str:
        return event.removeprefix(f"{self._namespace}.")

    def is_gone(self) -> bool:
        """Whether nothing is left of it."""
        return self.instance is None

    def state(self, step: str) -> str:
        assert self.instance is not None
        return self.instance.steps[step].state.value
