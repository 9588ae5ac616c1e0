"""What a step that is done for each item of a list knows of one: its fields, and the field that tells items apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_origin

from choreo.saga.clauses import FanOut, Reference
from choreo.saga.kinds import Kind, ValueType
from choreo.saga.problems import Problems, did_you_mean
from choreo.saga.raw import RawFanOut, RawSpec, RawStep
from choreo.saga.vocabulary import Vocabulary

KEYS = (Kind.STRING, Kind.INT)
OF_ITEMS = ("overdue", "undone")
"""What becomes of items alone, for each has its own time and its own undo."""


@dataclass(frozen=True)
class ItemWords:
    """An item: the name of its key, and the types of its fields; of a plain value, its own under ""."""

    key: str
    types: Mapping[str, ValueType]

    @property
    def variables(self) -> dict[str, ValueType]:
        """As expressions name them."""
        return {f"item.{name}" if name else "item": one for name, one in self.types.items()}


def read_items(
    raw: RawStep, spec: RawSpec, words: Vocabulary, problems: Problems
) -> tuple[FanOut | None, ItemWords | None]:
    """What a step's `for_each` says, looked up. None, with the problems noted, where it can't be used."""
    rule = raw.for_each
    if rule is None:
        return None, None
    _check_company(raw, problems)
    source = _source(rule, problems)
    types = _types(raw, rule, source, spec, words, problems) if source else None
    if source is None or types is None:
        return None, None
    _check_events(raw, rule, types, words, problems)
    fan_out = FanOut(
        items=source,
        key=rule.key.value,
        adds_on=words.events(rule.adds_on),
        at_least=rule.at_least,
        percent=rule.percent,
        rest=rule.rest,
    )
    return fan_out, ItemWords(rule.key.value, types)


def _check_company(raw: RawStep, problems: Problems) -> None:
    if raw.repeat is not None:
        said = f"step {raw.name.value} is done for each item, and can't be repeated as a whole"
        problems.add(raw.repeat.until.place, "not-with-items", said, "repeat a step before or after it")
    for moment, emission in raw.tells:
        if moment in OF_ITEMS:
            said = f"step {raw.name.value} is done for each item, and never {moment} as a whole"
            cure = "the lifecycle event tells what becomes of each item"
            problems.add(emission.event.place, "not-with-items", said, cure)


def _source(rule: RawFanOut, problems: Problems) -> Reference | None:
    found = Reference.named(rule.items.value.strip())
    if found is None:
        said = f"for_each takes a list that is remembered, not {rule.items.value}"
        problems.add(rule.items.place, "not-a-list", said, "for_each: saga.FIELD or steps.NAME.FIELD")
    return found


def _types(
    raw: RawStep, rule: RawFanOut, source: Reference, spec: RawSpec, words: Vocabulary, problems: Problems
) -> dict[str, ValueType] | None:
    """The types of an item's fields."""
    if words.expression(rule.items) is None:
        return None
    starts = (spec.starts_on,)
    sources = next((step.completes_on for step in spec.steps if step.name.value == source.step), starts)
    fields = [words.fields(event).get(source.field) for event in words.quiet().events(sources)]
    told: list[Any] = [field.annotation for field in fields if field is not None]
    item = ValueType(told[0]).inner if told else None
    if item is None or any(get_origin(one) not in (list, tuple) or one != told[0] for one in told):
        said = f"{rule.items.value} is no list whose items have one type"
        problems.add(rule.items.place, "not-a-list", said, "an event's field such as tuple[Line, ...] or list[str]")
        return None
    types = dict(item.fields) if item.is_record and item.kind is Kind.MAP else {"": item}
    if "" not in types and rule.key.value not in types:
        cure = did_you_mean(rule.key.value, types, f"its fields are {', '.join(types)}")
        said = f"an item of {rule.items.value} has no field {rule.key.value}"
        problems.add(rule.key.place, "no-such-field", said, cure)
        return None
    key_kind = types["" if "" in types else rule.key.value].kind
    if key_kind not in KEYS:
        said = f"items are told apart by a text or a whole number, and {rule.key.value} is {key_kind.one}"
        problems.add(rule.key.place, "wrong-type", said, f"step {raw.name.value} needs another item_key")
    return types


def _check_events(
    raw: RawStep, rule: RawFanOut, types: Mapping[str, ValueType], words: Vocabulary, problems: Problems
) -> None:
    """Every event of the step speaks of one item, and one that adds an item says all that is known of items."""
    quiet = words.quiet()
    told = [emission.event for _, emission in raw.tells]
    for text in (text for text in raw.events if text not in told):
        event = quiet.event(text)
        if event is not None and rule.key.value not in words.fields(event):
            said = f"{event} has no field {rule.key.value}, so nobody knows which item it speaks of"
            problems.add(text.place, "no-item-key", said, "every event of a step with for_each names the item")
    for text in rule.adds_on:
        event = quiet.event(text)
        missing = [name for name in types if name and event and name not in words.fields(event)]
        if missing:
            said = f"{event} adds an item, and has no {', '.join(missing)}"
            problems.add(text.place, "no-such-field", said, f"the items of {rule.items.value} have that")
        for name in types if event and not missing else ():
            here, there = words.type(event or "", name or rule.key.value).present, types[name].present
            if not here.fits(there):
                said = f"{event} adds an item, and its {name or rule.key.value} is {here.one}"
                problems.add_since(text.place, "wrong-type", said, f"that of {rule.items.value} is {there.one}")
