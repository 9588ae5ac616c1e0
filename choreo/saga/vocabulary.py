"""The events and fields that a spec may name, looked up in the catalogue; a word that is not there is a problem."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic.fields import FieldInfo

from choreo.events.event import Event
from choreo.saga.clauses import Reference
from choreo.saga.conditions import BadExpression, Expression, Language
from choreo.saga.kinds import Kind, ValueType, any_of, either
from choreo.saga.problems import Place, Problems, did_you_mean
from choreo.saga.raw import RawSpec
from choreo.saga.yaml import Text

Catalogue = Mapping[str, type[Event]]
CLOCKS = ("now", "today", "time")
"""What others call what no expression can ask for."""
WRITTEN = {"and": "&&", "or": "||", "not": "!", "=": "=="}
"""What people write who know another language, and how CEL has it."""
KNOWN = "a spec knows the events of the project's packages, and those that its services take and return"


class Vocabulary:
    """Looks words up: events by short or full name, fields of events, variables of expressions."""

    def __init__(self, catalogue: Mapping[str, type[Event]], namespace: str, problems: Problems) -> None:
        self.catalogue, self._namespace, self._problems = catalogue, namespace, problems
        self.language = Language({})
        self._untyped = frozenset[str]()
        """Steps of whose end something is not known, and was said: what is read of them can't be looked up."""

    def event(self, text: Text) -> str | None:
        """The full name; None, with the problem noted, for an event that is not in the catalogue."""
        full = text.value if "." in text.value or not self._namespace else f"{self._namespace}.{text.value}"
        if full in self.catalogue:
            return full
        prefix = f"{self._namespace}." if self._namespace else ""
        short = [name.removeprefix(prefix) for name in self.catalogue]
        cure = did_you_mean(text.value, short, KNOWN)
        self._problems.add(text.place, "unknown-event", f"there is no event {full}", cure)
        return None

    def events(self, texts: Iterable[Text]) -> tuple[str, ...]:
        """The full names of those that exist, each once."""
        return tuple(dict.fromkeys(name for name in map(self.event, texts) if name))

    def fields(self, event: str) -> Mapping[str, FieldInfo]:
        """The fields of an event, by the names they have in Python."""
        return self.catalogue[event].model_fields

    def type(self, event: str, field: str) -> ValueType:
        """What is known of a field's values."""
        return ValueType(self.fields(event)[field].annotation)

    def has_field(self, event: str, text: Text) -> bool:
        """Whether the event has the field; a problem where it has not."""
        known = self.fields(event)
        if text.value in known:
            return True
        cure = did_you_mean(text.value, known, f"its fields are {', '.join(known)}")
        self._problems.add(text.place, "no-such-field", f"{event} has no field {text.value}", cure)
        return False

    def learn_variables(self, raw: RawSpec, starts_on: str | None) -> None:
        """Make `saga.*` and `steps.*.*` known to expressions, with the types of the events' fields."""
        known = saga_variables(self.catalogue, starts_on) if starts_on else {}
        untyped = set()
        for step in raw.steps:
            name, ends = step.name.value, [self.quiet().event(text) for text in step.completes_on]
            if not all(ends) or (step.saga and not ends):
                untyped.add(name)
            if step.for_each is not None and name.isidentifier():
                known |= item_variables(name)
            elif name.isidentifier():
                known |= step_variables(self.catalogue, name, filter(None, ends))
        self.language, self._untyped = Language(known), frozenset(untyped)

    def quiet(self) -> "Vocabulary":
        """The same, looked up without noting problems: for what is looked up a second time."""
        return Vocabulary(self.catalogue, self._namespace, Problems(""))

    def with_variables(self, more: Mapping[str, ValueType]) -> "Vocabulary":
        """The same with more variables for expressions."""
        wider = Vocabulary(self.catalogue, self._namespace, self._problems)
        wider.language, wider._untyped = Language({**self.language.types, **more}), self._untyped
        return wider

    def expression(self, text: Text) -> Expression | None:
        """The compiled expression; None, with the problem noted where it stands, when it does not compile."""
        try:
            return self.language.compile(text.value)
        except BadExpression as error:
            if error.would_run is not None and self._problems.deployed:
                return error.would_run
            if (read := Reference.named(error.name or "")) and read.step in self._untyped:
                return None
            place = _inside(text, error.offset, len(error.name or " "))
            cure = error.cure or _cure(text.value, error, self.language.types)
            self._problems.add(place, "bad-expression", str(error), cure)
            return None


def saga_variables(catalogue: Catalogue, starts_on: str) -> dict[str, ValueType]:
    """`saga.*` with their types: the fields of the event that starts a saga."""
    return {f"saga.{name}": ValueType(field.annotation) for name, field in catalogue[starts_on].model_fields.items()}


def step_variables(catalogue: Catalogue, step: str, completes_on: Iterable[str]) -> dict[str, ValueType]:
    """`steps.NAME.*` with their types: its status, and the fields of the events that complete it."""
    known: dict[str, ValueType] = {}
    for event in completes_on:
        for name, field in catalogue[event].model_fields.items():
            variable, found = f"steps.{step}.{name}", ValueType(field.annotation)
            known[variable] = either(known.get(variable, found), found)
    return {**known, f"steps.{step}.status": any_of(Kind.STRING)}


def item_variables(step: str) -> dict[str, ValueType]:
    """`steps.NAME.*` of a step that is done for each item: its status, and how many items there are of each kind."""
    counts = {f"steps.{step}.{name}": any_of(Kind.INT) for name in ("items", "done", "failed")}
    return {**counts, f"steps.{step}.status": any_of(Kind.STRING)}


def takes_none(field: FieldInfo) -> bool:
    """Whether a field may be None."""
    return field.annotation is None or type(None) in get_args(field.annotation)


def decimal_places(field: FieldInfo) -> int | None:
    """The decimal places of a Decimal field; None for others."""
    found: Any = next((one.decimal_places for one in field.metadata if hasattr(one, "decimal_places")), None)
    return found if isinstance(found, int) else None


def _inside(text: Text, offset: int, length: int) -> Place:
    if text.inside is None:
        return text.place
    return Place(text.place.line, text.inside + offset, length)


def _cure(text: str, error: BadExpression, known: Iterable[str]) -> str:
    if not error.name:
        return _meant(text, error.offset)
    if error.name not in CLOCKS and _called(text, error.name):
        return "compare fields by ==, !=, <, >, in; join conditions by &&, ||, !"
    return did_you_mean(error.name, known, _unknown_cure(error.name))


def _meant(text: str, offset: int) -> str:
    """The cure of an operator of another language, which is where the parser stops, or just before."""
    found = re.match(r"(and|or)\b|=(?!=)", text[offset:]) or re.search(r"\b(not)\s*$", text[:offset])
    word = found[0].strip() if found else ""
    return f"{word} is written {WRITTEN[word]}" if word else ""


def _called(text: str, name: str) -> bool:
    """Whether it is called like a function."""
    return re.search(rf"\b{re.escape(name)}\s*\(", text) is not None


def _unknown_cure(name: str) -> str:
    if name.partition(".")[0] == "item":
        return "only a step with for_each knows item.*, the item at hand"
    if name.startswith("event"):
        return "expressions see saga.* and steps.NAME.*, never event: with two causes, which event would it be?"
    if name in CLOCKS:
        return "expressions know no clock: within:, deadline: and not_before: say when"
    if "." not in name:
        return f"a text needs quotes of its own: \"'{name}'\""
    return "expressions see saga.FIELD of the start event and steps.NAME.FIELD of the event that completed a step"
