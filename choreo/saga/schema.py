"""The JSON Schemas of a saga spec and of calendars that specs share: what `reading.py` would say of a file's shape, for
editors to say while it is written.

Made from the tables by which the reader goes. Names are looked up by `choreo check`: an editor offers the events that
it is given, and refuses none. Time zones are few and known: one that there is not is refused.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from choreo.saga.almanac import SHARED_KEYS
from choreo.saga.calendars import zones
from choreo.saga.durations import NOT_NOTHING, PATTERN
from choreo.saga.reading import OF_ITEMS
from choreo.saga.shapes import (
    ASK_KEYS,
    CALENDAR_KEYS,
    CANCELLATION_KEYS,
    COMPENSATION_KEYS,
    EMISSION_KEYS,
    HUMAN_KEYS,
    ISOLATION_KEYS,
    NESTED,
    NO_CALENDAR,
    NO_COMPENSATION,
    ON_TIMEOUT,
    OPENS,
    ORDER_KEYS,
    POLICY_KEYS,
    REMIND_KEYS,
    REPEAT_KEYS,
    REST,
    RETRY_KEYS,
    SAGA_NAME,
    SPEC_KEYS,
    STEP_KEYS,
    STEP_TELL_KEYS,
    TELL_KEYS,
    TIMEOUT_KEYS,
    Key,
    Shape,
)

DRAFT = "https://json-schema.org/draft/2020-12/schema"
WORD = {"type": "string", "minLength": 1}
EXPRESSION = {"type": ["string", "number", "boolean"], "minLength": 1}
TOGETHER = {"for_each": ["item_key"]} | {key: ["for_each"] for key in OF_ITEMS}
ALWAYS = (Shape.STEPS,)
"""These must be there, too; the reader says so in words of their own."""


def spec_schema(events: Iterable[str] = ()) -> dict[str, Any]:
    """The schema (draft 2020-12) of a spec. `events` are full names (`shop.OrderPlaced`) that an editor shall offer,
    with and without their namespaces.
    """
    offered = sorted({name for full in events for name in (full, full.rpartition(".")[2])})
    event = {"anyOf": [{"enum": offered}, WORD]} if offered else WORD
    return {"$schema": DRAFT, "title": "A saga of Choreo", **_Shapes(event).table(SPEC_KEYS)}


def calendars_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of a file `calendars.yaml`. Zones are those of the `tzdata` that is installed."""
    schema = _Shapes(WORD).table(SHARED_KEYS)
    named = schema["properties"]["calendars"]
    named["propertyNames"] = {"not": {"const": NO_CALENDAR}}
    named["additionalProperties"]["properties"]["zone"]["enum"] = sorted(zones())
    return {"$schema": DRAFT, "title": "Calendars of Choreo", **schema}


class _Shapes:
    """Each shape as a schema."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._event = event

    def table(self, keys: Mapping[str, Key]) -> dict[str, Any]:
        """A table with these keys and no others."""
        needed = {name: key for name, key in keys.items() if key.required or key.shape in ALWAYS}
        either = [
            {"anyOf": [{"required": [one]}, {"required": [key.unless]}]} for one, key in needed.items() if key.unless
        ]
        return {
            "type": "object",
            "properties": {name: {"description": key.says, **self._value(key)} for name, key in keys.items()},
            "required": [name for name, key in needed.items() if not key.unless],
            "additionalProperties": False,
            **({"allOf": either} if either else {}),
        }

    def _value(self, key: Key) -> dict[str, Any]:
        """How the value of this key is written."""
        shape = key.shape
        if shape is Shape.POLICY:
            return {"type": "string", "pattern": f"^(?:{'|'.join(_policy(word) for word in key.words)})$"}
        if shape in (Shape.EVENTS, Shape.NAMES):
            one = self._event if shape is Shape.EVENTS else WORD
            return _any(one, {"type": "array", "items": one, "minItems": int(key.required)})
        return self._compound(shape) if shape in _COMPOUND else self._simple(shape)

    def _simple(self, shape: Shape) -> dict[str, Any]:
        found: dict[Shape, Mapping[str, Any]] = {
            Shape.WORD: WORD,
            Shape.SAGA_NAME: {"type": "string", "pattern": f"^(?:{SAGA_NAME.pattern})$"},
            Shape.STEP_NAME: {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            Shape.NESTED: {"type": "string", "pattern": f"^(?:{NESTED.pattern})$"},
            Shape.EVENT: self._event,
            Shape.EXPRESSION: EXPRESSION,
            Shape.DURATION: {"type": "string", "pattern": f"^(?:{PATTERN})$"},
            Shape.NUMBER: {"type": ["integer", "string"], "minimum": 1, "pattern": "^0*[1-9][0-9]*$"},
            Shape.LIMIT: {"type": "string", "pattern": f"^{NOT_NOTHING}(?:{PATTERN})$"},
            Shape.PASSING: {"type": "string", "pattern": f"^{NOT_NOTHING}(?:{PATTERN.removeprefix('none|')})$"},
            Shape.TIME: {"type": "string", "pattern": rf"^{NOT_NOTHING}(?:{PATTERN})$|saga\.|steps\."},
            Shape.REST: {"enum": list(REST)},
            Shape.SHARE: {"type": ["string", "integer"], "minimum": 1, "pattern": r"^(?:all|any|[0-9]+%?)$"},
            Shape.BEGINNING: {"type": "string", "pattern": rf"^(?:{PATTERN}|{OPENS})$|saga\.|steps\."},
            Shape.FLAG: {"enum": [True, False, "true", "false"]},
        }
        return dict(found[shape])

    def _compound(self, shape: Shape) -> dict[str, Any]:
        mappings = {"type": "object", "additionalProperties": EXPRESSION}
        if shape is Shape.MAPPINGS:
            return mappings
        if shape is Shape.CORRELATION:
            return _any(WORD, {"type": "object", "additionalProperties": WORD, "minProperties": 1})
        if shape is Shape.CALENDARS:
            return {"type": "object", "additionalProperties": self.table(CALENDAR_KEYS)}
        if shape is Shape.EMISSION:
            return _any(self._event, self.table(EMISSION_KEYS))
        if shape is Shape.CANCELLATION:
            return _any(self._event, self.table(CANCELLATION_KEYS))
        if shape is Shape.ISOLATION:
            return _any(WORD, self.table(ISOLATION_KEYS))
        if shape is Shape.COMPENSATION:
            return _any({"const": NO_COMPENSATION}, self.table(COMPENSATION_KEYS))
        if shape is Shape.ORDER:
            some = self.table(ORDER_KEYS) | {"oneOf": [{"required": ["any"]}, {"required": ["at_least", "of"]}]}
            return _any(WORD, {"type": "array", "items": WORD}, some)
        if shape is Shape.TIMEOUT:
            return _any({"enum": list(ON_TIMEOUT)}, self.table(TIMEOUT_KEYS) | {"minProperties": 1, "maxProperties": 1})
        if shape is Shape.POLICIES:
            one = self.table(POLICY_KEYS) | {"minProperties": 1}
            return {"type": "object", "additionalProperties": one, "minProperties": 1}
        if shape in _TABLES:
            return self.table(_TABLES[shape])
        assert shape is Shape.STEPS
        return {"type": "array", "minItems": 1, "items": self.table(STEP_KEYS) | {"dependentRequired": TOGETHER}}


_TABLES = {
    Shape.RETRY: RETRY_KEYS,
    Shape.ASKING: ASK_KEYS,
    Shape.REMINDER: REMIND_KEYS,
    Shape.HUMAN: HUMAN_KEYS,
    Shape.REPETITION: REPEAT_KEYS,
    Shape.TELLINGS: TELL_KEYS,
    Shape.STEP_TELLINGS: STEP_TELL_KEYS,
}
_COMPOUND = (
    *_TABLES,
    Shape.MAPPINGS,
    Shape.ORDER,
    Shape.CORRELATION,
    Shape.CALENDARS,
    Shape.EMISSION,
    Shape.CANCELLATION,
    Shape.ISOLATION,
    Shape.COMPENSATION,
    Shape.TIMEOUT,
    Shape.POLICIES,
    Shape.STEPS,
)


def _policy(word: str) -> str:
    """What a policy's word looks like: how long it is kept may stand behind `keep`."""
    return f"keep(?: (?:{PATTERN.removeprefix('none|')}))?" if word == "keep" else word


def _any(*schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [dict(schema) for schema in schemas]}
