"""Keys that hold what is personal: those of events that are keyed by a field marked so, and what is kept under them.

A handler of such events is taken to keep its stores and timers under those keys: nobody says what a store is keyed by.
"""

from functools import lru_cache
from typing import Any
from uuid import UUID

from choreo.events.event import Event
from choreo.runtime.plan import plan_of
from choreo.saga.index import INDEX
from choreo.service.service import Service
from choreo.telemetry.privacy import MASK, personal_fields

TIMER, OF_TIMER, OF_RUNTIME = "timer ", "~story of timer ", ("~parked", "timer ~retry")


@lru_cache(maxsize=1024)
def has_personal_key(event: type[Event]) -> bool:
    """Whether a field by which these events are keyed is marked."""
    return not personal_fields(event).isdisjoint(event.contract.key)


class PersonalKeys:
    """Those of one service."""

    def __init__(self, service: Service) -> None:
        plan = plan_of(service)
        self._events = {event.contract.full_name for event in plan.classes if has_personal_key(event)}
        self._stores: set[str] = set()
        self._topics: set[str] = set()
        for topic, routes in plan.routes.items():
            rekeyed = plan.rekeyed.get(topic)
            for event, invocations in routes.items():
                if rekeyed.field in personal_fields(event) if rekeyed else has_personal_key(event):
                    self._topics.add(topic)
                    self._events.add(event.contract.full_name)
                    for one in invocations:
                        self._stores |= {store.name for store in one.signature.stores.values()}
                        self._stores |= {
                            f"{word}{timer}" for timer in one.signature.timers for word in (TIMER, OF_TIMER)
                        }

    def event(self, name: str, key: str) -> str:
        """The key of an event that the service handles or emits, by the event's full name."""
        return MASK if name in self._events else key

    def cause(self, place: str, key: str) -> str:
        """The key of what a task acted upon; of a timer, or another attempt, which have no place, that of an event."""
        topic = place.rpartition("[")[0]
        return MASK if (topic in self._topics if topic else self._topics) else key

    def parts(self, store: str, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        """The parts of the key of an entry; of a coordinator's index the field stays."""
        if not self._hides(store):
            return parts
        kept = 2 if store == INDEX.name else 0
        return (*parts[:kept], *(MASK for _ in parts[kept:]))

    def entry(self, store: str, key: str) -> str:
        """The key of an entry as one text."""
        return MASK if self._hides(store) else key

    def story(self, story: str) -> str:
        """A correlation id; of an entry of which no event tells, the key under which it lies."""
        return MASK if self._topics and not _is_id(story) else story

    def _hides(self, store: str) -> bool:
        return store in self._stores or (bool(self._topics) and store in OF_RUNTIME)


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
