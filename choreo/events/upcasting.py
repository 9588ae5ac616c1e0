"""Events of a class that a breaking change has replaced: `@classmethod upcast(cls, old: OrderPlacedV1)` lifts them."""

from collections.abc import Callable, Iterable
from inspect import Parameter, signature
from typing import Any, get_type_hints

from choreo.errors import EventError
from choreo.events.event import Event


def lifted_by(cls: type[Event]) -> type[Event] | None:
    """The class whose events `cls.upcast` lifts; None where it has none of its own. Raises EventError for one that
    can't be called so.
    """
    if "upcast" not in cls.__dict__:
        return None
    where, method = f"{cls.__name__}.upcast", cls.__dict__["upcast"]
    hint = "@classmethod def upcast(cls, old: OldClass) -> Self"
    if not isinstance(method, classmethod):
        raise EventError(f"{where} is no class method", hint=hint)
    function: Any = method.__func__
    taken = [part for part in signature(function).parameters.values() if part.kind is Parameter.POSITIONAL_OR_KEYWORD]
    try:
        old: Any = get_type_hints(function).get(taken[1].name) if len(taken) == 2 else None
    except NameError as error:
        raise EventError(f"{where}: there is no type called {error.name}", hint="import it at run time") from error
    if not (isinstance(old, type) and issubclass(old, Event)) or old is cls:
        raise EventError(f"{where} does not say which event it lifts", hint=hint)
    if not (old.contract.framed and cls.contract.framed):
        raise EventError(
            f"{where}: only events in the Confluent frame are lifted", why="another wire tells no versions"
        )
    if old.contract.topic != cls.contract.topic:
        why = f"{old.__name__} lies on {old.contract.topic}, {cls.__name__} on {cls.contract.topic}"
        raise EventError(
            f"{where}: a service that reads one does not read the other", why=why, hint="one topic for both"
        )
    return old


def lifts_of(classes: Iterable[type[Event]]) -> dict[type[Event], type[Event]]:
    """The old classes that these lift, each with the one that lifts it; those that are among them stand for themselves.

    Raises EventError for an `upcast` that can't be called, and for two of them that lift the same class.
    """
    found: dict[type[Event], type[Event]] = {}
    read = list(dict.fromkeys(classes))
    for cls in read:
        newer, old = cls, lifted_by(cls)
        while old is not None and old not in read:
            if found.setdefault(old, newer) is not newer:
                raise EventError(f"{found[old].__name__} and {newer.__name__} both lift {old.__name__}")
            newer, old = old, lifted_by(old)
    return found


def lifting(old: type[Event], new: type[Event], validate: Callable[..., Event]) -> Callable[..., Event]:
    """`validate`, and then `new.upcast`. Raises what either raises, TypeError where upcast answers something else."""
    upcast: Any = new.upcast  # type: ignore[attr-defined]  # lifted_by has seen it

    def lift(datum: Any, **options: Any) -> Event:
        event = upcast(validate(datum, **options))
        if type(event) is not new:
            raise TypeError(f"{new.__name__}.upcast answered {event!r} for a {old.__name__}")
        return event

    return lift
