"""What a class says about itself by its keywords: topic, key and the like."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, TypedDict

from choreo.errors import EventError
from choreo.events.cloudevents import CloudEvents
from choreo.events.wire import Wire

_NAMESPACE = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*")
"""With $, which is in the names of Java's nested classes: others have them."""
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_NOT_INHERITED = ("abstract", "formerly")


class Keywords(TypedDict, total=False):
    """The class keywords of an event, as type checkers see them."""

    namespace: str
    topic: str
    key: str | tuple[str, ...]
    abstract: bool
    formerly: str
    subject: str
    external: bool
    wire: Wire
    cloudevents: bool | CloudEvents
    headers: Literal["packed", "plain"]
    queue: str
    lease_s: float


@dataclass(frozen=True)
class Contract:
    """What an event class has promised; inherited from its bases, but for `abstract` and `formerly`.

    `formerly` is the earlier name of the class (with its namespace, if that was another). `lease_s` is in seconds.
    """

    name: str
    namespace: str = ""
    topic: str = ""
    key: tuple[str, ...] = ()
    abstract: bool = False
    subject: str | None = None
    formerly: str | None = None
    external: bool = False
    wire: Wire | None = None
    cloudevents: bool | CloudEvents = False
    headers: Literal["packed", "plain"] = "packed"
    queue: str | None = None
    lease_s: float | None = None

    @property
    def full_name(self) -> str:
        """The name on the wire: `shop.OrderPlaced`."""
        return _full(self.name, self.namespace)

    @property
    def former_name(self) -> str | None:
        """The earlier full name, where there is one."""
        return None if self.formerly is None else _full(self.formerly, self.namespace)

    @property
    def framed(self) -> bool:
        """Whether its values are in the Confluent frame, so that its Avro schema is for a registry to hold."""
        return self.wire is None and (self.cloud is None or self.cloud.mode == "binary")

    @property
    def cloud(self) -> CloudEvents | None:
        """How its events are CloudEvents, with type and source said; None where they are none."""
        if not self.cloudevents:
            return None
        told = self.cloudevents if isinstance(self.cloudevents, CloudEvents) else CloudEvents()
        return replace(told, type=told.type or self.full_name, source=told.source or f"/choreo/{self.topic}")


def make_contract(name: str, inherited: Contract | None, keywords: Mapping[str, Any]) -> Contract:
    """The contract of a class `name` with these keywords. Raises EventError for a misspelt or mistyped keyword."""
    for word, value in keywords.items():
        _check_keyword(name, word, value)
    own = dict(keywords)
    if isinstance(own.get("key"), str):
        own["key"] = (own["key"],)
    if "queue" in own:
        own.setdefault("topic", own["queue"])
    told = {f.name: getattr(inherited, f.name) for f in fields(Contract)} if inherited else {}
    for word in _NOT_INHERITED:
        told.pop(word, None)
    return Contract(**(told | own | {"name": name}))


def check_published(contract: Contract, field_names: tuple[str, ...]) -> None:
    """An event class that is no abstract base must be able to lie somewhere. Raises EventError."""
    name = contract.name
    for word, value, example in (("namespace", contract.namespace, "shop"), ("topic", contract.topic, "shop.orders")):
        if not value and not (word == "namespace" and contract.external):  # not everybody has one
            why = "an event is published under a full name, on a topic"
            raise EventError(f"{name}: no {word}", why=why, hint=f'{word}="{example}", or abstract=True for a base')
    if "$" in contract.full_name and not contract.external:
        raise EventError(
            f"{name}: Avro has no $ in names", why=f"it is called {contract.full_name}", hint="leave it out"
        )
    named = [("key", part) for part in contract.key]
    named += [("subject", contract.subject)] if contract.subject else []
    for word, part in named:
        if part not in field_names:
            near = get_close_matches(part, field_names, 1)
            why = f"its fields are {', '.join(field_names) or 'none'}"
            hint = f'{word}="{near[0]}"' if near else f"name a field, or add {part}: str"
            raise EventError(f'{name}: {word}="{part}" is not a field', why=why, hint=hint)


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _check_keyword(name: str, word: str, value: object) -> None:
    known = Keywords.__annotations__
    if word not in known:
        near = get_close_matches(word, known, 1)
        hint = f"did you mean {near[0]}=?" if near else f"one of {', '.join(known)}"
        raise EventError(f"{name}: {word}= is not a class keyword", hint=hint)
    wanted, holds = _EXPECTED[word]
    if not holds(value):
        raise EventError(f"{name}: {word}={value!r} is not {wanted}", hint=f"{word} takes {wanted}")


def _is_key(value: object) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(part, str) and part for part in value)
    return isinstance(value, str) and value != ""


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


_EXPECTED: Mapping[str, tuple[str, Any]] = {
    "namespace": ("a dotted name as text", lambda v: _matches(_NAMESPACE, v)),
    "topic": ("the name of a topic as text", lambda v: _matches(_TOPIC, v)),
    "key": ("the name of a field as text, or a tuple of names", _is_key),
    "abstract": ("True or False", lambda v: isinstance(v, bool)),
    "formerly": ("an earlier name of the class as text", lambda v: _matches(_NAMESPACE, v)),
    "subject": ("the name of a field as text", lambda v: isinstance(v, str) and v != ""),
    "external": ("True or False", lambda v: isinstance(v, bool)),
    "wire": ("a Wire, such as Json()", lambda v: isinstance(v, Wire)),
    "cloudevents": ("True, False or CloudEvents(...)", lambda v: isinstance(v, (bool, CloudEvents))),
    "headers": ('"packed" or "plain"', lambda v: isinstance(v, str) and v in ("packed", "plain")),
    "queue": ("the name of a queue as text", lambda v: _matches(_TOPIC, v)),
    "lease_s": ("a positive number of seconds", lambda v: type(v) in (int, float) and v > 0),
}
