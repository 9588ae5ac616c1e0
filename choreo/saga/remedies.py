"""What an operator may order of a saga as it stands: orders are put to `decide`, and what it refuses is left out."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from choreo.events.event import Event
from choreo.saga.coordinator import fault_of
from choreo.saga.decide import decide
from choreo.saga.decision import Answer, Cancel, Command, Decision, Order, Resolve, Retry, Skip
from choreo.saga.instance import Instance, StepState
from choreo.saga.items import whole_in, with_items
from choreo.saga.people import asked_role
from choreo.saga.rules import Role, Spec, Step

HOLDS_UP = (
    StepState.COMPENSATION_FAILED,
    StepState.FAILED,
    StepState.UNKNOWN,
    StepState.REQUESTED,
    StepState.WAITING,
    StepState.COMPENSATING,
    StepState.HELD,
)
"""States of a step that keep a saga from going on, the worst first."""


class Remedy(NamedTuple):
    """An order that would be taken, and what the coordinator would decide. An answer's fields are yet to be told."""

    order: Order
    decision: Decision


def verdict(
    spec: Spec, instance: Instance, given: Command, catalogue: Mapping[str, type[Event]]
) -> tuple[Decision, str | None]:
    """The decision that the coordinator would make, and why it would refuse the order; None where it would not."""
    decision = decide(spec, instance, given)
    return decision, decision.refused or fault_of(decision, catalogue)


def held_up_at(spec: Spec, instance: Instance) -> list[str]:
    """The steps, and items of steps, that keep a saga from going on, the worst first; none after its end."""
    if instance.ended or instance.forgotten:
        return []
    known = with_items(spec, instance.steps).by_name
    found = [(name, record.state) for name, record in instance.steps.items() if name in known]
    if instance.cause is not None:  # what failed is over; what may have happened is undone where it can be
        settled = [name for name, state in found if state is StepState.FAILED]
        settled += [name for name, state in found if state is StepState.UNKNOWN and not known[name].compensate]
        found = [(name, state) for name, state in found if name not in settled]
    states = [(HOLDS_UP.index(state), name) for name, state in found if state in HOLDS_UP]
    return [name for _, name in sorted(states, key=lambda one: one[0])]


def remedies(
    spec: Spec, instance: Instance, given: Command, catalogue: Mapping[str, type[Event]], steps: list[str]
) -> Iterator[Remedy]:
    """The orders about these steps that would be taken, then that to cancel; `given` says who orders, and when.

    What an answer lacks of its fields does not count: somebody has to fill them in.
    """
    for order in _orders(spec, instance, steps):
        decision, refused = verdict(spec, instance, given._replace(order=order), catalogue)
        if decision.refused is None and (refused is None or isinstance(order, Answer)):
            yield Remedy(order, decision)


def _orders(spec: Spec, instance: Instance, steps: list[str]) -> Iterator[Order]:
    known = with_items(spec, instance.steps).by_name
    for name in steps:
        yield Retry(name)
        for event in meanings(spec, name):
            yield Answer(name, event, {}, _role(known[name], instance))
        yield Resolve(name, "done")
        yield Resolve(name, "failed")
        yield Resolve(name, "compensated")
        yield Skip(name)
    yield Cancel()


def meanings(spec: Spec, name: str) -> dict[str, tuple[Role, ...]]:
    """The events that take a step, or the item of one, further, and what each means to it.

    That an undo has failed takes nothing further: nobody wants to say that in place of a service.
    """
    whole, useless = whole_in(name), Role.UNDO_FAILS
    found = {
        event: tuple(part.role for part in parts if part.step == whole and part.role is not useless)
        for event, parts in spec.parts.items()
    }
    return {event: roles for event, roles in found.items() if roles}


def _role(step: Step, instance: Instance) -> str:
    return asked_role(step.human, instance.steps[step.name]) if step.human else ""
