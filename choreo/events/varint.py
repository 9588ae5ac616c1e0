"""Avro's numbers in bytes: zig-zag, seven bits a byte, least first (Avro specification, "Binary Encoding").

Each reader answers what it read and the index behind it. All raise ValueError for a number that is cut short, has more
than 64 bits (`int`: 32), or is negative where it counts or measures.
"""

import re

ZIGZAG = tuple(((z & 127) >> 1) ^ -(z & 1) for z in range(256))
"""The numbers of one byte; of a byte that goes on its lowest bits, below zero already where all of it is."""
TEXT_SPAN = tuple(None if z & 1 else 1 + (z >> 1) for z in range(128))
"""How many bytes a text takes whose length is this one byte; None for a length below zero."""
LAST = tuple(bytes((z,)) for z in range(128))
"""The last byte of a number."""
MORE = tuple(bytes((z | 128,)) for z in range(128))
"""A byte of a number that goes on."""
SKIP_LONG = re.compile(rb"[\x80-\xff]{0,8}[\0-\x7f]|[\x80-\xff]{9}[\0\1]").match
SKIP_INT = re.compile(rb"[\x80-\xff]{0,3}[\0-\x7f]|[\x80-\xff]{4}[\0-\x0f]").match
_GOES_ON = (0, *(int.from_bytes(b"\x80" * (size - 1), "little") for size in range(1, 9)))
_MOST_64, _MOST_32 = 2**64 - 1, 2**32 - 1


def read_long(body: bytes, start: int) -> tuple[int, int]:
    """A number of 64 bits."""
    bits = shift = 0
    at = start
    for byte in body[start : start + 10]:
        at += 1
        if byte < 128:
            bits |= byte << shift
            if bits > _MOST_64:
                break
            return (bits >> 1) ^ -(bits & 1), at
        bits |= (byte & 127) << shift
        shift += 7
    raise ValueError(f"no number of 64 bits at byte {start}")


def read_int(body: bytes, start: int) -> tuple[int, int]:
    """A number of 32 bits."""
    bits = shift = 0
    at = start
    for byte in body[start : start + 5]:
        at += 1
        if byte < 128:
            bits |= byte << shift
            if bits > _MOST_32:
                break
            return (bits >> 1) ^ -(bits & 1), at
        bits |= (byte & 127) << shift
        shift += 7
    raise ValueError(f"no number of 32 bits at byte {start}")


def read_span(body: bytes, start: int) -> tuple[int, int]:
    """Where bytes or a text that follow their length begin and end; the end may lie behind that of the body."""
    length, at = read_long(body, start)
    if length < 0:
        raise ValueError(f"a length of {length} at byte {start}")
    return at, at + length


def read_block(body: bytes, start: int) -> tuple[int, int]:
    """How many items a block has. Its size, where it says one, is passed over: items are read or skipped one by one,
    so that a body means the same to whoever reads it.
    """
    count, at = read_long(body, start)
    if count >= 0:
        return count, at
    size, at = read_long(body, at)
    if size < 0 or count == -(2**63):
        raise ValueError(f"a block of {-count} items in {size} bytes at byte {start}")
    return -count, at


def long_bits(bits: int) -> bytes:
    """The bytes of a number after zig-zag. Raises OverflowError for more than 64 bits."""
    if bits > _MOST_64:
        raise OverflowError("more than 64 bits")
    size = (bits.bit_length() + 6) // 7 or 1
    if size > 8:
        return bytes([*(bits >> 7 * place & 127 | 128 for place in range(size - 1)), bits >> 7 * (size - 1)])
    # Groups of 28, 14, then 7 bits are moved apart: three steps for eight bytes, which is what a moment takes.
    bits = bits & 0xFFFFFFF | (bits & 0xFFFFFFF0000000) << 4
    bits = bits & 0x3FFF00003FFF | (bits & 0xFFFC0000FFFC000) << 2
    bits = bits & 0x7F007F007F007F | (bits & 0x3F803F803F803F80) << 1
    return (bits | _GOES_ON[size]).to_bytes(size, "little")


def int_bits(bits: int) -> bytes:
    """The same of a number of 32 bits. Raises OverflowError for more."""
    if bits > _MOST_32:
        raise OverflowError("more than 32 bits")
    return long_bits(bits)
