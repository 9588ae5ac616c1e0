"""Store: a durable mapping, declared in a handler and bound to one task while it handles."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, ClassVar, Final, Generic, NoReturn, Protocol, TypeVar, get_args, overload

from choreo.errors import HandlerError, StoreKeyError, because
from choreo.state.keys import KeyCodec, key_codec
from choreo.state.values import ValueCodec, value_codec

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

MISSING: Final[Any] = object()
"""What `Lane.read` answers for a key that has no entry."""


class Lane(Protocol):
    """Where a bound store reads and writes: the effects of the handling at hand, over the entries of its task."""

    key: bytes

    def read(self, key: bytes, codec: ValueCodec) -> Any: ...
    def write(self, key: bytes, codec: ValueCodec, value: object) -> None: ...
    def delete(self, key: bytes) -> None: ...
    def scan(self, prefix: bytes, codec: ValueCodec) -> Iterator[tuple[bytes, Any]]: ...
    def where(self) -> str: ...


class Store(Generic[K, V]):
    """A mapping that lasts, rebuilt from the log: `stock = Store[str, int](default=0)`.

    A key begins with the key of the event that is handled, else StoreKeyError. `store[key]` gives `default` (where
    one is
    declared) for a key that has no entry; `get` and `pop` do as a dict's do. Values are taken as they are when the
    handling ends: replace them, do not change them in place.
    """

    name: str
    side: ClassVar[str] = "begin"
    """Where in its keys the key of the event stands: they begin or end with it."""

    def __init__(self, *, default: V | None = None, name: str = "", ttl: timedelta | None = None) -> None:
        self.name = name
        self.default = default
        self.ttl = ttl
        self._codecs: tuple[KeyCodec, ValueCodec] | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def codecs(self) -> tuple[KeyCodec, ValueCodec]:
        """How keys and values of this store become bytes. Raises HandlerError where the types are missing."""
        if self._codecs is not None:
            return self._codecs
        types = self.types()
        try:
            self._codecs = key_codec(self.name, types[0]), value_codec(types[1])
            return self._codecs
        except TypeError as error:
            raise because(HandlerError(f"store {self.name!r}: {error}"), error)

    def types(self) -> tuple[Any, Any]:
        """Of keys and values. Raises HandlerError where they are missing."""
        types = get_args(getattr(self, "__orig_class__", None))
        if len(types) != 2:
            raise HandlerError(f"store {self.name!r} has no types", hint=f"{self.name} = Store[KeyType, ValueType]()")
        return types[0], types[1]

    def home_of(self, keys: KeyCodec) -> Callable[[Any], bytes]:
        """Gives the part of a key that says in which task it lives: the first one."""
        return keys.first_part_text

    def _unbound(self) -> NoReturn:
        raise HandlerError(
            f"store {self.name!r} is only a declaration here",
            hint="use it as self.NAME inside handle, compensate, give_up or a timer's method",
        )

    def __getitem__(self, key: K) -> V:
        self._unbound()

    def __setitem__(self, key: K, value: V) -> None:
        self._unbound()

    def __delitem__(self, key: K) -> None:
        self._unbound()

    def __contains__(self, key: K) -> bool:
        self._unbound()

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: object = None) -> object:
        """The value of `key`, else `default`."""
        self._unbound()

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: D) -> V | D: ...
    def pop(self, key: K, default: object = MISSING) -> object:
        """The value of `key`, which is removed; else `default`, where given, or KeyError."""
        self._unbound()

    def items(self, prefix: object = None) -> Iterator[tuple[K, V]]:
        """Entries whose key begins with `prefix` (a part or a tuple of parts; the key of the event where None), in
        key order.
        """
        self._unbound()


class Index(Store[K, bool]):
    """What is found by something else than the key of its event: `Index[tuple[str, str]]()` of (value, event's key).

    A key ends with the key of the event that is handled, else StoreKeyError; True marks it. Entries lie in the task of
    that event, so whoever looks something up asks every task.
    """

    side = "end"

    def codecs(self) -> tuple[KeyCodec, ValueCodec]:
        keys, values = self.types()
        return key_codec(self.name, keys), value_codec(values)

    def types(self) -> tuple[Any, Any]:
        types = get_args(getattr(self, "__orig_class__", None))
        if len(types) != 1:
            raise HandlerError(f"index {self.name!r} has no type", hint=f"{self.name} = Index[tuple[str, str]]()")
        return types[0], bool

    def home_of(self, keys: KeyCodec) -> Callable[[Any], bytes]:
        """The last one."""
        return keys.last_part_text


class BoundStore(Store[K, V]):
    """A store as a handler sees it at work."""

    def __init__(self, declared: Store[K, V], lane: Lane) -> None:
        self.name, self.default, self.ttl = declared.name, declared.default, declared.ttl
        self._lane = lane
        self._keys, self._values = declared.codecs()
        self._home, self._side = declared.home_of(self._keys), declared.side
        self._asked: tuple[object, object, bytes] = (MISSING, MISSING, b"")
        """The key that was asked for last, the key of the event then, and the bytes that it came to."""

    def _raw(self, key: K) -> bytes:
        """The key as bytes, once it is known to live with the key of the event."""
        lane = self._lane
        asked = self._asked
        if asked[0] is key and asked[1] is lane.key:
            return asked[2]
        raw = self._keys.encode(key)
        if self._home(key) != lane.key:
            shown = key if isinstance(key, tuple) else (key,)
            raise StoreKeyError(
                f"{self.name}: {shown!r} does not live in this partition",
                at=lane.where(),
                why=f"its keys {self._side} with the key of the event ({lane.key.decode(errors='replace')!r}); "
                "another partition would see another value",
                hint=f"{self._side} the key with the key of the event, or set keyed_by on the handler",
            )
        self._asked = (key, lane.key, raw)
        return raw

    def __getitem__(self, key: K) -> V:
        value = self._lane.read(self._raw(key), self._values)
        if value is MISSING:
            if self.default is None:
                raise KeyError(key)
            value = self.default
        found: V = value
        return found

    def __setitem__(self, key: K, value: V) -> None:
        self._lane.write(self._raw(key), self._values, value)

    def __delitem__(self, key: K) -> None:
        raw = self._raw(key)
        if self._lane.read(raw, self._values) is MISSING:
            raise KeyError(key)
        self._lane.delete(raw)

    def __contains__(self, key: K) -> bool:
        return self._lane.read(self._raw(key), self._values) is not MISSING

    def get(self, key: K, default: object = None) -> Any:
        value = self._lane.read(self._raw(key), self._values)
        return default if value is MISSING else value

    def pop(self, key: K, default: object = MISSING) -> Any:
        raw = self._raw(key)
        value = self._lane.read(raw, self._values)
        if value is MISSING:
            if default is MISSING:
                raise KeyError(key)
            return default
        self._lane.delete(raw)
        return value

    def items(self, prefix: object = None) -> Iterator[tuple[K, V]]:
        start = self._keys.prefix_of_text(self._lane.key) if prefix is None else self._keys.prefix(prefix)
        for raw, value in self._lane.scan(start, self._values):
            key = self._keys.decode(raw)
            if self._home(key) == self._lane.key:
                yield key, value
