"""What a handler class says of itself, read once from its annotations and attributes."""

import inspect
from collections.abc import Callable, Mapping
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from choreo.errors import HandlerError
from choreo.events.event import Event
from choreo.service.calls import Downstream
from choreo.service.handler import Handler
from choreo.service.store import Store
from choreo.service.timer import Timer


@dataclass(frozen=True)
class Method:
    """One method that answers an input: its name, what it takes and what it may emit."""

    name: str
    takes: tuple[type[Event], ...]
    emits: frozenset[type[Event]]
    asynchronous: bool


@dataclass(frozen=True)
class Signature:
    """All that the runtime must know of a handler class."""

    handler: type[Handler[Any]]
    handle: Method
    compensate: Method | None
    give_up: Method | None
    due: Mapping[str, Method]
    """Methods of timers, by the timer's name."""
    needs: tuple[str, ...]
    stores: Mapping[str, Store[Any, Any]]
    timers: Mapping[str, Timer[Any]]
    downstreams: Mapping[str, Downstream]

    @property
    def name(self) -> str:
        return self.handler.__name__

    def methods(self) -> tuple[Method, ...]:
        found = (self.handle, self.compensate, self.give_up, *self.due.values())
        return tuple(method for method in found if method is not None)

    @property
    def emits(self) -> frozenset[type[Event]]:
        return frozenset[type[Event]]().union(*(method.emits for method in self.methods()))

    @property
    def takes(self) -> tuple[type[Event], ...]:
        return self.handle.takes + (self.compensate.takes if self.compensate else ())


@cache
def signature_of(handler: type[Handler[Any]]) -> Signature:
    """Read a handler class. Raises HandlerError where it does not say what the runtime must know."""
    declared: object = handler
    if not (isinstance(declared, type) and issubclass(declared, Handler)):
        raise HandlerError(
            f"{handler!r} is no Handler class", hint="handlers=[ReserveStock]: the classes, not instances"
        )
    if inspect.isabstract(handler):
        raise HandlerError(f"{handler.__name__}: handle is missing", at=_where(handler))
    attributes = {name: value for cls in reversed(handler.__mro__) for name, value in vars(cls).items()}
    timers = {name: value for name, value in attributes.items() if isinstance(value, Timer)}
    found = Signature(
        handler=handler,
        handle=_handle(handler),
        compensate=_optional(handler, "compensate"),
        give_up=_optional(handler, "give_up"),
        due=_due_methods(handler, attributes, timers),
        needs=tuple(field.name for field in fields(handler)),  # type: ignore[arg-type]  # __init_subclass__ made it a dataclass
        stores={name: value for name, value in attributes.items() if isinstance(value, Store)},
        timers=timers,
        downstreams={name: value for name, value in attributes.items() if isinstance(value, Downstream)},
    )
    for store in found.stores.values():
        store.codecs()
    for timer in timers.values():
        timer.codec()
    return found


def _handle(handler: type[Handler[Any]]) -> Method:
    if handler.handles:
        return Method("handle", handler.handles, frozenset(handler.emits), inspect.iscoroutinefunction(handler.handle))
    return _method(handler, "handle")


def _optional(handler: type[Handler[Any]], name: str) -> Method | None:
    return (
        None if getattr(handler, name) is getattr(Handler, name) else _method(handler, name, taken=name == "compensate")
    )


def _due_methods(
    handler: type[Handler[Any]], attributes: Mapping[str, Any], timers: Mapping[str, Timer[Any]]
) -> dict[str, Method]:
    marked = {
        name: value.__dict__["timer"] for name, value in attributes.items() if "timer" in getattr(value, "__dict__", {})
    }
    due = {timer.name: _method(handler, name, taken=False) for name, timer in marked.items()}
    if handler.emits:
        due = {name: Method(m.name, (), frozenset(handler.emits), m.asynchronous) for name, m in due.items()}
    for name, timer in timers.items():
        if timer.name not in due:
            raise HandlerError(
                f"{handler.__name__}: nothing answers timer {name}",
                at=_where(handler),
                hint=f"@{name}.due above a method that takes the key and ctx",
            )
    return due


def _method(handler: type[Handler[Any]], name: str, *, taken: bool = True) -> Method:
    function: Callable[..., Any] = getattr(handler, name)
    where = _where(function)
    try:
        hints = get_type_hints(function)
    except NameError as error:
        raise HandlerError(
            f"{handler.__name__}.{name}: {error}",
            at=where,
            why="annotations are read when the service starts",
            hint="import it at run time, not under TYPE_CHECKING, and leave `from __future__ import annotations` out",
        ) from error
    if "return" not in hints:
        raise HandlerError(
            f"{handler.__name__}.{name} has no return annotation",
            at=where,
            why="the annotation is the declaration of what it emits",
            hint="-> StockReserved | StockRejected, or -> None",
        )
    parameters = list(inspect.signature(function).parameters)
    takes: tuple[type[Event], ...] = ()
    if taken and name in ("handle", "compensate"):
        annotation = hints.get(parameters[1]) if len(parameters) > 1 else None
        takes = _events(annotation, handler, name, where)
        if not takes:
            raise HandlerError(f"{handler.__name__}.{name}: its event has no annotation", at=where)
    emits = frozenset(_events(hints["return"], handler, name, where))
    return Method(name, takes, emits, inspect.iscoroutinefunction(function))


def _events(annotation: object, handler: type, name: str, where: str) -> tuple[type[Event], ...]:
    """The event classes in an annotation: one, a union, a tuple or list of them, or None."""
    if annotation in (None, NoneType) or annotation is Ellipsis:
        return ()
    if isinstance(annotation, TypeVar):
        return ()
    origin = get_origin(annotation)
    if origin in (Union, UnionType, tuple, list, AbstractSequence):
        found = [event for part in get_args(annotation) for event in _events(part, handler, name, where)]
        return tuple(dict.fromkeys(found))
    if isinstance(annotation, type) and issubclass(annotation, Event):
        if annotation.contract.abstract and name in ("handle", "compensate"):
            raise HandlerError(
                f"{handler.__name__}.{name}: {annotation.__name__} is abstract",
                at=where,
                hint="name the events below it",
            )
        return (annotation,)
    raise HandlerError(f"{handler.__name__}.{name}: {annotation!r} is no Event", at=where)


def _where(thing: Any) -> str:
    """file:line of a class or function."""
    try:
        return f"{inspect.getsourcefile(thing)}:{inspect.getsourcelines(thing)[1]}"
    except (OSError, TypeError):
        return f"{thing.__module__}.{thing.__qualname__}"
