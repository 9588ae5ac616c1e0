"""Commands: an operator's orders as events, on a topic of the coordinator, keyed by the saga's key."""

import json
from functools import cache
from typing import Any, Literal, cast

from choreo.errors import HandlingError
from choreo.events.event import Event, EventType
from choreo.saga.decision import Answer, Cancel, Migrate, Order, Resolve, Retry, Skip
from choreo.saga.instance import Instance

FORMAT = 1


class SagaCommand(Event, abstract=True):
    """An operator orders something. Each saga has a class of its own: `command_event(name)`."""

    key: str
    """The value of correlate_by."""
    kind: str
    """retry, skip, resolve, cancel, answer or migrate."""
    who: str
    why: str
    step: str | None = None
    """Which step; null for cancel and migrate."""
    outcome: str | None = None
    """For resolve: done, failed or compensated."""
    event: str | None = None
    """For answer: the full name of the event."""
    body: str | None = None
    """As JSON; for answer: the fields of the event; for migrate: where the saga stands in the other version."""
    role: str | None = None
    """For answer: the role in which a person decides."""
    format: int = FORMAT
    """Which reading of these fields is meant; a coordinator refuses one that it does not know."""


@cache
def command_event(saga: str) -> type[SagaCommand]:
    """The command class of one saga: `choreo.saga.NAME.Command` on topic `choreo.saga.NAME.commands`."""
    scope = f"choreo.saga.{saga}"
    body = {"__module__": __name__, "__doc__": f"An operator orders something of a saga {saga}."}
    made: Any = EventType("Command", (SagaCommand,), body, namespace=scope, topic=f"{scope}.commands", key="key")
    return cast(type[SagaCommand], made)


def command_of(saga: str, key: str, order: Order, who: str, why: str) -> SagaCommand:
    """An order to one instance as an event."""
    return command_event(saga)(
        key=key,
        kind=type(order).__name__.lower(),
        who=who,
        why=why,
        step=None if isinstance(order, Cancel | Migrate) else order.step,
        outcome=order.outcome if isinstance(order, Resolve) else None,
        event=order.event if isinstance(order, Answer) else None,
        body=_body(order),
        role=order.role or None if isinstance(order, Answer) else None,
    )


def _body(order: Order) -> str | None:
    if isinstance(order, Answer):
        return json.dumps(dict(order.fields))
    if isinstance(order, Migrate):
        return json.dumps(order._asdict() | {"instance": order.instance.model_dump(mode="json")})
    return None


def order_of(command: SagaCommand) -> Order:
    """What a command orders. Raises HandlingError for one that this release can't read."""
    step = command.step or ""
    if command.format == FORMAT:
        if command.kind == "retry":
            return Retry(step)
        if command.kind == "skip":
            return Skip(step)
        if command.kind == "resolve" and command.outcome in ("done", "failed", "compensated"):
            return Resolve(step, cast(Literal["done", "failed", "compensated"], command.outcome))
        if command.kind == "cancel":
            return Cancel()
        if command.kind == "answer":
            return Answer(step, command.event or "", json.loads(command.body or "{}"), command.role or "")
        if command.kind == "migrate":
            told = json.loads(command.body or "{}")
            return Migrate(**told | {"instance": Instance.model_validate(told["instance"])})
    raise HandlingError(
        f"a command {command.kind} of format {command.format} can't be read",
        why="it was written by a newer release",
        hint="run that one, then redrive the dead letter",
    )
