"""Recorded calls of one handling: made at most once per attempt under a stable key, or read back from the journal."""

import importlib
import inspect
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from choreo.errors import DivergenceError, HandlerError
from choreo.record import of_fields
from choreo.service.calls import Asked, PlainCall, result_type
from choreo.state.values import ValueCodec, value_codec

MAX_RESULT_BYTES = 64 * 1024
"""Largest recorded result."""


class Recorded(NamedTuple):
    """One call as the journal keeps it. `result` is the value's bytes, or for an error its type and arguments as
    JSON.
    """

    name: str
    use: int
    failed: bool
    result: bytes


Replay = Callable[[], list[Recorded] | None]
"""Answers with the results that the step at hand is to read back; None in a live run, which makes its calls."""


AtOnce = Callable[[Asked, Callable[[], Any]], Any]
"""Makes a plain call, within the limits of its downstream, and answers with its result or raises."""


def unlimited(asked: Asked, make: Callable[[], Any]) -> Any:
    """Make it here and now."""
    return make()


class CallBook:
    """The calls of one handling, over all its attempts."""

    def __init__(self, identity: bytes, replay: Replay) -> None:
        self._identity = identity.hex()
        self._replay = replay
        self._uses: dict[str, int] = {}
        self.kept: dict[str, bytes] = {}
        """Results of effects that later attempts get again, by `name:use`."""
        self.at_once: AtOnce = unlimited
        self.asynchronous = False
        """Whether the method at work awaits its calls, also those of plain functions."""
        self._made: list[Recorded] = []
        self._awaitable: list[PlainCall] = []

    def begin_attempt(self) -> None:
        """Count the uses of each name anew."""
        self._uses.clear()
        self._awaitable.clear()

    def expect_awaited(self) -> None:
        """An asynchronous method has returned. Raises HandlerError where it left a call unmade."""
        for call in self._awaitable:
            if not call.settled:
                raise HandlerError(
                    f"call {call.asked.name!r} was not awaited", why="it was never made", hint="await it, or gather it"
                )

    def take_made(self) -> list[Recorded]:
        """What the journal has yet to be told."""
        made, self._made = self._made, []
        return made

    def call(self, asked: Asked) -> Any:
        """Make a call, or get its result again. An `async def`, and in an asynchronous method any other function, is
        not made here: a Call to await comes back.
        """
        use = self._uses[asked.name] = self._uses.get(asked.name, 0) + 1
        codec, awaited = form_of(getattr(asked.fn, "__func__", asked.fn), asked.name)
        kept = self.kept.get(f"{asked.name}:{use}") if asked.keyed and self.kept else None
        if self.asynchronous or awaited:
            waiting = PlainCall(asked, use, self._make(asked, use), codec, blocking=not awaited)
            self._awaitable.append(waiting)
            if kept is not None:
                waiting.settle(codec.load(kept))
            return waiting
        if kept is not None:
            return codec.load(kept)
        replay = self._replay()
        recorded = self._read_back(replay, asked.name, use) if replay is not None else self._record(asked, use, codec)
        return self._result(recorded, codec, keyed=asked.keyed)

    def settle(self, call: PlainCall, recorded: Recorded) -> None:
        """A call that was awaited has ended."""
        if recorded.failed:
            call.settle(None, error_from(recorded.result))
        else:
            call.settle(self._result(recorded, call.codec, keyed=call.asked.keyed))

    def _make(self, asked: Asked, use: int) -> Callable[[], Any]:
        key = (f"{self._identity}:{asked.name}:{use}",) if asked.keyed else ()
        return lambda: asked.fn(*key, *asked.args, **asked.kwargs)

    def _record(self, asked: Asked, use: int, codec: ValueCodec) -> Recorded:
        """Make it now."""
        try:
            value = self.at_once(asked, self._make(asked, use))
        except Exception as error:
            self._made.append(failure(asked.name, use, error))
            raise
        recorded = result(asked.name, use, value, codec)
        self._made.append(recorded)
        return recorded

    def _result(self, recorded: Recorded, codec: ValueCodec, *, keyed: bool) -> Any:
        if recorded.failed:
            raise error_from(recorded.result)
        if keyed:
            self.kept[f"{recorded.name}:{recorded.use}"] = recorded.result
        return codec.load(recorded.result)

    def _read_back(self, replay: list[Recorded], name: str, use: int) -> Recorded:
        if not replay:
            raise DivergenceError(
                f"call {name!r} (use {use}) was not made by the live run", hint="the handler has changed"
            )
        recorded = replay.pop(0)
        if (recorded.name, recorded.use) != (name, use):
            raise DivergenceError(
                f"call {name!r} (use {use}), where the live run called {recorded.name!r} (use {recorded.use})",
                hint="the handler has changed",
            )
        return recorded


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives something to await."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


def result(name: str, use: int, value: Any, codec: ValueCodec) -> Recorded:
    """The record of a call that ended well; a failed one where its result can't be recorded."""
    try:
        data = codec.dump(value)
    except (TypeError, ValueError) as error:
        return failure(name, use, HandlerError(f"call {name!r} returned {value!r}, which is not as annotated: {error}"))
    if len(data) > MAX_RESULT_BYTES:
        why = f"call {name!r} returned {len(data):,} bytes, more than the {MAX_RESULT_BYTES:,} that are recorded"
        return failure(name, use, HandlerError(f"{why}: store it elsewhere and return where it is"))
    return of_fields(Recorded, (name, use, False, data))


def failure(name: str, use: int, error: Exception) -> Recorded:
    """The record of a call that raised."""
    return Recorded(name, use, True, _error_bytes(error))


@lru_cache(maxsize=1024)
def form_of(fn: Callable[..., Any], name: str) -> tuple[ValueCodec, bool]:
    """How the results of `fn` are recorded, and whether calling it gives something to await."""
    return value_codec(result_type(name, fn)), is_async(fn)


def _error_bytes(error: Exception) -> bytes:
    kind = type(error)
    arguments = [value if isinstance(value, str | int | float | bool | None) else str(value) for value in error.args]
    return json.dumps([kind.__module__, kind.__qualname__, arguments]).encode()


def error_from(data: bytes) -> Exception:
    """The error that was recorded, of its own type where that can be made again."""
    module, name, arguments = json.loads(data)
    try:
        kind = importlib.import_module(module)
        for part in name.split("."):
            kind = getattr(kind, part)
        error = kind(*arguments)  # type: ignore[operator]  # a class by now
    except (ImportError, AttributeError, TypeError):
        return RuntimeError(f"{module}.{name}: {arguments}")
    return error if isinstance(error, Exception) else RuntimeError(f"{module}.{name}: {arguments}")
