"""Store keys: a key of Store[K, V] as bytes that sort like the keys, and back. Their values are in `values`.

Layout: version byte 1, name of the store (UTF-8), 0, then each part of the key (`parts`). Names beginning with `~` are
the runtime's. Keys beginning with byte 0 are local to one store: they are never in its changelog.
"""

from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, get_args, get_origin

from choreo.errors import DeclarationError, StateError, because
from choreo.state.parts import SCALARS, TAGS, Part, enum_part

KEY_VERSION = b"\x01"
LOCAL = b"\x00"
"""First byte of entries that are this store's alone: its place in the changelog, indexes."""


def store_prefix(store: str) -> bytes:
    """What every key of this store begins with, and no key of another."""
    return KEY_VERSION + store.encode() + b"\x00"


def is_local(key: bytes) -> bool:
    """True for an entry that is never in the changelog."""
    return key[:1] == LOCAL


class KeyCodec:
    """Keys of one store. `encode(key)` and `decode(data)` include the store's prefix.

    `encode` raises TypeError for a key of another type and ValueError for one that has no place in the order (an int
    beyond 64 bits, NaN), naming the store. `first_part_text(key)` is the first part as the key of a log's record has
    it: str as UTF-8, int in decimal, date and datetime (in UTC) as ISO 8601, UUID and Decimal as str gives them, bool
    as true or false, an Enum as its value. `last_part_text` is the same of the last part.
    """

    def __init__(self, store: str, parts: tuple[Part, ...], *, is_tuple: bool) -> None:
        self.store = store
        self.start = store_prefix(store)
        """What all its keys begin with."""
        self._parts = parts
        self._is_tuple = is_tuple
        self._expected = f"({', '.join(part.name for part in parts)})" if is_tuple else parts[0].name
        self.encode: Callable[[Any], bytes] = self._encoder()
        first = parts[0].text
        self.first_part_text: Callable[[Any], bytes] = (lambda key: first(key[0])) if is_tuple else first
        last = parts[-1].text
        self.form: tuple[str, ...] = tuple(TAGS[part.tag].name for part in parts)
        """The types of its parts; of an Enum that of its values."""
        self.last_part_text: Callable[[Any], bytes] = (lambda key: last(key[-1])) if is_tuple else last

    def decode(self, data: bytes) -> Any:
        """The key of these bytes. Raises StateError where they are no key of this store, or one of other types."""
        if not data.startswith(self.start):
            raise StateError(f"not a key of store {self.store!r}", why=f"it begins with {data[:40]!r}")
        at = len(self.start)
        values = []
        try:
            for part in self._parts:
                if data[at : at + 1] != part.tag:
                    raise ValueError(f"{data[at:]!r} where {part.name} was expected")
                value, at = part.decode(data, at)
                values.append(value)
            if at != len(data):
                raise ValueError(f"{data[at:]!r} after the last part")
        except (ValueError, IndexError, ArithmeticError) as error:
            raise because(
                StateError(
                    f"a key of store {self.store!r} is not {self._expected}",
                    why=str(error),
                    hint="the type of its keys has changed: give the store another name, or rebuild it from the log: "
                    "choreo replay rebuild SERVICE",
                ),
                error,
            )
        return tuple(values) if self._is_tuple else values[0]

    def prefix(self, partial: object) -> bytes:
        """What all keys begin with whose leading parts are `partial`: one part, or a tuple of parts (() for all)."""
        values = partial if isinstance(partial, tuple) else (partial,)
        if len(values) > len(self._parts):
            raise self._mismatch(partial, f"it has {len(values)} parts")
        try:
            return self.start + b"".join(part.encode(value) for part, value in zip(self._parts, values, strict=False))
        except (TypeError, ValueError) as error:
            raise because(self._mismatch(partial, str(error), type(error)), None)

    def prefix_of_text(self, text: bytes) -> bytes:
        """What all keys begin with whose `first_part_text` is `text`; a prefix of no key where there can be none."""
        first = self._parts[0]
        try:
            return self.start + first.encode(first.parse(text))
        except (TypeError, ValueError, ArithmeticError):
            return self.start + b"\x00"

    def _encoder(self) -> Callable[[Any], bytes]:
        """Bound once: a string key costs about one microsecond."""
        start, encoders = self.start, tuple(part.encode for part in self._parts)
        if not self._is_tuple:
            one = encoders[0]

            def encode_one(key: Any) -> bytes:
                try:
                    return start + one(key)
                except (TypeError, ValueError) as error:
                    raise because(self._mismatch(key, str(error), type(error)), None)

            return encode_one

        size = len(encoders)

        def encode_all(key: Any) -> bytes:
            if not isinstance(key, tuple) or len(key) != size:
                raise self._mismatch(key, f"got {key!r}")
            try:
                return start + b"".join([encode(value) for encode, value in zip(encoders, key, strict=True)])
            except (TypeError, ValueError) as error:
                raise because(self._mismatch(key, str(error), type(error)), None)

        return encode_all

    def _mismatch(self, key: object, why: str, kind: type[Exception] = TypeError) -> Exception:
        """TypeError or ValueError; an UnicodeEncodeError (a lone surrogate) can't be made from one text."""
        kind = TypeError if issubclass(kind, TypeError) else ValueError
        return kind(f"{key!r} is no key of store {self.store!r}, whose keys are {self._expected}: {why}")


def key_codec(store: str, annotation: Any) -> KeyCodec:
    """The codec for the keys of `Store[annotation, ...]`: a scalar, or a tuple of scalars.

    Scalars: str, int (64 bits), bool, bytes, date, datetime (with a time zone), UUID, Decimal, an Enum of one of them.
    Raises DeclarationError for anything else.
    """
    if not store or "\x00" in store:
        raise DeclarationError(f"{store!r} can't be the name of a store", hint="a name without the character 0")
    annotation = _plain(annotation)
    arguments = get_args(annotation) if get_origin(annotation) is tuple else None
    members = (annotation,) if arguments is None else arguments
    if not members or Ellipsis in members:
        raise _no_key(store, annotation, "a tuple has a fixed number of parts, at least one")
    return KeyCodec(store, tuple(_part(store, member) for member in members), is_tuple=arguments is not None)


def split_key(data: bytes) -> tuple[str, tuple[Any, ...]]:
    """Store and parts of a key, without its codec (an Enum as its value): for messages and listings.

    Raises ValueError where the bytes are no store key.
    """
    name, separator, _ = data.removeprefix(KEY_VERSION).partition(b"\x00")
    if data[:1] != KEY_VERSION or not separator:
        raise ValueError(f"no store key: {data[:40]!r}")
    at, values = len(name) + 2, []
    while at < len(data):
        part = TAGS.get(data[at : at + 1])
        if part is None:
            raise ValueError(f"no store key: {data[:40]!r}")
        value, at = part.decode(data, at)
        values.append(value)
    return name.decode(), tuple(values)


def _plain(annotation: Any) -> Any:
    """Without Annotated, NewType and `type` aliases."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__value__"):
            annotation = annotation.__value__
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        else:
            return annotation


def _part(store: str, annotation: Any) -> Part:
    annotation = _plain(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        try:
            return enum_part(annotation)
        except TypeError as error:
            raise because(_no_key(store, annotation, str(error)), error)
    part = SCALARS.get(annotation) if isinstance(annotation, type) else None
    if part is None:
        raise _no_key(store, annotation, "its order as bytes is not known")
    return part


def _no_key(store: str, annotation: Any, why: str) -> DeclarationError:
    shown = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return DeclarationError(
        f"store {store!r} can't be keyed by {shown}",
        why=why,
        hint="str, int, bool, bytes, date, datetime, UUID, Decimal, an Enum of one of them, or a tuple of these",
    )
