"""Recorded calls: what a handler asks of the outside world, so that a retry and a replay get the same answer."""

from collections.abc import Awaitable, Callable, Generator
from typing import (
    Any,
    Concatenate,
    Generic,
    NamedTuple,
    NoReturn,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    get_type_hints,
    overload,
)

from choreo.errors import HandlerError, because
from choreo.resilience.breaker import Breaker
from choreo.state.values import ValueCodec

T = TypeVar("T")
P = ParamSpec("P")


class Asked(NamedTuple):
    """A call as the handler asked for it. `keyed`: an effect, whose `fn` gets a stable key first; else a read."""

    name: str
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    keyed: bool
    limits: "Downstream | None"


class Recorder(Protocol):
    """Runs a call once and keeps its result: the handling at hand."""

    specs: tuple[str, ...]
    """Digests of the saga specs at work, as the journal has them; the one that new instances follow first."""

    def call(self, asked: Asked) -> Any: ...


class Call(Generic[T]):
    """What a handler may await: only this, so that the runtime can save it, order its ending and replay it."""

    def __await__(self) -> Generator[Any, Any, T]:
        answer: T = yield self
        return answer

    def parts(self) -> "list[PlainCall]":
        """The calls that must be answered before it can go on."""
        raise NotImplementedError

    def value(self) -> T:
        """The answer, once all parts are settled."""
        raise NotImplementedError

    def error(self) -> Exception | None:
        """Why there is no answer; of several the first in the order in which they were named."""
        raise NotImplementedError


class PlainCall(Call[Any]):
    """One call outside that is awaited: which one, how it is made, and how it ended."""

    def __init__(
        self, asked: Asked, use: int, make: Callable[[], Any], codec: ValueCodec, *, blocking: bool = False
    ) -> None:
        self.asked, self.use, self.make, self.codec = asked, use, make, codec
        self.blocking = blocking
        """Whether `make` gives the answer itself, in a thread of its own, instead of something to await."""
        self.settled = False
        self._value: Any = None
        self._error: Exception | None = None

    def settle(self, value: Any, error: Exception | None = None) -> None:
        """It ended, with an answer or an error."""
        self.settled, self._value, self._error = True, value, error

    def parts(self) -> "list[PlainCall]":
        return [self]

    def value(self) -> Any:
        return self._value

    def error(self) -> Exception | None:
        return self._error


class GatheredCall(Call[tuple[Any, ...]]):
    """Several calls at once."""

    def __init__(self, calls: tuple[Call[Any], ...]) -> None:
        self._calls = calls

    def parts(self) -> list[PlainCall]:
        return [part for call in self._calls for part in call.parts()]

    def value(self) -> tuple[Any, ...]:
        return tuple(call.value() for call in self._calls)

    def error(self) -> Exception | None:
        return next((error for call in self._calls if (error := call.error()) is not None), None)


def blocking(fn: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """`fn` as an asynchronous handler calls it: made in a thread, its answer awaited. For type checkers; it is `fn`."""
    return cast(Callable[P, Awaitable[T]], fn)


def result_type(name: str, fn: Callable[..., Any]) -> Any:
    """The annotated result of `fn`. Raises HandlerError where it has none: a recorded result must be readable again."""
    try:
        hints = get_type_hints(fn)
    except (NameError, TypeError) as error:
        raise because(HandlerError(f"call {name!r}: the annotations of {fn!r} can't be read: {error}"), error)
    if "return" not in hints:
        raise HandlerError(
            f"call {name!r}: {getattr(fn, '__qualname__', fn)!r} has no return annotation",
            why="the result is recorded, and read again by its type",
            hint="annotate it (a lambda can't be): def charge(key: str, ...) -> Charge",
        )
    return hints["return"]


class Calls:
    """`call` is an effect: `fn` gets a stable key first, and a retry gets the recorded result. `ask` reads: a retry
    asks again.

    Promise of `call`: executed at least once under one key, recorded exactly once.
    """

    __slots__ = ()

    def _recorder(self) -> Recorder:
        raise NotImplementedError

    def _limits(self) -> "Downstream | None":
        """Whose limits hold for these calls, where there are any."""
        return None

    @overload
    def call(
        self, name: str, fn: Callable[Concatenate[str, P], Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Call[T]: ...
    @overload
    def call(self, name: str, fn: Callable[Concatenate[str, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    def call(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `fn(key, *args, **kwargs)`; the key is the same for every attempt at this handling and every copy of
        this request.
        """
        return self._recorder().call(Asked(name, fn, args, kwargs, True, self._limits()))

    @overload
    def ask(self, name: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Call[T]: ...
    @overload
    def ask(self, name: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    def ask(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `fn(*args, **kwargs)`, a read: an attempt after a failure asks again, a replay does not."""
        return self._recorder().call(Asked(name, fn, args, kwargs, False, self._limits()))


class Downstream(Calls):
    """Somebody outside, by name: the handlers of a service share its limits, in each process for itself.

    A call that takes longer than `timeout_s` raises TimeoutError in the handler; nobody knows then whether it happened.
    `concurrency` calls are made at once and `rate_per_s` begin in a second; others wait for their turn. An open
    `breaker` raises BreakerOpen at once: the event is parked until the downstream is tried again.
    """

    def __init__(
        self,
        name: str,
        *,
        timeout_s: float = 30,
        concurrency: int = 64,
        rate_per_s: float | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.name, self.timeout_s, self.concurrency = name, timeout_s, concurrency
        self.rate_per_s, self.breaker = rate_per_s, breaker
        if timeout_s <= 0 or concurrency < 1 or (rate_per_s is not None and rate_per_s <= 0):
            raise HandlerError(
                f"downstream {name!r}: timeout_s={timeout_s:g}, concurrency={concurrency}, rate_per_s={rate_per_s} "
                "can never work",
                hint="a timeout and a rate above 0, a concurrency of 1 or more; no rate_per_s for no limit",
            )

    @property
    def limits(self) -> tuple[float, int, float | None, Breaker | None]:
        """All that is declared of it but its name."""
        return self.timeout_s, self.concurrency, self.rate_per_s, self.breaker

    def _recorder(self) -> NoReturn:
        raise HandlerError(
            f"downstream {self.name!r} is only a declaration here", hint="call it as self.NAME in a handler"
        )


class BoundDownstream(Downstream):
    """A downstream as a handler sees it at work."""

    def __init__(self, declared: Downstream, recorder: Recorder) -> None:
        timeout_s, concurrency, rate_per_s, breaker = declared.limits
        super().__init__(
            declared.name, timeout_s=timeout_s, concurrency=concurrency, rate_per_s=rate_per_s, breaker=breaker
        )
        self._calls = recorder

    def _limits(self) -> Downstream:
        return self

    def _recorder(self) -> Recorder:  # type: ignore[override]  # the declaration never returns, the bound one does
        return self._calls
