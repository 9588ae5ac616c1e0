"""A story that is written down as the log has it: events with all their fields, orders, and when timers fired."""

from collections.abc import Collection
from typing import Any, Self

from choreo.saga.decision import Command, Due, Order, Received
from choreo.saga.durations import parse_duration
from choreo.saga.migration import Answers, Verdict, Versions, classify
from choreo.saga.refold import History, Past, Tick
from choreo.saga.rules import Spec
from tests.saga.flow import CATALOGUE
from tests.saga.story import Story


class Lived(Story):
    """One saga, and what it went through. Its events are of a time at which they had no fields `without`."""

    def __init__(self, spec: Spec, without: Collection[str] = ()) -> None:
        super().__init__(spec)
        self.specs = {spec.digest: spec}
        self.first = spec.digest
        self.past: list[Past] = []
        self._without = without

    def received(self, event: str, event_id: bytes | None = None, **fields: Any) -> Received:
        told = CATALOGUE[f"flow.{event}"].model_validate({"case": self.key, **fields}).model_dump(mode="json")
        had = {name: value for name, value in told.items() if name not in self._without}
        return super().received(event, event_id)._replace(fields=had)

    def give(self, given: Received) -> Self:
        self.past.append(given)
        super().give(given)
        return self

    def after(self, duration: str) -> Self:
        until = self.now + (parse_duration(duration) or 0)
        while self.timers and min(self.timers.values()) <= until:
            due = min(self.timers.values())
            self.now = max(self.now, due)
            self.fire()
        self.now = until
        return self

    def fire(self) -> Self:
        """The timer that is due first fires now."""
        name = min(self.timers, key=lambda one: (self.timers[one], one))
        del self.timers[name]
        self._decide(Due(name, self.now))
        if self.last.changes:
            self.past.append(Tick(self.now))
        return self

    def order(self, order: Order, spec: Spec | None = None) -> Self:
        """An operator gives an order, by which it may come to follow another spec."""
        self._count += 1
        given = Command(order, self._count.to_bytes(8, "big") + bytes(8), self.now, self.now, "ada", "why not")
        self.past.append(given)
        self.spec = spec or self.spec
        self.specs[self.spec.digest] = self.spec
        self._decide(given)
        return self

    def history(self) -> History:
        """As the log would tell it."""
        start = next(n for n, one in enumerate(self.past) if getattr(one, "event", "") == self.spec.starts_on)
        early = tuple(one for one in self.past[:start] if isinstance(one, Received))
        began = self.past[start]
        assert isinstance(began, Received)
        return History(self.first, began, early, tuple(self.past[start + 1 :]))

    def judged(self, to: Spec, answers: Answers | None = None, **values: Any) -> Verdict:
        """What a migration would mean to it; `values` are remembered fields: `saga_n` for saga.n."""
        assert self.instance is not None
        told = {name.replace("_", "."): value for name, value in values.items()}
        return classify(self.instance, self.history(), Versions(self.specs, to), answers or Answers(), told)

    def migrated(self, to: Spec, answers: Answers | None = None, **values: Any) -> Self:
        """It is safe, and is taken over."""
        verdict = self.judged(to, answers, **values)
        assert verdict.outcome == "safe", verdict
        assert verdict.order is not None
        self.order(verdict.order, to)
        assert self.last.refused is None
        return self
