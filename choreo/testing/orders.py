"""What people and operators do in a story, as `choreo sagas answer | cancel | skip | retry | resolve` give it.

Each is an event for `when`. An order that is refused changes nothing, and emits nothing.
"""

from typing import Literal

from pydantic_core import to_jsonable_python

from choreo.events.event import Event
from choreo.saga.commands import SagaCommand, command_of
from choreo.saga.decision import Answer, Cancel, Order, Resolve, Retry, Skip

WHO, WHY = "a test", "a test"


def answer(saga: str, key: str, step: str, event: type[Event], *, role: str, **fields: object) -> SagaCommand:
    """Somebody of this role decides a human step by an event of this class: `when(answer(...))`.

    `fields` are those that a person fills in.
    """
    given = Answer(step, event.contract.full_name, to_jsonable_python(fields), role)
    return command_of(saga, key, given, role, WHY)


def cancel(saga: str, key: str) -> SagaCommand:
    """An operator has a saga undone, also where its spec knows no cancellation."""
    return _ordered(saga, key, Cancel())


def skip(saga: str, key: str, step: str) -> SagaCommand:
    """An operator lets a saga go on as if a step were not there; while undoing, the step is left as it is."""
    return _ordered(saga, key, Skip(step))


def retry(saga: str, key: str, step: str) -> SagaCommand:
    """An operator has a step, or its undo, asked for once more."""
    return _ordered(saga, key, Retry(step))


def resolve(saga: str, key: str, step: str, outcome: Literal["done", "failed", "compensated"]) -> SagaCommand:
    """An operator says what became of a step."""
    return _ordered(saga, key, Resolve(step, outcome))


def _ordered(saga: str, key: str, order: Order) -> SagaCommand:
    return command_of(saga, key, order, WHO, WHY)
