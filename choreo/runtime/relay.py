"""Relays: services that re-key. One for each topic and field that a handler's `keyed_by` asks for.

A relay is a service like any other, with a group of its own: the topic that it reads may be somebody else's, with
another partitioner and another number of partitions. It hands each event on as it is, ids and bytes, under another key.
"""

from collections.abc import Iterable
from typing import ClassVar

from choreo.errors import HandlingError
from choreo.events.event import Event, key_text
from choreo.runtime.plan import plan_of
from choreo.service.context import Context
from choreo.service.handler import Handler
from choreo.service.service import Service


class Relay(Handler[Event]):
    """Hands events on to an internal topic, keyed by `field`. Concrete classes are made by `with_relays`."""

    field: ClassVar[str]
    internal_topic: ClassVar[str]

    def handle(self, event: Event, ctx: Context) -> None:
        value = getattr(event, self.field)
        if value is None:
            raise HandlingError(
                f"{type(event).__name__} has no {self.field}, by which a handler wants it keyed",
                hint=f"make the field {self.field} mandatory, or handle the event by its own key",
            )
        ctx.relay(self.internal_topic, key_text(value))


def with_relays(services: Iterable[Service]) -> list[Service]:
    """These services, and the relays that fill their internal topics."""
    found: list[Service] = []
    for service in services:
        found.append(service)
        plan = plan_of(service)
        for topic, rekeyed in plan.rekeyed.items():
            declared = {
                "__module__": __name__,
                "__doc__": f"Keys {rekeyed.source} by {rekeyed.field} for {service.name}.",
                "handles": tuple(plan.routes[topic]),
                "field": rekeyed.field,
                "internal_topic": topic,
            }
            name = topic.removeprefix("choreo.")
            found.append(Service(name, handlers=[type("Relay", (Relay,), declared)]))
    return found
