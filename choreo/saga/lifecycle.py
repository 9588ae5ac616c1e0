"""The lifecycle event: one for each decision that changed a saga, on a topic of its own, keyed by the saga's key."""

from datetime import datetime
from functools import cache
from typing import Any, cast
from uuid import UUID

from choreo.clock import to_datetime
from choreo.events.event import Event, EventType
from choreo.saga.decision import Decision
from choreo.saga.explain import reason, standing
from choreo.saga.instance import Status
from choreo.saga.items import with_items
from choreo.saga.rules import Spec


class SagaChanged(Event, abstract=True):
    """A decision changed a saga. Each saga has a class of its own: `lifecycle_event(name)`."""

    key: str
    """The value of correlate_by."""
    saga: str
    version: int
    digest: str
    """SHA-256 of the spec that this instance follows."""
    status: Status
    change: tuple[str, ...]
    """What changed, in words: `take_payment: waiting -> done (shop.PaymentTaken)`."""
    steps: dict[str, str]
    """Where each step stands."""
    waits_for: tuple[str, ...]
    """The full names of the events that would take it further."""
    reason: str | None
    """Why it goes back or is stuck; null where nothing went wrong."""
    explanation: str
    """Its story in one line."""
    caused_by: UUID
    """The event_id of the event, or of the timer, that was decided upon."""
    at: datetime
    started_at: datetime
    ended_at: datetime | None


@cache
def lifecycle_event(saga: str) -> type[SagaChanged]:
    """The lifecycle event class of one saga: `choreo.saga.NAME.Changed` on topic `choreo.saga.NAME.lifecycle`."""
    scope = f"choreo.saga.{saga}"
    body = {"__module__": __name__, "__doc__": f"A decision changed a saga {saga}."}
    made: Any = EventType("Changed", (SagaChanged,), body, namespace=scope, topic=f"{scope}.lifecycle", key="key")
    return cast(type[SagaChanged], made)


def changed(spec: Spec, decision: Decision, caused_by: UUID, now: int) -> SagaChanged | None:
    """The lifecycle event of a decision at `now` (microseconds); None where nothing changed."""
    instance = decision.instance
    if instance is None or not decision.changes:
        return None
    waits_for, explanation = standing(decision.spec or with_items(spec, instance.steps), instance)
    return lifecycle_event(spec.name)(
        key=instance.key,
        saga=instance.saga,
        version=instance.version,
        digest=instance.digest,
        status=instance.status,
        change=decision.changes,
        steps={name: record.state.value for name, record in instance.steps.items()},
        waits_for=waits_for,
        reason=reason(instance),
        explanation=explanation,
        caused_by=caused_by,
        at=to_datetime(now),
        started_at=to_datetime(instance.started_at),
        ended_at=None if instance.ended_at is None else to_datetime(instance.ended_at),
    )
