"""Recorded calls of one handling: made at most once per attempt under a stable key, or read back from the journal."""

import importlib
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from choreo.errors import DivergenceError, HandlerError
from choreo.service.calls import result_type
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


class CallBook:
    """The calls of one handling, over all its attempts. With `replay`, results are taken from it and nothing is
    called.
    """

    def __init__(self, identity: bytes, replay: list[Recorded] | None = None) -> None:
        self._identity = identity.hex()
        self._replay = replay
        self._uses: dict[str, int] = {}
        self.kept: dict[str, bytes] = {}
        """Results of effects that later attempts get again, by `name:use`."""
        self.made: list[Recorded] = []
        """What the journal has yet to be told."""

    def begin_attempt(self) -> None:
        self._uses.clear()

    def call(
        self, name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, keyed: bool
    ) -> Any:
        use = self._uses[name] = self._uses.get(name, 0) + 1
        codec = _codec_of(getattr(fn, "__func__", fn), name)
        kept = self.kept.get(f"{name}:{use}") if keyed else None
        if kept is not None:
            return codec.load(kept)
        if self._replay is not None:
            return self._read_back(name, use, codec, keyed=keyed)
        try:
            value = fn(f"{self._identity}:{name}:{use}", *args, **kwargs) if keyed else fn(*args, **kwargs)
        except Exception as error:
            self.made.append(Recorded(name, use, True, _error_bytes(error)))
            raise
        result = codec.dump(value)
        if len(result) > MAX_RESULT_BYTES:
            raise HandlerError(
                f"call {name!r} returned {len(result):,} bytes, more than the {MAX_RESULT_BYTES:,} that are recorded",
                hint="store it elsewhere and return where it is",
            )
        self.made.append(Recorded(name, use, False, result))
        if keyed:
            self.kept[f"{name}:{use}"] = result
        return value

    def _read_back(self, name: str, use: int, codec: Any, *, keyed: bool) -> Any:
        if not self._replay:
            raise DivergenceError(
                f"call {name!r} (use {use}) was not made by the live run", hint="the handler has changed"
            )
        recorded = self._replay.pop(0)
        if (recorded.name, recorded.use) != (name, use):
            raise DivergenceError(
                f"call {name!r} (use {use}), where the live run called {recorded.name!r} (use {recorded.use})",
                hint="the handler has changed",
            )
        if recorded.failed:
            raise _error_from(recorded.result)
        if keyed:
            self.kept[f"{name}:{use}"] = recorded.result
        return codec.load(recorded.result)


@lru_cache(maxsize=1024)
def _codec_of(fn: Callable[..., Any], name: str) -> ValueCodec:
    """How the results of `fn` are recorded."""
    return value_codec(result_type(name, fn))


def _error_bytes(error: Exception) -> bytes:
    kind = type(error)
    arguments = [value if isinstance(value, str | int | float | bool | None) else str(value) for value in error.args]
    return json.dumps([kind.__module__, kind.__qualname__, arguments]).encode()


def _error_from(data: bytes) -> Exception:
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
