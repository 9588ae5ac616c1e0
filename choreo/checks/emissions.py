"""What a method returns against what its annotation names, which the runtime and the sagas go by."""

from collections.abc import Iterator

from choreo.checks.choreography import Choreography
from choreo.checks.finding import Finding, Spot
from choreo.checks.returned import Returned, returned_by
from choreo.service.signature import Method, Signature


def find_emissions(whole: Choreography) -> Iterator[Finding]:
    """Events that are returned and not named, and those that are named and never returned."""
    for signature in (one for service in whole.services for one in service.signatures):
        if signature.handler.handles:
            continue  # made at run time: it says by itself what it emits
        for method in signature.methods():
            returned = returned_by(signature.handler, method.name, method.takes)
            if returned is not None:
                yield from _undeclared(signature, method, returned)
                yield from _unused(signature, method, returned)


def _undeclared(signature: Signature, method: Method, returned: tuple[Returned, ...]) -> Iterator[Finding]:
    seen = set()
    for event, spot in (made for one in returned for made in one.made):
        if event not in method.emits and event not in seen:
            seen.add(event)
            says = f"{signature.name}.{method.name} returns {event.__name__}, which its annotation does not name"
            named = [one.__name__ for one in sorted(method.emits, key=lambda one: one.__name__)]
            yield Finding("undeclared-emission", says, spot, f"-> {' | '.join([*named, event.__name__])}")


def _unused(signature: Signature, method: Method, returned: tuple[Returned, ...]) -> Iterator[Finding]:
    if not all(one.known for one in returned):
        return
    given = {event for one in returned for event in one.events}
    for event in sorted(method.emits - given, key=lambda one: one.__name__):
        says = f"{signature.name}.{method.name} names {event.__name__}, and no return gives it"
        yield Finding(
            "never-returned",
            says,
            _spot(signature, method),
            f"return it, or leave {event.__name__} out of the annotation",
        )


def _spot(signature: Signature, method: Method) -> Spot | None:
    code = getattr(getattr(signature.handler, method.name), "__code__", None)
    return Spot(code.co_filename, code.co_firstlineno) if code else None
