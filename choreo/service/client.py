"""Client: a way in from outside, for programs that only speak."""

from collections.abc import Iterable
from typing import Self
from uuid import UUID, uuid4

from choreo.clock import SystemClock
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.event import Event
from choreo.events.open import open_registry
from choreo.events.registered import require_schemas
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.log.open import open_log


def fresh_ids(now: int, correlation_id: str | None = None) -> Ids:
    """Ids of an event that nothing on the log caused: a story of its own unless `correlation_id` names one. `now`
    in microseconds.
    """
    event_id = uuid4().bytes
    return Ids(
        event_id=event_id,
        correlation_id=correlation_id or str(UUID(bytes=event_id)),
        causation_id=None,
        request_id=None,
        attempt=1,
        at=now,
        cancelled=False,
        saga=None,
        key_id=None,
        again=None,
    )


class Client:
    """Emits events from outside: `with Client("embedded:.choreo/log") as client: client.emit(OrderPlaced(...))`.

    `emits` names the events that it will: StartError, before the first of them, where a registry to which nobody adds
    by running lacks the schema of one. Others may be emitted too; what they lack is said when they are.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        registry: str | Registry | None = None,
        log: Log | None = None,
        emits: Iterable[type[Event]] = (),
    ) -> None:
        self._log = log if log is not None else open_log(url or "embedded:.choreo/log")
        self._registry = (
            registry if isinstance(registry, Registry) else open_registry(registry or default_registry(self._log.url))
        )
        try:
            require_schemas(self._registry, emits)
        except BaseException:
            self._log.close()
            raise
        self._codec = Codec(self._registry, (), self._log.cluster_id())
        self._clock = SystemClock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def emit(self, event: Event, /, *, correlation_id: str | None = None) -> UUID:
        """Append one event; it is on the log on return. Answers its event_id."""
        ids = fresh_ids(self._clock.now(), correlation_id)
        self._log.append([self._codec.encode(event, ids)])
        return UUID(bytes=ids.event_id)

    def close(self) -> None:
        """Release the log."""
        self._log.close()


def default_registry(log_url: str) -> str:
    """Where schemas are kept when nothing else is said: beside an embedded log, else in the project's `schemas`."""
    scheme, _, rest = log_url.partition(":")
    if scheme == "embedded":
        return f"dir:{rest.partition('?')[0]}/schemas"
    return "memory:" if scheme == "memory" else "dir:schemas"
