"""Where the fields of an emitted event come from: by name from `saga.*`, else from `with:`; a gap is a problem."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from choreo.saga.clauses import Computed, Emission, Item, Reference, SagaKey, Source
from choreo.saga.conditions import Expression
from choreo.saga.item_words import ItemWords
from choreo.saga.kinds import Kind, ValueType, misfit
from choreo.saga.problems import Problems, did_you_mean
from choreo.saga.raw import RawEmission
from choreo.saga.vocabulary import Vocabulary, decimal_places, takes_none
from choreo.saga.yaml import Text

_ITEM = re.compile(r"item(?:\.([A-Za-z_]\w*))?")


@dataclass(frozen=True)
class Mapper:
    """Fills emitted events of one spec. `keys` gives the correlating field of an event, `certain` are the variables
    that are sure to have a value when the event at hand is emitted.
    """

    words: Vocabulary
    problems: Problems
    starts_on: str
    keys: Mapping[str, str]
    item: ItemWords | None = None
    """What is known of the item at hand, where a step is done for each."""

    def emission(self, raw: RawEmission, event: str, certain: frozenset[str] = frozenset()) -> Emission:
        """The sources of all fields that have one. `certain` names the steps that are sure to be done by then."""
        known = self.words.fields(event)
        given = {}
        for key, value in raw.mappings:
            if self.words.has_field(event, key):
                given[key.value] = value
        sources: dict[str, Source] = {}
        nulls = []
        for name, field in known.items():
            if name in given:
                source = self._mapped(given[name], event, name)
                if source is None:
                    continue
                sources[name] = source
                if self._may_be_missing(source, certain):
                    if field.is_required() and takes_none(field):
                        nulls.append(name)
                    elif field.is_required():
                        self._refuse_missing(given[name], event, name)
            elif name == self.keys.get(event):
                sources[name] = SagaKey()
            elif self.item and name == self.item.key:
                sources[name] = Item()
            elif self.item and name in self.item.types and self._fits(raw, event, name, self.item.types[name], "item"):
                sources[name] = Item(name)
            elif name in self.words.fields(self.starts_on) and self._same_kind(raw, event, name):
                sources[name] = Reference(None, name)
            elif field.is_required():
                self._refuse_gap(raw, event, name)
        return Emission(event, sources, tuple(nulls))

    def _mapped(self, text: Text, event: str, name: str) -> Source | None:
        expression = self.words.expression(text)
        if expression is None:
            return None
        wanted = self.words.type(event, name).present
        if not expression.present.fits(wanted):
            field = self.words.type(event, name)
            said = f"{event}.{name} is {field.one}, this gives {expression.one}"
            cure = "a decimal takes a decimal, a float, an int or a number such as 9.5" if field.is_decimal else ""
            self.problems.add(text.place, "wrong-type", said, cure)
            return None
        if expression.gives and (found := misfit(expression.gives, self.words.type(event, name))) and found.within:
            said = f"{event}.{name}{found.within} {found.wanted}, and in what this gives it {found.there}"
            self.problems.add_since(text.place, "wrong-type", said)
        places = decimal_places(self.words.fields(event)[name]) if wanted in (Kind.DOUBLE, Kind.DYN) else None
        return plain_reference(expression) or Computed(expression, places)

    def _same_kind(self, raw: RawEmission, event: str, name: str) -> bool:
        return self._fits(raw, event, name, self.words.type(self.starts_on, name), "saga")

    def _fits(self, raw: RawEmission, event: str, name: str, has: ValueType, of: str) -> bool:
        """Whether a value fits that has the name of the field; a problem where it does not, which is enough of them."""
        if found := misfit(has, self.words.type(event, name)):
            said = f"{event}.{name}{found.within} {found.wanted}, but {of}.{name}{found.within} {found.there}"
            add = self.problems.add_since if found.within else self.problems.add
            add(raw.event.place, "wrong-type", said, f"say what it is: with: {{{name}: ...}}")
        return True

    def _may_be_missing(self, source: Source, certain: frozenset[str]) -> bool:
        if isinstance(source, Reference):
            return source.step is not None and source.field != "status" and source.step not in certain
        if isinstance(source, Computed):
            return any(self._may_be_missing(reference, certain) for reference in references_in(source.expression))
        return False

    def _refuse_missing(self, text: Text, event: str, name: str) -> None:
        self.problems.add(
            text.place,
            "may-be-missing",
            f"{event}.{name} needs a value, and {text.value} has none where that step did not surely happen",
            f"give {name} a default in the event, or take it from saga.*",
        )

    def _refuse_gap(self, raw: RawEmission, event: str, name: str) -> None:
        said = f"nothing fills {event}.{name}: {self.starts_on} has no field {name}"
        near = did_you_mean(name, self.words.fields(self.starts_on))
        cure = f"add with: {{{name}: ...}}" + (f" ({near})" if near else "")
        self.problems.add(raw.event.place, "unfilled-field", said, cure)


def plain_reference(expression: Expression) -> Reference | Item | None:
    """The field that an expression names and does nothing with; None for any other expression."""
    text = expression.text.strip()
    if reference := Reference.named(text):
        return reference
    if found := _ITEM.fullmatch(text):
        return Item(found[1] or "")
    return None


def fields_of_items(sources: Iterable[Source]) -> Iterator[str]:
    """The fields of the item at hand that these sources read; "" is its key."""
    for source in sources:
        if isinstance(source, Item):
            yield source.field
        elif isinstance(source, Computed):
            found = (_ITEM.fullmatch(name) for name in source.expression.reads)
            yield from (match[1] or "" for match in found if match)


def references_to(sources: Iterable[Source]) -> tuple[Reference, ...]:
    """The remembered fields that these sources read."""
    found: list[Reference] = []
    for source in sources:
        if isinstance(source, Reference):
            found.append(source)
        elif isinstance(source, Computed):
            found += references_in(source.expression)
    return tuple(found)


def references_in(expression: Expression) -> list[Reference]:
    """The remembered fields that an expression reads."""
    return [reference for name in expression.reads if (reference := Reference.named(name))]
