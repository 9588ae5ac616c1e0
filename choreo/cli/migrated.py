"""What became of orders to migrate: waited for on the lifecycle topic, and given anew where an instance had gone on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from choreo.cli.project import Project
from choreo.cli.records import Bodies
from choreo.cli.saga_rows import lifecycle_topics
from choreo.clock import Clock, SystemClock
from choreo.errors import DecodeError, UnknownSchemaError
from choreo.log.up_to import places_on
from choreo.record import Record
from choreo.saga.adopt import GONE_ON

LOOK_S = 0.2


@dataclass(frozen=True)
class Given:
    """An order as it was given: its event's id, and the saga's key."""

    event_id: bytes
    key: str


class Taken:
    """Hears what a coordinator decides upon orders from here on; enter it before the first of them is given."""

    def __init__(self, project: Project, saga: str, digest: str, clock: Clock | None = None) -> None:
        self._project, self._saga, self._digest = project, saga, digest
        self.clock = clock or SystemClock()
        self._bodies = Bodies(project.registry)

    def __enter__(self) -> Self:
        log = self._project.log
        topics = lifecycle_topics(self._project, [self._saga])
        self._reader = log.reader(log.ends(places_on(log, topics)))
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()

    def outcomes(self, given: Sequence[Given], until: int) -> dict[str, str | None]:
        """By key, why an order was refused; None: it was taken. What is not decided upon by `until` (microseconds) is
        left out.
        """
        waiting = {one.event_id: one.key for one in given}
        found: dict[str, str | None] = {}
        while waiting and self.clock.now() < until:
            for record in self._reader.read(LOOK_S):
                told = self._told(record)
                key = waiting.pop(told[0], None) if told else None
                if told is not None and key is not None:
                    found[key] = told[1]
        return found

    def _told(self, record: Record) -> tuple[bytes, str | None] | None:
        """Which input was decided upon, and why not where it was an order that was refused."""
        try:
            body = self._bodies.read(record)
            caused_by, change = UUID(str(body["caused_by"])).bytes, body["change"]
            return caused_by, None if body["digest"] == self._digest else change[0].partition(" refused: ")[2]
        except (DecodeError, UnknownSchemaError, KeyError, ValueError, IndexError):
            return None  # no lifecycle event: `choreo sagas list` counts them


Give = Callable[[Sequence[str]], Sequence[Given]]
"""Works out anew what a migration means to these sagas, and gives the orders to those for which it is safe."""


def see_through(taken: Taken, first: Sequence[Given], again: Give, wait_us: int) -> Mapping[str, Any]:
    """Wait for what becomes of orders, at most `wait_us`; what had gone on is worked out and ordered anew, until then.

    Answers a word for each key: `taken over`, `refused: WHY`, `not taken up yet`.
    """
    until = taken.clock.now() + wait_us
    said: dict[str, str] = {}
    given = first
    while given:
        found = taken.outcomes(given, until)
        for one in given:
            said[one.key] = "not taken up yet"
        for key, why in found.items():
            said[key] = "taken over" if why is None else f"refused: {why}"
        busy = [key for key, why in found.items() if why == GONE_ON]
        given = again(busy) if busy and taken.clock.now() < until else ()
    return said
