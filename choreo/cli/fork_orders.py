"""Orders of operators and answers of people in a story, as a test gives them: who gave them, and why, is left out."""

import json
from collections.abc import Mapping
from typing import Any

from choreo.cli.fork_source import Node, Source
from choreo.cli.masking import Masks
from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.saga.commands import SagaCommand, command_of, order_of
from choreo.saga.decision import Answer, Cancel, Migrate, Resolve
from choreo.testing.orders import WHO, WHY

PREFIX = "choreo.saga."


def saga_of(command: SagaCommand) -> str:
    """To which saga it was given."""
    return command.contract.namespace.removeprefix(PREFIX)


def in_a_test(command: SagaCommand, masks: Masks) -> SagaCommand:
    """The same order, masked, as a test gives it. Raises ConfigError for a migration: a test has one version."""
    order, saga = order_of(command), saga_of(command)
    if isinstance(order, Migrate):
        raise ConfigError(
            f"saga {saga} {command.key} was taken over to version {order.version} in this story",
            why="a test has one version of a spec",
            hint="write a test of its own for what comes after",
        )
    if isinstance(order, Answer):
        order = order._replace(fields={name: masks.shown(value) for name, value in order.fields.items()})
    return command_of(saga, masks.shown(command.key), order, WHO, WHY)


def source_of(command: SagaCommand, source: Source, events: Mapping[str, type[Event]]) -> Node:
    """The call that gives it: `skip("order", "o1", "pay")`. `events`: the classes of answers, by full name."""
    order = order_of(command)
    word = type(order).__name__.lower()
    source.need("choreo.testing", word)
    said: list[Node] = [source.value(saga_of(command)), source.value(command.key)]
    named: dict[str, Any] = {}
    if not isinstance(order, Cancel | Migrate):
        said.append(source.value(order.step))
    if isinstance(order, Answer):
        said.append(source.name(events[order.event]))
        named = {"role": order.role, **json.loads(command.body or "{}")}
    if isinstance(order, Resolve):
        said.append(source.value(order.outcome))
    return source.call(word, named, *said)
