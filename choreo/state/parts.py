"""Key parts: one scalar as bytes that sort like the scalar, begin with a tag and tell by themselves where they end."""

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple
from uuid import UUID

from choreo.clock import to_datetime, to_micros
from choreo.errors import because

Encode = Callable[[Any], bytes]
"""One value as tag and body. Raises TypeError for a value of another type, ValueError for one out of range."""
Decode = Callable[[bytes, int], tuple[Any, int]]
"""The value whose tag lies at this index, and the index after it."""
Text = Callable[[Any], bytes]
"""The value as the key of a log's record would have it."""
Parse = Callable[[bytes], Any]
"""The value of such a text. Raises ValueError or ArithmeticError where it is none."""


class Part(NamedTuple):
    """How one scalar type lies in a key."""

    name: str
    tag: bytes
    encode: Encode
    decode: Decode
    text: Text
    parse: Parse


_SIGN = 1 << 63
"""Added to an int64, so that negative numbers sort before positive ones as unsigned bytes."""
_pack_int: Final = struct.Struct(">cQ").pack
_unpack_u64 = struct.Struct(">Q").unpack_from
_pack_date = struct.Struct(">cI").pack
_unpack_u32 = struct.Struct(">I").unpack_from


def _wrong(expected: str, value: object) -> TypeError:
    return TypeError(f"expected {expected}, got {value!r} ({type(value).__name__})")


def escaped(body: bytes) -> bytes:
    """Bytes of any length as a self-delimiting body in the same order: 00 becomes 00 FF, 00 ends it."""
    return body.replace(b"\x00", b"\x00\xff") + b"\x00" if b"\x00" in body else body + b"\x00"


def unescape(data: bytes, start: int) -> tuple[bytes, int]:
    """The body that `escaped` wrote at `start`, and the index after it."""
    end = data.index(b"\x00", start)
    while data[end + 1 : end + 2] == b"\xff":
        end = data.index(b"\x00", end + 2)
    return data[start:end].replace(b"\x00\xff", b"\x00"), end + 1


def _str(value: str) -> bytes:
    try:
        body = value.encode()
    except AttributeError:
        raise because(_wrong("str", value), None)
    return b"s" + body + b"\x00" if b"\x00" not in body else b"s" + escaped(body)


def _read_str(data: bytes, at: int) -> tuple[str, int]:
    body, end = unescape(data, at + 1)
    return body.decode(), end


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise _wrong("bytes", value)
    return b"b" + escaped(value)


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    return unescape(data, at + 1)


def _int(value: object) -> bytes:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong("int", value)
    if not -_SIGN <= value < _SIGN:
        raise ValueError(f"{value} does not fit into 64 bits")
    return _pack_int(b"i", value + _SIGN)


def _read_int(data: bytes, at: int) -> tuple[int, int]:
    return _unpack_u64(data, at + 1)[0] - _SIGN, at + 9


def _bool(value: object) -> bytes:
    if not isinstance(value, bool):
        raise _wrong("bool", value)
    return b"?\x01" if value else b"?\x00"


def _read_bool(data: bytes, at: int) -> tuple[bool, int]:
    return data[at + 1] == 1, at + 2


def _parse_bool(text: bytes) -> bool:
    if text not in (b"true", b"false"):
        raise ValueError(f"{text!r} is no bool")
    return text == b"true"


def _date(value: object) -> bytes:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _wrong("date", value)
    return _pack_date(b"d", value.toordinal())


def _read_date(data: bytes, at: int) -> tuple[date, int]:
    return date.fromordinal(_unpack_u32(data, at + 1)[0]), at + 5


def _datetime(value: object) -> bytes:
    if not isinstance(value, datetime):
        raise _wrong("datetime", value)
    if value.tzinfo is None:
        raise TypeError(f"expected a datetime with a time zone, got {value!r}")
    return _pack_int(b"t", to_micros(value) + _SIGN)


def _read_datetime(data: bytes, at: int) -> tuple[datetime, int]:
    return to_datetime(_unpack_u64(data, at + 1)[0] - _SIGN), at + 9


def _parse_datetime(text: bytes) -> datetime:
    return datetime.fromisoformat(text.decode())


def _uuid(value: object) -> bytes:
    if not isinstance(value, UUID):
        raise _wrong("UUID", value)
    return b"u" + value.bytes


def _read_uuid(data: bytes, at: int) -> tuple[UUID, int]:
    return UUID(bytes=data[at + 1 : at + 17]), at + 17


_NEGATIVE, _ZERO, _POSITIVE = b"\x01", b"\x02", b"\x03"
_COMPLEMENT = bytes(range(255, -1, -1))


def _decimal(value: object) -> bytes:
    """Sign, exponent of the first digit, digits (each + 1, ended by 0); all complemented for a negative number."""
    if not isinstance(value, Decimal):
        raise _wrong("Decimal", value)
    if not value.is_finite():
        raise ValueError(f"{value} has no place in an order")
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)  # a finite one has a number here
    digits = _stripped(digits)
    if not digits:
        return b"n" + _ZERO
    body = _pack_int(b"n", value.adjusted() + _SIGN)[1:] + bytes(digit + 1 for digit in digits) + b"\x00"
    return b"n" + (_NEGATIVE + body.translate(_COMPLEMENT) if sign else _POSITIVE + body)


def _stripped(digits: tuple[int, ...]) -> tuple[int, ...]:
    """Without zeros at the end: equal numbers are one key. (Decimal.normalize would round.)"""
    end = len(digits)
    while end and digits[end - 1] == 0:
        end -= 1
    return digits[:end]


def _read_decimal(data: bytes, at: int) -> tuple[Decimal, int]:
    sign = data[at + 1 : at + 2]
    if sign == _ZERO:
        return Decimal(0), at + 2
    end = data.index(b"\xff" if sign == _NEGATIVE else b"\x00", at + 10)
    body = data[at + 2 : end]
    if sign == _NEGATIVE:
        body = body.translate(_COMPLEMENT)
    digits = tuple(byte - 1 for byte in body[8:])
    adjusted = _unpack_u64(body, 0)[0] - _SIGN
    return Decimal((int(sign == _NEGATIVE), digits, adjusted - len(digits) + 1)), end + 1


def _text_of_bool(value: bool) -> bytes:
    return b"true" if value else b"false"


def _text_of_date(value: date) -> bytes:
    return value.isoformat().encode()


def _text_of_datetime(value: datetime) -> bytes:
    return value.astimezone(UTC).isoformat().encode()


def _text(value: object) -> bytes:
    return str(value).encode()


SCALARS: dict[type, Part] = {
    str: Part("str", b"s", _str, _read_str, str.encode, bytes.decode),
    int: Part("int", b"i", _int, _read_int, _text, int),
    bytes: Part("bytes", b"b", _bytes, _read_bytes, bytes, bytes),
    bool: Part("bool", b"?", _bool, _read_bool, _text_of_bool, _parse_bool),
    date: Part("date", b"d", _date, _read_date, _text_of_date, lambda text: date.fromisoformat(text.decode())),
    datetime: Part("datetime", b"t", _datetime, _read_datetime, _text_of_datetime, _parse_datetime),
    UUID: Part("UUID", b"u", _uuid, _read_uuid, _text, lambda text: UUID(text.decode())),
    Decimal: Part("Decimal", b"n", _decimal, _read_decimal, _text, lambda text: Decimal(text.decode())),
}
"""The scalar types that a key may have; `choreo.state.keys` adds every Enum of them."""
TAGS: dict[bytes, Part] = {part.tag: part for part in SCALARS.values()}


def enum_part(members: type[Enum]) -> Part:
    """An Enum lies in a key as its value does, whose type is one of SCALARS and the same for all members."""
    types = {type(member.value) for member in members}
    if len(types) != 1 or (value_type := types.pop()) not in SCALARS:
        raise TypeError(f"the values of {members.__name__} are not all of one scalar type")
    part = SCALARS[value_type]

    def encode(value: Enum) -> bytes:
        if not isinstance(value, members):
            raise _wrong(members.__name__, value)
        return part.encode(value.value)

    def decode(data: bytes, at: int) -> tuple[Enum, int]:
        value, end = part.decode(data, at)
        return members(value), end

    def text(value: Enum) -> bytes:
        return part.text(value.value)

    def parse(text: bytes) -> Enum:
        return members(part.parse(text))

    return Part(members.__name__, part.tag, encode, decode, text, parse)
