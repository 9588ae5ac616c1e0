"""One performance of a story: its rehearsal, and how much of it the test has asked about. Where a check fails, it says
so with the whole story.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from choreo.events.event import Event
from choreo.testing.chronicle import Buried
from choreo.testing.matching import difference
from choreo.testing.rehearsal import Rehearsal
from choreo.testing.table import Turn, table
from choreo.testing.world import changes


@dataclass
class Performance:
    """The same steps as all others, with a number of partitions of its own."""

    rehearsal: Rehearsal
    turns: list[Turn] = field(default_factory=list)
    _since: int = 0
    _buried_since: int = 0
    _compared: int = 0

    def note(self, what: str) -> None:
        """Remember a step that is no event."""
        self.turns.append(Turn(self.rehearsal.clock.now(), len(self.rehearsal.chronicle.facts), what))

    def begin_act(self) -> None:
        """What comes from now on is what `then` speaks of."""
        self._since = len(self.rehearsal.chronicle.facts)
        self._buried_since = len(self.rehearsal.chronicle.buried)

    @property
    def came(self) -> Sequence[Sequence[Event]]:
        """The business events of the act: for each key of each topic, its events in order."""
        found: dict[tuple[str, bytes | None], list[Event]] = {}
        for fact in self.rehearsal.chronicle.facts[self._since :]:
            if fact.business:
                found.setdefault((fact.event.contract.topic, fact.key), []).append(fact.event)
        return list(found.values())

    @property
    def buried(self) -> Sequence[Buried]:
        """The dead letters of the act."""
        return self.rehearsal.chronicle.buried[self._buried_since :]

    def take_news(self) -> list[Event]:
        """The business events that came since the last call."""
        facts = self.rehearsal.chronicle.facts[self._compared :]
        self._compared += len(facts)
        return [fact.event for fact in facts if fact.business]

    def fail(self, headline: str, lines: Sequence[str] = ()) -> NoReturn:
        """Raise an AssertionError with these lines and the story."""
        __tracebackhide__ = True
        story = table(self.rehearsal, self.turns)
        head = "\n".join((headline, *lines))
        raise AssertionError(f"{head}\n\nThe story so far ({_counted(self.rehearsal.partitions)}):\n{story}")


def compare(first: Performance, news: Sequence[Event], other: Performance) -> None:
    """Both must have come to the same in one step; `news` came in the first. Raises AssertionError."""
    __tracebackhide__ = True
    lines = []
    found = difference(news, other.take_news())
    if found is not None:
        lines += [f"  {_only(first)}  {event!r}" for event in found.missing]
        lines += [f"  {_only(other)}  {event!r}" for event in found.surplus]
    if lines:
        other.fail("the number of partitions changes what happens", lines)
    lines = [*_stores_apart(first, other), *_sagas_apart(first, other)]
    if lines:
        other.fail("the number of partitions changes what is kept", lines)


def _stores_apart(first: Performance, other: Performance) -> list[str]:
    theirs = other.rehearsal.stores()
    return [
        f"  {service}: store {store} is {mine!r} with {_counted(first.rehearsal.partitions)}, "
        f"{theirs[service, store]!r} with {_counted(other.rehearsal.partitions)}"
        for (service, store), mine in first.rehearsal.stores().items()
        if mine != theirs[service, store]
    ]


def _sagas_apart(first: Performance, other: Performance) -> list[str]:
    lines = []
    for name in first.rehearsal.sagas:
        mine, theirs = (
            {key: one.status for key, one in changes(each.rehearsal, name).items()} for each in (first, other)
        )
        lines += [
            f"  saga {name} {key} is {mine.get(key)} with {_counted(first.rehearsal.partitions)}, "
            f"{theirs.get(key)} with {_counted(other.rehearsal.partitions)}"
            for key in sorted({*mine, *theirs})
            if mine.get(key) != theirs.get(key)
        ]
    return lines


def _only(performance: Performance) -> str:
    return f"only with {_counted(performance.rehearsal.partitions)}:"


def _counted(partitions: int) -> str:
    return "1 partition" if partitions == 1 else f"{partitions} partitions"
