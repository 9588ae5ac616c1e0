"""Store values: a value of Store[K, V] as bytes and back, exactly. Layout: version byte 1, then JSON (UTF-8).

Models are written by field name (aliases may change), a union of models as [class name, body], sets in sorted order:
the same value is the same bytes in every process.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError, from_json, to_json

from choreo.errors import StateError, because
from choreo.events.erasure import erased_in, reads_erased
from choreo.events.fields import ERASED
from choreo.state.value_shape import former_names, reading_shape, renamed
from choreo.state.value_types import forgets_extra, is_named_union, members_of, stored_adapter, type_name

VALUE_VERSION: Final = b"\x01"
_ERASED = to_json(ERASED)

Dump = Callable[[Any], bytes]
Load = Callable[[bytes], Any]


class ValueCodec:
    """Values of one type. `load(dump(value)) == value`, of the same class.

    `dump` raises TypeError for a value of another type, and for one that JSON would not give back. `load` raises
    StateError for bytes of another format or of a value that the type no longer takes.
    """

    def __init__(self, name: str, dump: Dump, load: Load) -> None:
        self.name = name
        self.dump = dump
        self._load = load

    def load(self, data: bytes) -> Any:
        if data[:1] != VALUE_VERSION:
            raise StateError(
                f"a stored {self.name} has the unknown format {data[:1].hex() or 'of no bytes at all'}",
                hint="it was written by a newer release: run that one, or wipe the state directory to restore it",
            )
        try:
            return self._load(data[1:])
        except ValueError as error:  # pydantic's ValidationError is one
            raise because(
                StateError(
                    f"a stored value can't be read as {self.name}",
                    why=str(error),
                    hint="give a new field a default, or rebuild it from the log: choreo replay rebuild SERVICE",
                ),
                error,
            )


def value_codec(annotation: Any) -> ValueCodec:
    """The codec for the values of `Store[..., annotation]`: whatever pydantic can write as JSON and read back.

    A class that knows a better way says so by a class method `__value_codec__`. Raises DeclarationError for a type that
    pydantic does not know.
    """
    own = getattr(annotation, "__value_codec__", None)
    if own is not None:
        codec: ValueCodec = own()
        return codec
    fast = _FAST.get(annotation) if isinstance(annotation, type) else None
    if fast is not None:
        return ValueCodec(annotation.__name__, *fast)
    return _named_union(annotation) if is_named_union(annotation) else _adapted(annotation)


def remembering_codec(model: type[BaseModel], last: int) -> ValueCodec:
    """The codec of a frozen model of which nothing is ever changed within and all content is as JSON has it, for values
    that are read soon after they were written: the same bytes are the same object, among at least the `last` different
    ones that were written or read. Fields at their defaults are not written, so a default stays what it is for ever.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(model)
    write, read = adapter.serializer.to_json, adapter.validator.validate_json
    known = _Remembered(last)

    def dump(value: Any) -> bytes:
        if type(value) is not model:
            raise _exactly(model, value)
        body = write(value, by_alias=False, exclude_defaults=True, warnings="error")
        known.put(body, value)
        return VALUE_VERSION + body

    def load(body: bytes) -> Any:
        found = known.get(body)
        if found is None:
            found = read(body, by_alias=False, by_name=True)
            known.put(body, found)
        return found

    return ValueCodec(model.__name__, dump, load)


class _Remembered:
    """Two generations of objects by their bytes: when the young one is full it becomes the old one. Threads share it:
    each step is one that the interpreter does not divide.
    """

    def __init__(self, last: int) -> None:
        self._last = last
        self._young: dict[bytes, Any] = {}
        self._old: dict[bytes, Any] = {}

    def get(self, body: bytes) -> Any:
        found = self._young.get(body)
        return self._old.get(body) if found is None else found

    def put(self, body: bytes, value: Any) -> None:
        if len(self._young) >= self._last:
            self._old, self._young = self._young, {}
        self._young[body] = value


def _adapted(annotation: Any) -> ValueCodec:
    """By pydantic's own serializer and validator, called directly."""
    name, adapter = type_name(annotation), stored_adapter(annotation)
    write, schema = adapter.serializer.to_json, adapter.core_schema
    # A subclass would come back without its own fields, and None passes for any model.
    exact = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None

    def dump_plain(value: Any) -> bytes:
        if exact is not None and type(value) is not exact:
            raise _exactly(exact, value)
        try:
            return VALUE_VERSION + write(value, by_alias=False, exclude_computed_fields=True, warnings="error")
        except PydanticSerializationError as error:
            if erased_in(value):  # it stands there whatever the type of its field
                return VALUE_VERSION + write(value, by_alias=False, exclude_computed_fields=True, warnings="none")
            raise because(TypeError(f"{value!r} can't be stored as {name}: {error}"), error)

    load = _loader(annotation, adapter)
    dump: Dump = dump_plain
    kinds = set(_schema_types(schema))
    if kinds & {"set", "frozenset"}:
        to_python = adapter.serializer.to_python
        dump = _with_sorted_sets(dump, lambda value: to_python(value, by_alias=False, exclude_computed_fields=True))
    if kinds & _AMBIGUOUS:
        dump = _checked(dump, load, name)
    return ValueCodec(name, dump, load)


def _loader(annotation: Any, adapter: TypeAdapter[Any]) -> Load:
    """Reads what this type wrote at any time that is compatible: a field that it no longer has is passed over, one that
    had another name (`Formerly`) is found by that.
    """
    read = adapter.validator.validate_json
    extra: Any = "ignore" if forgets_extra(adapter.core_schema) else None
    erased = reads_erased(adapter.core_schema)

    def load(body: bytes) -> Any:
        try:
            return read(body, by_alias=False, by_name=True, extra=extra)
        except ValueError:
            if _ERASED not in body:
                raise
        return erased(body)

    former = [to_json(name) for name in former_names(adapter)]
    if not former:
        return load
    shape = reading_shape(annotation)

    def load_renamed(body: bytes) -> Any:
        if any(name in body for name in former):
            body = to_json(renamed(from_json(body), shape))
        return load(body)

    return load_renamed


_AMBIGUOUS = {"union", "any", "float"}
"""Where JSON alone may not tell what it was: which type, or (in a model of another config) an infinite number."""


def _checked(dump: Dump, load: Load, name: str) -> Dump:
    """Reads each value back before it is trusted to the store."""

    def dump_checked(value: Any) -> bytes:
        data = dump(value)
        try:
            same = load(data[1:]) == value
        except ValueError:
            same = False
        if not same:
            raise TypeError(
                f"{value!r} can't be stored as {name}: it would not come back as it is. "
                "Name a union's member by Field(discriminator=...), or give it one type; a float is a finite number"
            )
        return data

    return dump_checked


def _with_sorted_sets(dump: Dump, to_python: Callable[[Any], Any]) -> Dump:
    """Sets in the order of their members' JSON: their own order differs from process to process."""

    def dump_sorted(value: Any) -> bytes:
        return VALUE_VERSION + to_json(_sorted_sets(to_python(value), from_json(dump(value)[1:])))

    return dump_sorted


def _sorted_sets(value: Any, body: Any) -> Any:
    """`body`, the JSON of `value`, with every list that is a set in `value` sorted."""
    if isinstance(value, (set, frozenset)):
        return sorted((_sorted_sets(*pair) for pair in zip(value, body, strict=True)), key=to_json)
    if isinstance(value, dict):
        return {
            key: _sorted_sets(member, inner) for member, (key, inner) in zip(value.values(), body.items(), strict=True)
        }
    if isinstance(value, (list, tuple)):
        return [_sorted_sets(*pair) for pair in zip(value, body, strict=True)]
    return body


def _named_union(annotation: Any) -> ValueCodec:
    """[class name, body]: two models may look alike as JSON."""
    members = members_of(annotation)
    codecs = {name: value_codec(member) for name, member in members.items()}
    by_class = {member: (to_json(name), codecs[name]) for name, member in members.items()}
    shown = type_name(annotation)

    def dump(value: Any) -> bytes:
        found = by_class.get(type(value))
        if found is None:
            raise TypeError(f"{value!r} can't be stored as {shown}: it is of none of its classes")
        name, codec = found
        return b"".join((VALUE_VERSION, b"[", name, b",", codec.dump(value)[1:], b"]"))

    def load(body: bytes) -> Any:
        if body[:1] != b"[" or len(body) < 2:
            raise ValueError(f"{body[:40]!r} is no pair of a class and a value")
        name, _, rest = body[1:-1].partition(b",")
        codec = codecs.get(from_json(name))
        if codec is None:
            raise ValueError(f"it is a {from_json(name)}")
        return codec.load(VALUE_VERSION + rest)

    return ValueCodec(shown, dump, load)


def _schema_types(schema: Any) -> Iterator[str]:
    """The kind of every schema within a pydantic core schema."""
    if isinstance(schema, dict):
        kind = schema.get("type")
        if isinstance(kind, str):
            yield kind
        for inner in schema.values():
            yield from _schema_types(inner)
    elif isinstance(schema, (list, tuple)):
        for inner in schema:
            yield from _schema_types(inner)


def _exactly(kind: type, value: object) -> TypeError:
    return TypeError(f"{value!r} can't be stored as {kind.__name__}: it is of type {type(value).__name__}")


def _dump_int(value: object) -> bytes:
    if type(value) is not int:
        raise _exactly(int, value)
    return b"\x01%d" % value


def _dump_str(value: object) -> bytes:
    if type(value) is not str and value is not ERASED:
        raise _exactly(str, value)
    return VALUE_VERSION + to_json(value)


def _dump_bool(value: object) -> bytes:
    if type(value) is not bool:
        raise _exactly(bool, value)
    return b"\x01true" if value else b"\x01false"


def _load_str(body: bytes) -> str:
    value = from_json(body)
    if not isinstance(value, str):
        raise ValueError(f"{body[:40]!r} is no str")
    return value


def _load_bool(body: bytes) -> bool:
    if body not in (b"true", b"false"):
        raise ValueError(f"{body[:40]!r} is no bool")
    return body == b"true"


_FAST: dict[type, tuple[Dump, Load]] = {
    int: (_dump_int, int),
    str: (_dump_str, _load_str),
    bool: (_dump_bool, _load_bool),
}
