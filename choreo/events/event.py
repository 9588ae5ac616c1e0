"""The classes that a user derives from: Event, Value, Job, Tick; what can't work is refused when the class is made."""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from enum import Enum
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack, dataclass_transform
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler

from choreo.errors import EventError, PublishError
from choreo.events.avro import check_key, refuse_factory, shape_of
from choreo.events.contract import Contract, Keywords, check_published, make_contract
from choreo.events.datums import wire_name
from choreo.events.fields import bound_to_avro

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
class EventType(ModelMetaclass):
    """The class of event classes: pydantic's, with the class keywords of `Keywords`.

    Positional-only, because pydantic's own metaclass takes a `namespace`; typed keywords, because pyright checks those.
    """

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], /, **keywords: Unpack[Keywords]) -> Any:
        ours = {word: value for word, value in keywords.items() if not word.startswith("_")}
        theirs: Any = {word: value for word, value in keywords.items() if word.startswith("_")}
        frame = sys._getframe(1)
        try:
            inherited = next(
                (
                    base.__dict__["contract"]
                    for parent in bases
                    for base in parent.__mro__
                    if "contract" in base.__dict__
                ),
                None,
            )
            contract = make_contract(wire_name(name), inherited, ours)
            cls: Any = super().__new__(mcs, name, bases, body, **theirs)
            if "contract" in cls.model_fields:
                raise EventError(f"{name}: a field can't be called contract", why="every event has its contract there")
            if not cls.__pydantic_complete__:
                # pydantic looks for the types of a local class in the frame of its caller, which is this one
                cls.model_rebuild(raise_errors=False, _types_namespace=frame.f_globals | frame.f_locals)
            cls.contract = contract
            # Value and Event themselves are made before Event is known: neither gets as far as the last test.
            if bases[0] is not BaseModel and not contract.abstract and issubclass(cls, Event):
                check_published(contract, tuple(cls.model_fields))
                for field_name, info in cls.model_fields.items():
                    refuse_factory(f"{name}.{field_name}", info)
                if contract.wire is None and cls.__pydantic_complete__:
                    shape_of(cls)
                    check_key(cls)
                elif contract.wire is not None and cls.__pydantic_complete__:
                    contract.wire.bound_to(cls)
        except EventError as error:
            error.at = error.at or _place(frame.f_code.co_filename, frame.f_lineno)
            raise
        return cls

    if TYPE_CHECKING:  # pyright checks class keywords against __new__ only where __init__ takes keywords too

        def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], /, **keywords: Any) -> None: ...  # pyright: ignore[reportInconsistentConstructor]


class Value(BaseModel, metaclass=EventType):
    """A frozen record inside events and stores. Ints must fit 64 bits, datetimes must be aware."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        populate_by_name=True,
        ser_json_bytes="base64",  # as JSON, in stores, bytes and infinities must read back as they were
        val_json_bytes="base64",
        ser_json_inf_nan="constants",
    )
    contract: ClassVar[Contract]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return bound_to_avro(handler(source))


class Event(Value, abstract=True):
    """A typed fact, published on the topic of its class under the key of its fields."""


class Job(Event, abstract=True):
    """Work that one worker leases; it lies on the topic of its queue."""


class Tick(Event, namespace="choreo", abstract=True):
    """A schedule came due. It has no key, and so no store."""

    due_at: datetime


def key_text(value: object) -> bytes:
    """One field value as it stands in a record key: text as UTF-8, int decimal, dates ISO 8601 (UTC), UUID and Enum.

    Raises PublishError for a value that no key can hold, and for empty text.
    """
    if type(value) is str and value:
        return value.encode()
    return _text(value).encode()


def key_of(event: Event) -> bytes | None:
    """The record key of an event; of a composite key the JSON array of its texts; None where its class has no key.

    Raises PublishError for an empty key.
    """
    return key_reader(type(event))(event)


@cache
def key_reader(cls: type[Event]) -> Callable[[Event], bytes | None]:
    names = cls.contract.key
    if not names:
        return lambda event: None
    read = attrgetter(*names)
    if len(names) == 1:

        def one(event: Event) -> bytes:
            value: object = read(event)
            if type(value) is str and value:  # nearly always, and asked twice for an event
                return value.encode()
            try:
                return key_text(value)
            except PublishError as error:
                raise _unkeyed(cls, names, error) from None

        return one

    def several(event: Event) -> bytes:
        try:
            return composite_key(read(event))
        except PublishError as error:
            raise _unkeyed(cls, names, error) from None

    return several


def composite_key(values: Sequence[object]) -> bytes:
    """The record key of several values: the JSON array of their texts."""
    return json.dumps([_text(value) for value in values], ensure_ascii=False, separators=(",", ":")).encode()


def _unkeyed(cls: type[Event], names: tuple[str, ...], error: PublishError) -> PublishError:
    why = f"the key of {cls.contract.full_name} is {', '.join(names)}"
    return PublishError(f"{cls.contract.name}: {error.message}", why=why, hint="set it when the event is made")


def _text(value: object) -> str:
    if isinstance(value, Enum):
        return _text(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (str, int, UUID)):
        if value == "":
            raise PublishError("the key is empty")
        return str(value)
    raise PublishError(f"the key can't be {value!r}, a {type(value).__name__}")


def _place(file: str, line: int) -> str:
    path = Path(file)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}:{line}"
