"""World: what happened so far in a scenario or a simulation, read only."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from choreo.clock import Clock, to_datetime
from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.saga.instance import Status
from choreo.saga.lifecycle import SagaChanged
from choreo.service.store import Store

E = TypeVar("E", bound=Event)
K = TypeVar("K")
V = TypeVar("V")


class Watched(Protocol):
    """Where a world looks."""

    @property
    def clock(self) -> Clock: ...

    @property
    def sagas(self) -> Mapping[str, type[Event]]:
        """The lifecycle event of each saga, by name."""
        ...

    def said(self, cls: type[Event]) -> Sequence[Event]:
        """All events of exactly this class so far, in the order in which they were emitted."""
        ...

    def stored(self, store: Store[K, V]) -> dict[K, V]:
        """All entries of a store. Raises ConfigError where none of the services keeps it."""
        ...


class World(ABC):
    """What one can look at: the clock, all events of a class, a store, the sagas."""

    @property
    @abstractmethod
    def _watched(self) -> Watched:
        """Where one looks."""

    @property
    def now(self) -> datetime:
        """What the clock says, UTC."""
        return to_datetime(self._watched.clock.now())

    def events(self, event: type[E], /) -> list[E]:
        """All events of exactly this class so far, whoever said them, in the order in which they were emitted."""
        return [one for one in self._watched.said(event) if type(one) is event]

    def store(self, store: Store[K, V], /) -> Mapping[K, V]:
        """All entries of a store, over all partitions: `story.store(ReserveStock.stock)`.

        Raises ConfigError where none of the services keeps it.
        """
        return self._watched.stored(store)

    def sagas(self, name: str, /) -> Mapping[str, Status]:
        """Where each saga of this name stands, by key. Raises ConfigError where no spec is called so."""
        return {key: changed.status for key, changed in changes(self._watched, name).items()}


def changes(watched: Watched, name: str) -> dict[str, SagaChanged]:
    """The last lifecycle event of each saga of this name, by key. Raises ConfigError for an unknown name."""
    lifecycle = watched.sagas.get(name)
    if lifecycle is None:
        raise ConfigError(
            f"no saga is called {name}",
            why=f"here are {', '.join(watched.sagas) or 'none'}",
            hint="Scenario(..., sagas=['saga_specs/NAME.yaml'])",
        )
    return {one.key: one for one in watched.said(lifecycle) if isinstance(one, SagaChanged)}
