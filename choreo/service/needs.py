"""What handlers need, made by name and closed when the service stops."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from choreo.errors import ServiceError
from choreo.service.eventloop import to_end
from choreo.service.service import Service


class Needs:
    """Opens each provider once, in the order of need; closes them in reverse."""

    def __init__(self, service: Service, settings: object = None) -> None:
        self._service = service
        self._made: dict[str, object] = {}
        self._making: list[str] = []
        self._stack = ExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        if service.settings is not None:
            self._made["settings"] = settings if settings is not None else service.settings()

    @property
    def opened(self) -> Mapping[str, object]:
        """What was made so far, by name."""
        return self._made

    def get(self, name: str, asker: str) -> object:
        """The thing of this name, made on first use. Raises ServiceError where nobody provides it."""
        if name in self._made:
            return self._made[name]
        make = self._service.provide.get(name)
        if make is None:
            raise ServiceError(
                f"service {self._service.name}: {asker} needs {name}, which nobody provides",
                hint=f'Service("{self._service.name}", ..., provide={{"{name}": a_function_that_makes_it}})',
            )
        if name in self._making:
            raise ServiceError(f"service {self._service.name}: {' needs '.join([*self._making, name])}: a circle")
        self._making.append(name)
        self._made[name] = self._open(name, make)
        self._making.pop()
        return self._made[name]

    def _open(self, name: str, make: Callable[..., Any]) -> object:
        arguments = {
            parameter.name: self.get(parameter.name, name)
            for parameter in inspect.signature(make).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        }
        made = make(**arguments)
        if inspect.isawaitable(made):
            return self._run(_awaited(made))
        if inspect.isasyncgen(made):
            value = self._run(made.__anext__())
            self._stack.callback(lambda: self._run(_ended(made)))
            return value
        if inspect.isgenerator(made):
            value = next(made)
            self._stack.callback(lambda: next(made, None))
            return value
        return made

    def _run(self, coroutine: Any) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        loop = self._loop
        return to_end(lambda: loop.run_until_complete(coroutine))

    def close(self) -> None:
        """Close everything, in reverse."""
        try:
            self._stack.close()
        finally:
            if self._loop is not None:
                self._loop.close()
                self._loop = None


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


async def _ended(generator: Any) -> None:
    async for _ in generator:
        pass
