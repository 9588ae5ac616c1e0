"""Human steps of a spec, read and looked up: the role, the question with its values, what the saga fills in itself.

Who is asked while a saga runs, and what an answer must be, is for `people.py`; what a person sees, for `form.py`.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from pydantic.fields import FieldInfo

from choreo.saga.clauses import Computed, Emission, Human, Item, Reference, SagaKey, Source
from choreo.saga.keys import Keys
from choreo.saga.mapping import Mapper, plain_reference
from choreo.saga.problems import Problems
from choreo.saga.raw import RawHuman, RawStep
from choreo.saga.shapes import HUMAN_KEYS, Shape
from choreo.saga.vocabulary import takes_none
from choreo.saga.yaml import Text

EXAMPLE = ": {role: approver, asks: 'Approve {saga.total}?'}"
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def read_human(keys: Keys) -> RawHuman | None:
    """What a step says under `human`; None where it says nothing. Fills the problems of `keys`."""
    inner = keys.inner("human", Shape.HUMAN, HUMAN_KEYS, EXAMPLE)
    if inner is None:
        return None
    role, asks, escalate_to = inner.text("role"), inner.text("asks"), inner.text("escalate_to")
    return RawHuman(role, asks, escalate_to) if role and asks else None


def human_of(raw: RawStep, human: RawHuman, mapper: Mapper) -> Human:
    """A human step with every name looked up. What is wrong goes to the problems of `mapper`."""
    _check_escalation(raw, human, mapper.problems)
    decisions = mapper.words.events((*raw.completes_on, *raw.fails_on, *raw.unknown_on))
    return Human(
        role=human.role.value,
        asks=tuple(_question(human.asks, mapper)),
        decisions=tuple(_filled(event, mapper) for event in decisions),
        escalate_to=human.escalate_to.value if human.escalate_to else None,
    )


def _check_escalation(raw: RawStep, human: RawHuman, problems: Problems) -> None:
    to = human.escalate_to
    if to is None:
        return
    if raw.on_timeout.kind != "escalate":
        said = f"step {raw.name.value} never goes to {to.value}: where its time runs out it does not go on waiting"
        problems.add(to.place, "never-escalated", said, "add on_timeout: escalate to the step")
    elif to.value == human.role.value:
        said = f"step {raw.name.value} is escalated to {to.value}, who is asked anyway"
        problems.add(to.place, "never-escalated", said, "another role, or leave escalate_to out")


def _question(asks: Text, mapper: Mapper) -> Iterator[str | Source]:
    """The text of a question in parts. `{{` and `}}` are braces that mean themselves."""
    text, end = asks.value, 0
    for match in _BRACES.finditer(text):
        if match.start() > end:
            yield text[end : match.start()]
        end = match.end()
        if match[0] in ("{{", "}}"):
            yield match[0][0]
        elif match[1] is None:
            cure = f"write {match[0] * 2} for a brace that means itself"
            mapper.problems.add(asks.place, "bad-question", f"a brace of the question {text!r} has no partner", cure)
        else:
            expression = mapper.words.expression(_within(asks, match[1], match.start(1)))
            if expression is not None:
                yield plain_reference(expression) or Computed(expression)
    if end < len(text):
        yield text[end:]


def _within(asks: Text, expression: str, offset: int) -> Text:
    """An expression of the question, as a text with a place of its own."""
    inside = None if asks.inside is None else asks.inside + offset
    place = asks.place if inside is None else asks.place._replace(column=inside, length=max(1, len(expression)))
    return replace(asks, value=expression, place=place, inside=inside)


def _filled(event: str, mapper: Mapper) -> Emission:
    """What of a decision is no matter of the person: its key, and what the start event has under the same name."""
    known, start = mapper.words.fields(event), mapper.words.fields(mapper.starts_on)
    sources: dict[str, Source] = {}
    for name, field in known.items():
        if name == mapper.keys.get(event):
            sources[name] = SagaKey()
        elif mapper.item and name == mapper.item.key:
            sources[name] = Item()
        elif name in start and _same_type(start[name], field):
            sources[name] = Reference(None, name)
    return Emission(event, sources)


def _same_type(start: FieldInfo, field: FieldInfo) -> bool:
    """Whether whatever the start event has there may stand in the decision."""
    if start.annotation == field.annotation:
        return True
    return takes_none(field) and field.annotation == start.annotation | None if start.annotation else False
