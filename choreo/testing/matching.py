"""Matching: which of the events that were expected came, in which order, and which came besides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.testing.likeness import Expected, Like, event_type, fits, unlike

MOST_TRIES = 20_000
"""Ways to match that are tried before the test is asked to say which keys it means."""


@dataclass(frozen=True)
class Mismatch:
    """What did not fit. Where both are empty, everything came, but in another order within a key."""

    missing: tuple[Expected, ...]
    surplus: tuple[Event, ...]

    def lines(self) -> list[str]:
        """One line an event; of one that nearly fits, the fields that differ."""
        if not self.missing and not self.surplus:
            return ["  every event came, but those of one key in another order"]
        found = []
        rest = list(self.surplus)
        for expected in self.missing:
            found.append(f"  missing     {shown(expected)}")
            near = next((event for event in rest if _near(expected, event)), None)
            if near is not None:
                rest.remove(near)
                found.append(f"  instead     {shown(near)}")
                found += [f"              {difference}" for difference in unlike(expected, near)]
        return found + [f"  unexpected  {shown(event)}" for event in rest]


def shown(event: Expected) -> str:
    """An event or an expectation as Python would write it."""
    return str(event) if isinstance(event, Like) else repr(event)


def mismatch(expected: Sequence[Expected], came: Sequence[Sequence[Event]]) -> Mismatch | None:
    """None where `came` is exactly what was expected. `came` holds, for each key, its events in order.

    The order of `expected` matters within a key only. Raises ConfigError where too many `like` could mean too many
    keys.
    """
    if len(expected) == sum(map(len, came)) and _Search(expected, came).succeeds():
        return None
    missing = []
    rest = [event for events in came for event in events]
    for one in sorted(expected, key=lambda one: isinstance(one, Like)):  # the choosy ones first
        found = next((event for event in rest if fits(one, event)), None)
        if found is None:
            missing.append(one)
        else:
            rest.remove(found)
    return Mismatch(tuple(missing), tuple(rest))


def difference(here: Sequence[Event], there: Sequence[Event]) -> Mismatch | None:
    """What two runs do not have in common, the order aside: `missing` is only here, `surplus` only there."""
    rest = list(there)
    missing = []
    for event in here:
        if event in rest:
            rest.remove(event)
        else:
            missing.append(event)
    return Mismatch(tuple(missing), tuple(rest)) if missing or rest else None


class _Search:
    """Takes the expected events one after the other, each from the head of some key's line."""

    def __init__(self, expected: Sequence[Expected], lines: Sequence[Sequence[Event]]) -> None:
        self._expected, self._lines = expected, lines
        self._seen: set[tuple[int, ...]] = set()

    def succeeds(self) -> bool:
        """Whether every event finds its place. Depth first, with a stack of its own: stories may be long."""
        ways = [self._ways((0,) * len(self._lines))]
        while ways:
            heads = next(ways[-1], None)
            if heads is None:
                ways.pop()
            elif sum(heads) == len(self._expected):
                return True
            elif heads not in self._seen:
                self._seen.add(heads)
                if len(self._seen) > MOST_TRIES:
                    raise ConfigError(
                        "then(...): too many of these can mean several keys each",
                        hint="give each like(...) the key that it means: like(StockReserved, order_id='o1')",
                    )
                ways.append(self._ways(heads))
        return not self._expected

    def _ways(self, heads: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Where the heads may stand after the next expected event."""
        wanted = self._expected[sum(heads)] if self._expected else None
        for line, head in enumerate(heads):
            if wanted is not None and head < len(self._lines[line]) and fits(wanted, self._lines[line][head]):
                yield (*heads[:line], head + 1, *heads[line + 1 :])


def _near(expected: Expected, event: Event) -> bool:
    """Whether an event is of the expected class and, where that is said, of the expected key."""
    wanted = event_type(expected)
    if type(event) is not wanted:
        return False
    told = dict(expected.fields if isinstance(expected, Like) else tuple(expected))
    return all(getattr(event, name) == told.get(name, getattr(event, name)) for name in wanted.contract.key)
