"""Whether the events of a saga find their instance: the values of their correlating fields must be equal as text."""

import types
from collections.abc import Iterator
from datetime import date, time
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

from choreo.checks.choreography import Choreography, SpecFile
from choreo.checks.finding import Finding
from choreo.saga.clauses import SagaKey

KEYS = (str, int, date, time, UUID, Enum)


def find_correlation(whole: Choreography) -> Iterator[Finding]:
    """Fields that can't hold the key of a saga, or not the same key as the start event's."""
    for one in whole.specs:
        yield from _fields(whole, one)
        yield from _requests(one)


def _fields(whole: Choreography, one: SpecFile) -> Iterator[Finding]:
    spec = one.spec
    wanted = _kind(whole, spec.starts_on, spec.correlate_by.get(spec.starts_on, ""))
    for event, field in spec.correlate_by.items():
        if event not in whole.catalogue or field not in whole.catalogue[event].model_fields:
            continue
        annotation: Any = whole.catalogue[event].model_fields[field].annotation
        kind, spot = _kind(whole, event, field), one.spot(event)
        if type(None) in get_args(annotation):
            says = f"{event}.{field} may be null, and saga {spec.name} is found by it"
            yield Finding("correlation-empty", says, spot, f"make {field} required, or correlate by another field")
        if not _holds_key(annotation):
            says = f"{event}.{field} is {kind}, which no key can hold, and saga {spec.name} is found by it"
            yield Finding(
                "correlation-impossible", says, spot, "correlate by str, int, bool, date, datetime, UUID or Enum"
            )
        elif kind != wanted:
            says = f"{event}.{field} is {kind}, but the key of saga {spec.name} is {wanted}"
            yield Finding("correlation-types", says, spot, "give the fields one type: keys are compared as text")


def _requests(one: SpecFile) -> Iterator[Finding]:
    """A request under another key is answered under another key: the answer never finds its saga."""
    spec = one.spec
    emitted = [("", emission) for emission in spec.emissions]
    emitted += [(step.name, emission) for step in spec.steps for emission in step.emissions]
    for step, emission in emitted:
        field = spec.correlate_by.get(emission.event, "")
        if field in emission.fields and not isinstance(emission.fields[field], SagaKey):
            says = f"{emission.event}.{field} is the key of saga {spec.name}, and the mapping replaces it"
            cure = f"leave {field} out of with:, it is filled with the key"
            yield Finding("correlation-replaced", says, one.spot(emission.event, step), cure)


def _kind(whole: Choreography, event: str, field: str) -> str:
    """What stands in a key for a field, in one word."""
    found = whole.catalogue[event].model_fields.get(field) if event in whole.catalogue else None
    return _word(found.annotation) if found else "text"


def _holds_key(annotation: Any) -> bool:
    """Whether its values have one text (`choreo.events.event.key_text`); null is spoken of elsewhere."""
    if get_origin(annotation) in (Union, types.UnionType):
        return all(_holds_key(part) for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Literal:
        return True
    return isinstance(annotation, type) and issubclass(annotation, KEYS)


def _word(annotation: Any) -> str:
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) in (Union, types.UnionType):
        return _word(parts[0]) if len(parts) == 1 else " or ".join(_word(part) for part in parts)
    if get_origin(annotation) is Literal:
        return "text" if all(isinstance(part, str) for part in parts) else "number"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "text"
    if annotation is str:
        return "text"
    return str(getattr(annotation, "__name__", annotation))
