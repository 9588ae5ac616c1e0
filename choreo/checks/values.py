"""Texts that are written into a spec and can't be what a field holds: in conditions, and as constants of mappings."""

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from choreo.checks.choreography import Choreography, SpecFile
from choreo.checks.finding import Finding
from choreo.events.event import Event
from choreo.saga.clauses import Computed, Emission, Reference
from choreo.saga.conditions import Expression
from choreo.saga.kinds import types_in
from choreo.saga.problems import did_you_mean
from choreo.saga.rules import Step

_FIELD, _WORD = r"(saga\.\w+|steps\.\w+\.\w+)", r"(?:'([^'\\]*)'|\"([^\"\\]*)\")"
_COMPARED = re.compile(rf"(?<![\w.]){_FIELD}\s*[=!]=\s*{_WORD}|{_WORD}\s*[=!]=\s*{_FIELD}(?![\w.])")


def find_values(whole: Choreography) -> Iterator[Finding]:
    """Comparisons with a text that an enum does not have, and constants that an event does not take."""
    for one in whole.specs:
        for step in one.spec.steps:
            yield from _compared(whole, one, step)
        yield from _constants(whole, one, "", one.spec.emissions)
        for step in one.spec.steps:
            yield from _constants(whole, one, step.name, step.emissions)


def _compared(whole: Choreography, one: SpecFile, step: Step) -> Iterator[Finding]:
    for asked in filter(None, (step.when, step.repeat.until if step.repeat else None)):
        for name, word, values in _asked(whole, one, asked):
            if values and word not in values:
                says = f"step {step.name} asks whether {name} is {word!r}, which it never is"
                cure = did_you_mean(word, values, f"one of {', '.join(values)}")
                yield Finding("unknown-value", says, one.spot(asked.text, step.name), cure)


def _asked(whole: Choreography, one: SpecFile, asked: Expression) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each name that is held against a text, with that text and all that the named one may be."""
    for left, first, second, third, fourth, right in _COMPARED.findall(asked.text):
        name = left or right
        yield name, first or second or third or fourth, values_of(whole, one, name)
    for path, its_type, word in asked.compared:
        yield path, word, _texts_of(its_type.annotation)


def values_of(whole: Choreography, one: SpecFile, name: str) -> tuple[str, ...]:
    """All texts that a field may hold; () where it may hold any."""
    reference = Reference.named(name)
    if reference is None:
        return ()
    step = one.spec.by_name.get(reference.step or "")
    found: list[str] = []
    for event in step.completes_on if step else (one.spec.starts_on,):
        field = whole.catalogue[event].model_fields.get(reference.field) if event in whole.catalogue else None
        if field is not None:
            texts = _texts_of(field.annotation)
            if not texts:
                return ()
            found += texts
    return tuple(dict.fromkeys(found))


def _texts_of(annotation: Any) -> tuple[str, ...]:
    """The texts of an Enum or a Literal, None aside; () for any other type."""
    kinds = types_in(annotation)
    if kinds != [annotation]:
        parts = [_texts_of(kind) for kind in kinds]
        return tuple(text for part in parts for text in part) if all(parts) else ()
    values: Iterable[object] = ()
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        values = [member.value for member in annotation]
    texts = tuple(value for value in values if isinstance(value, str))
    return texts if len(texts) == len(tuple(values)) else ()


def _constants(whole: Choreography, one: SpecFile, step: str, emissions: Iterable[Emission]) -> Iterator[Finding]:
    for emission in emissions:
        event = whole.catalogue.get(emission.event)
        for name, source in emission.fields.items() if event else ():
            if event is None or not isinstance(source, Computed) or source.expression.reads:
                continue
            answer = source.expression.evaluate({})
            fault = None if answer.problem else fault_of(event, name, answer.value)
            if fault:
                says = f"{emission.event}.{name} does not take {answer.value!r}: {fault}"
                yield Finding("unfit-value", says, one.spot(source.expression.text, step), "map what the field takes")


def fault_of(event: type[Event], name: str, value: object) -> str | None:
    """What the event says to this value of one of its fields; the others are not looked at."""
    try:
        event.model_validate({name: value})
    except ValidationError as error:
        alias = event.model_fields[name].alias
        return next((fault["msg"] for fault in error.errors() if fault["loc"][:1] in ((name,), (alias,))), None)
    return None
