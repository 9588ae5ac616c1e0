"""Which event leads to which: a handler takes the one and may return the other, as far as its source tells."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from choreo.checks.returned import returned_by, spoken_by
from choreo.events.event import Event
from choreo.service.service import Service
from choreo.service.signature import Method, Signature


class Lead(NamedTuple):
    """`effect` may be emitted because of `cause`; both are full names, `by` is `payments: TakePayment.handle`."""

    cause: str
    effect: str
    by: str


def leads_of(services: Iterable[Service]) -> Iterator[Lead]:
    """Every lead of these services, each once."""
    found = (
        Lead(cause.contract.full_name, effect.contract.full_name, f"{service.name}: {signature.name}.{method.name}")
        for service in services
        for signature in service.signatures
        for method in signature.methods()
        for cause, effect in _pairs(signature, method)
    )
    yield from dict.fromkeys(found)


def closure(leads: Iterable[Lead], begin: Iterable[str]) -> frozenset[str]:
    """Everything that these events may lead to, themselves included."""
    effects: dict[str, list[str]] = {}
    for lead in leads:
        effects.setdefault(lead.cause, []).append(lead.effect)
    found, new = set(begin), list(begin)
    while new:
        for effect in effects.get(new.pop(), ()):
            if effect not in found:
                found.add(effect)
                new.append(effect)
    return frozenset(found)


def _pairs(signature: Signature, method: Method) -> Iterator[tuple[type[Event], type[Event]]]:
    causes = method.takes or (signature.handle.takes if method.name == "give_up" else signature.takes)
    yield from ((cause, effect) for cause in causes for effect in spoken_by(signature.handler, method.name))
    returned = None if signature.handler.handles else returned_by(signature.handler, method.name, method.takes)
    if returned is None or not method.takes:
        yield from ((cause, effect) for cause in causes for effect in method.emits)
        return
    for one in returned:
        effects = method.emits if not one.known else one.events & method.emits
        yield from ((cause, effect) for cause in one.takes for effect in effects)
