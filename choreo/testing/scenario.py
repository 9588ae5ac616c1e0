"""Scenario: given, when, then for services and sagas, in virtual time, with several numbers of partitions at once."""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self, TypeVar

from choreo.clock import to_micros
from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.saga.instance import Status
from choreo.service.service import Service
from choreo.service.store import Store
from choreo.testing.cast import cast_of
from choreo.testing.fakes import Snapshot
from choreo.testing.likeness import Like
from choreo.testing.matching import mismatch
from choreo.testing.performance import Performance, compare
from choreo.testing.rehearsal import Rehearsal
from choreo.testing.world import World, changes

K = TypeVar("K")
V = TypeVar("V")
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When a story begins that says nothing else."""


class Scenario(World):
    """A story about some services and sagas, told step by step; each step answers the story itself.

    Everything runs as live, but on a log in memory and in virtual time: nothing sleeps. Each step is done once for
    every number in `partitions`, on worlds of their own, all from the same state of the dependencies; where two of
    them come to different outcomes, the step fails. One looks at the world of the first number.

    `sagas` are paths of specs, seen from the working directory or from above the services' code. `start` is when the
    story begins, aware; 2026-03-02 12:00 UTC where it isn't given. `settings` are the services' own, by service:
    `{"payments": PaymentSettings(...)}`; whoever is not in it has the defaults of its class.
    """

    def __init__(
        self,
        *services: Service,
        sagas: Iterable[str | Path] = (),
        start: datetime | None = None,
        partitions: Sequence[int] = (1, 5),
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._services, self._specs = services, tuple(sagas)
        self._settings = settings or {}
        self._start = start or START
        self._partitions = tuple(dict.fromkeys(partitions))
        self._given: dict[str, object] = {}
        self._performances: list[Performance] = []
        if self._start.tzinfo is None:
            raise ConfigError("Scenario: start has no time zone", hint="datetime(2026, 3, 2, 12, tzinfo=UTC)")
        if not self._partitions or min(self._partitions) < 1:
            raise ConfigError(f"Scenario: partitions={self._partitions} can't be", hint="numbers of 1 or more")

    def using(self, **dependencies: object) -> Self:
        """Give these to the handlers that need them: `using(gateway=FakeGateway())`. Before the first step.

        A class or function is called, once for each worker; anything else is used as it is, and set back between the
        worlds of one step: its attributes, and lists, dicts and sets in them.
        Raises ConfigError for a name that none of the services needs.
        """
        if self._performances:
            raise ConfigError("using(...) comes before the first step", why="the services are at work already")
        self._given |= dependencies
        return self

    def given(self, *events: Event) -> Self:
        """These events happened, one after the other, with all that followed; `then` does not speak of it."""
        __tracebackhide__ = True
        self._tell("given", events)
        for performance in self._performances:
            performance.begin_act()
        return self

    def when(self, *events: Event) -> Self:
        """These events happen, one after the other; what follows is what `then` speaks of."""
        __tracebackhide__ = True
        for performance in self._stage():
            performance.begin_act()
        self._tell("when", events)
        return self

    def after(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> Self:
        """The clock moves on by this much; timers, deadlines and retries that are due by then have their turn."""
        __tracebackhide__ = True
        wait = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if wait < timedelta():
            raise ConfigError(f"after({wait}): time does not go back")
        micros = wait // timedelta(microseconds=1)
        self._step(lambda rehearsal: rehearsal.wait_until(rehearsal.clock.now() + micros), f"after {wait}")
        return self

    def restart(self) -> Self:
        """Every service dies, and starts again on another machine: its stores are rebuilt from the log."""
        __tracebackhide__ = True
        self._step(lambda rehearsal: rehearsal.restart(), "restart")
        return self

    def then(self, *expected: Event | Like) -> Self:
        """Since the last `when` services and sagas emitted exactly these events; their order counts within a key only.

        The events that tell where a saga stands are left out: `then_saga` speaks of those. Raises AssertionError.
        """
        __tracebackhide__ = True
        _check_events("then", expected, (Event, Like))
        for performance in self._stage():
            found = mismatch(expected, performance.came)
            if found is not None:
                performance.fail("other events came than were expected", found.lines())
        return self

    def then_stored(self, store: Store[K, V], expected: Mapping[K, V], /) -> Self:
        """The store holds exactly these entries. Raises AssertionError."""
        __tracebackhide__ = True
        for performance in self._stage():
            held = performance.rehearsal.stored(store)
            if held != expected:
                wrong = [key for key in {**expected, **held} if key not in held or key not in expected]
                wrong += [key for key in expected if key in held and held[key] != expected[key]]
                lines = [f"  {key!r}: {_entry(held, key)}, expected {_entry(expected, key)}" for key in wrong]
                performance.fail(f"store {store.name} holds something else", lines)
        return self

    def then_saga(self, name: str, key: str, status: Status, *, waits_for: type[Event] | None = None) -> Self:
        """The saga of this key stands there, and waits for an event of this class. Raises AssertionError."""
        __tracebackhide__ = True
        for performance in self._stage():
            found = changes(performance.rehearsal, name)
            changed = found.get(key)
            if changed is None:
                performance.fail(f"there is no saga {name} {key}", [f"  there are {', '.join(found) or 'none'}"])
            if changed.status != status:
                performance.fail(f"saga {name} {key} is {changed.status}, not {status}", [f"  {changed.explanation}"])
            if waits_for is not None and waits_for.contract.full_name not in changed.waits_for:
                lines = [f"  it waits for {', '.join(changed.waits_for) or 'nothing'}", f"  {changed.explanation}"]
                performance.fail(f"saga {name} {key} does not wait for {waits_for.contract.full_name}", lines)
        return self

    def then_dead_letter(self, event: type[Event], /, *, cause: type[Exception]) -> Self:
        """Since the last `when` an event of this class became a dead letter for this cause. Raises AssertionError."""
        __tracebackhide__ = True
        causes = _names_of(cause)
        for performance in self._stage():
            if not any(type(one.event) is event and one.letter.cause in causes for one in performance.buried):
                lines = [f"  {type(one.event).__name__}: {one.letter.error}" for one in performance.buried]
                headline = f"no {event.__name__} became a dead letter because of {cause.__name__}"
                performance.fail(headline, lines or ["  there are no dead letters"])
        return self

    @property
    def _watched(self) -> Rehearsal:
        return self._stage()[0].rehearsal

    def _stage(self) -> list[Performance]:
        """The performances; on first use everybody starts."""
        if not self._performances:
            cast = cast_of(self._services, self._specs, self._given, self._settings)
            rehearsals: list[Rehearsal] = []
            weakref.finalize(self, _close, rehearsals)
            for count in self._partitions:
                rehearsals.append(Rehearsal(cast, count, to_micros(self._start)))
            self._performances = [Performance(rehearsal) for rehearsal in rehearsals]
        return self._performances

    def _tell(self, verb: str, events: Sequence[Event]) -> None:
        __tracebackhide__ = True
        _check_events(verb, events, (Event,))

        def tell(rehearsal: Rehearsal) -> None:
            for event in events:
                rehearsal.tell(event, verb)

        self._step(tell)

    def _step(self, act: Callable[[Rehearsal], None], what: str = "") -> None:
        """Do one step in every world, in the one that is looked at last: the dependencies stay as it left them."""
        __tracebackhide__ = True
        first, *others = self._stage()
        fakes = Snapshot(value for value in self._given.values() if not callable(value)) if others else None
        for performance in (*others, first):
            try:
                act(performance.rehearsal)
            except Exception as error:
                error.add_note(f"(in a scenario with partitions={performance.rehearsal.partitions})")
                raise
            if what:
                performance.note(what)
            if fakes is not None and performance is not first:
                fakes.restore()
        news = first.take_news()
        for other in others:
            compare(first, news, other)


def _close(rehearsals: Iterable[Rehearsal]) -> None:
    for rehearsal in rehearsals:
        rehearsal.close()


def _check_events(verb: str, events: Sequence[object], allowed: tuple[type, ...]) -> None:
    for event in events:
        if not isinstance(event, allowed):
            raise ConfigError(
                f"{verb}({event!r}): that is no event",
                hint=f"{verb}({event.__name__}(...)): an event, not its class" if isinstance(event, type) else None,
            )


def _entry(entries: Mapping[K, V], key: K) -> str:
    return repr(entries[key]) if key in entries else "no entry"


def _names_of(error: type[Exception]) -> set[str]:
    """How it and the errors below it are called: a dead letter keeps the name of its cause."""
    return {error.__name__}.union(*(_names_of(below) for below in error.__subclasses__()))
