"""Service: a name, its handlers, and where what they need comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from choreo.errors import ServiceError
from choreo.events.event import Event
from choreo.service.calls import Downstream
from choreo.service.handler import Handler
from choreo.service.signature import Signature, signature_of

NAME = re.compile(r"[a-z][a-zA-Z0-9_.-]*")


class Settings(BaseModel):
    """From `[settings.SERVICE]` in choreo.toml and SERVICE_FIELD in the environment."""


class Service:
    """Handlers that run together, share stores and are scaled as one.

    `provide` names the functions that make what the handlers need; a function's own parameters are filled by name, too,
    `settings` being one of the names; a generator function closes what it yielded when the service stops.
    """

    def __init__(
        self,
        name: str,
        *,
        handlers: Sequence[type[Handler[Any]]],
        settings: type[Settings] | None = None,
        provide: Mapping[str, Callable[..., object]] | None = None,
    ) -> None:
        if not NAME.fullmatch(name):
            raise ServiceError(
                f"{name!r} is no service name", hint="letters, digits, - _ and ., the first one small: `inventory`"
            )
        self.name, self.handlers, self.settings = name, tuple(handlers), settings
        self.provide = dict(provide or {})

    @property
    def scope(self) -> str:
        """Its consumer group, and how the names of its own topics begin."""
        return f"choreo.{self.name}"

    def using(self, **dependencies: object) -> Service:
        """A copy with these dependencies: a class or function is called, anything else is used as it is."""
        given = {
            name: value if callable(value) else (lambda value=value: value) for name, value in dependencies.items()
        }
        known = {need for signature in self.signatures for need in signature.needs} | set(self.provide)
        return Service(
            self.name,
            handlers=self.handlers,
            settings=self.settings,
            provide=self.provide | {name: make for name, make in given.items() if name in known},
        )

    def tuned(self, tune: Callable[[Downstream], Downstream]) -> Service:
        """A copy whose downstreams are what `tune` makes of those that its handlers declare."""
        made = copy(self)
        made.__dict__["signatures"] = tuple(
            replace(signature, downstreams={name: tune(one) for name, one in signature.downstreams.items()})
            for signature in self.signatures
        )
        return made

    @cached_property
    def signatures(self) -> tuple[Signature, ...]:
        """What each handler says of itself, checked together. Raises HandlerError or ServiceError."""
        if not self.handlers:
            raise ServiceError(f"service {self.name} has no handlers")
        found = tuple(signature_of(handler) for handler in self.handlers)
        owners: dict[str, tuple[object, str]] = {}
        self._expect_one_limit(found)
        for signature in found:
            declared = [(s.name, s) for s in signature.stores.values()] + [
                ("@" + t.name, t) for t in signature.timers.values()
            ]
            for name, declaration in declared:
                known, owner = owners.setdefault(name, (declaration, signature.name))
                if known is not declaration:
                    raise ServiceError(
                        f"service {self.name}: {owner} and {signature.name} both keep {name.lstrip('@')!r}",
                        why="a name is a place in the service's state",
                        hint=f"share one: {name.lstrip('@')} = {owner}.{name.lstrip('@')}, or give one another name",
                    )
        return found

    def _expect_one_limit(self, found: Sequence[Signature]) -> None:
        known: dict[str, tuple[Downstream, str]] = {}
        for signature in found:
            for one in signature.downstreams.values():
                first, owner = known.setdefault(one.name, (one, signature.name))
                if first.limits != one.limits:
                    raise ServiceError(
                        f"service {self.name}: {owner} and {signature.name} limit {one.name!r} differently",
                        why="handlers of a service that name one downstream share its limits",
                        hint="share one declaration, or give one another name",
                    )

    @property
    def handled(self) -> tuple[type[Event], ...]:
        """Every event type that a handler takes, requests to undo included."""
        return tuple(dict.fromkeys(event for signature in self.signatures for event in signature.takes))

    @property
    def emitted(self) -> tuple[type[Event], ...]:
        """Every event type that a handler may emit."""
        found = {event for signature in self.signatures for event in signature.emits}
        return tuple(sorted(found, key=lambda event: event.contract.full_name))

    def __repr__(self) -> str:
        return f"Service({self.name!r})"
