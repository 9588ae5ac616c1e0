"""Who emitted an event: proved, since its id is derived from its cause, the service, the handler and a number.

Source of the derivation: `events/envelope.derive_id`. Whoever is not among the candidates is not found.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from choreo.events.envelope import Ids, derive_id
from choreo.service.service import Service

MOST = 10_000
"""So many emissions of one handling are tried where nothing is known of them."""
MOST_EMISSIONS = 64
"""So many of one handling are looked at, and twice as many as the cause is known to have had."""
OF_SAGAS = ("Coordinator", "Operator", "LockHolder")
OF_LOCKS = ("LockKeeper",)


class Author(NamedTuple):
    """A handler of a service."""

    service: str
    handler: str

    def __str__(self) -> str:
        return f"{self.service}.{self.handler}"


def authors(services: Iterable[Service], known: Iterable[str] = ()) -> Iterator[Author]:
    """The handlers of these services; and of sagas and locks that are `known` by name: they are always called alike."""
    for service in services:
        yield from (Author(service.name, signature.name) for signature in service.signatures)
    for name in known:
        alike = OF_SAGAS if name.startswith("saga.") else OF_LOCKS if name.startswith("locks.") else ()
        yield from (Author(name, handler) for handler in alike)


class Origins:
    """Finds the author of events among some candidates."""

    def __init__(self, candidates: Iterable[Author]) -> None:
        self._candidates = tuple(dict.fromkeys(candidates))

    def of(self, ids: Ids, siblings: int = 0) -> Author | None:
        """Who emitted it; None where nobody known did, as for what came from outside.

        `siblings` says how many events are known to have the same cause.
        """
        most = max(MOST_EMISSIONS, 2 * siblings)
        return None if ids.causation_id is None else author_of(ids.event_id, ids.causation_id, self._candidates, most)


def author_of(event_id: bytes, cause_id: bytes, candidates: Sequence[Author], most: int = MOST) -> Author | None:
    """Who among the candidates emitted an event upon this cause, as one of its `most` first; None where nobody did."""
    for number in range(most):  # nearly always it is the first or second emission
        for author in candidates:
            if derive_id(cause_id, author.service, author.handler, number) == event_id:
                return author
    return None
