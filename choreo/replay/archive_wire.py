"""Records of one partition as rows of an Avro container file, by one schema whose bytes are written and read here.

fastavro takes three times as long for a row: here topic and partition are the same in all rows of a file, and most
numbers have few bytes. Anything that reads Avro reads these files; what is read here must have been written so.
"""

import json
from collections.abc import Sequence

from choreo.events.varint import LAST, MORE, long_bits, read_long, read_span
from choreo.record import Record, of_fields

MAGIC, SYNC_BYTES = b"Obj\x01", 16
_OPTIONAL = ["null", "bytes"]
_HEADER = {
    "type": "record",
    "name": "ArchivedHeader",
    "namespace": "choreo",
    "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": _OPTIONAL}],
}
SCHEMA = {
    "type": "record",
    "name": "ArchivedRecord",
    "namespace": "choreo",
    "doc": "A record of a log, every byte of it. timestamp: milliseconds since 1970, as the log has it.",
    "fields": [
        {"name": "topic", "type": "string"},
        {"name": "partition", "type": "int"},
        {"name": "offset", "type": "long"},
        {"name": "timestamp", "type": "long"},
        {"name": "key", "type": _OPTIONAL},
        {"name": "value", "type": _OPTIONAL},
        {"name": "headers", "type": {"type": "array", "items": _HEADER}},
    ],
}
_NONE, _THERE = b"\x00", b"\x02"
"""The branches of `_OPTIONAL`."""
_LENGTHS = tuple(long_bits(length << 1) for length in range(4096))
_BRANCHES = tuple(_THERE + length for length in _LENGTHS)


def file_head(sync: bytes, codec: str) -> bytes:
    """How a container file begins (Avro specification, "Object Container Files")."""
    entries = {"avro.schema": json.dumps(SCHEMA).encode(), "avro.codec": codec.encode()}
    written = b"".join(_counted(name.encode()) + _counted(value) for name, value in entries.items())
    return MAGIC + _long(len(entries)) + written + _NONE + sync


def block_head(rows: int, size: int) -> bytes:
    """What stands before the rows of a block: how many there are, in how many bytes."""
    return _long(rows) + _long(size)


def block_body(block: bytes, rows: int) -> tuple[int, int]:
    """Where the rows of a block begin and end. Raises ValueError where it has another number of them."""
    said, at = read_long(block, 0)
    if said != rows:
        raise ValueError(f"it says that it has {said} records, the index {rows}")
    return read_span(block, at)


def write_rows(topic: str, partition: int, records: Sequence[Record]) -> bytes:
    """The rows of these records of one partition."""
    prefix = _counted(topic.encode()) + _long(partition)
    # Neighbours differ in the lowest seven bits of their offset after zig-zag; mostly they have the same time.
    begins = [prefix + MORE[number << 1] for number in range(64)]
    high, stamp, rest = -1, -1, b""
    names: dict[str, bytes] = {}
    written: list[bytes] = []
    for _, _, offset, timestamp_ms, key, value, headers in records:
        if offset < 64:
            begin = prefix + LAST[offset << 1] + _long(timestamp_ms)
        else:
            if offset >> 6 != high or timestamp_ms != stamp:
                high, stamp = offset >> 6, timestamp_ms
                rest = long_bits(high) + _long(timestamp_ms)
            begin = begins[offset & 63] + rest
        if key is None or value is None:
            written += (begin, _branch(key), key or b"", _branch(value), value or b"")
        else:
            its_key, its_value = len(key), len(value)
            written += (
                begin + _BRANCHES[its_key] if its_key < 4096 else begin + _branch(key),
                key,
                _BRANCHES[its_value] if its_value < 4096 else _branch(value),
                value,
            )
        if headers:
            written.append(_long(len(headers)))
            its_headers: Sequence[tuple[str, bytes | None]] = headers  # Kafka's client gives None for no value
            for name, mark in its_headers:
                known = names.get(name)
                if known is None:
                    known = names[name] = _counted(name.encode())
                written += (known, _branch(mark), mark or b"")
        written.append(_NONE)
    return b"".join(written)


def _branch(part: bytes | None) -> bytes:
    """What stands before the bytes of an `_OPTIONAL`."""
    if part is None:
        return _NONE
    size = len(part)
    return _BRANCHES[size] if size < 4096 else _THERE + long_bits(size << 1)


def read_rows(topic: str, partition: int, rows: bytes, count: int) -> list[Record]:
    """The records of a block. Raises ValueError, IndexError or UnicodeDecodeError for one that is damaged.

    Neighbours differ in the lowest bytes of their offset and time: the others are compared, not decoded. A length has
    one or two bytes, nearly always. What is otherwise goes the long way, by `read_long` and `_optional`.
    """
    prefix = _counted(topic.encode()) + _long(partition)
    if count and not rows.startswith(prefix):
        raise ValueError(f"its rows are none of {topic}[{partition}]")
    width, end = len(prefix), len(rows)
    found: list[Record] = []
    add = found.append
    names: dict[bytes, str] = {}
    base, higher, higher_width = 0, b"?", 1  # "?": no bytes at all, to be alike to none
    age, older, older_width = 0, b"?", 2
    at = 0
    for _ in range(count):
        at += width
        low, after = rows[at], at + higher_width
        if low > 127 and rows[at + 1 : after] == higher:
            offset = base | (low & 127) >> 1
        else:
            offset, after = read_long(rows, at)
            base, higher, higher_width = offset >> 6 << 6, rows[at + 1 : after] or b"?", after - at
        at = after + older_width
        low, more = rows[after], rows[after + 1]
        if low > 127 and more > 127 and not low & 1 and rows[after + 2 : at] == older:
            stamp = age | (low & 127 | (more & 127) << 7) >> 1
        else:
            stamp, at = read_long(rows, after)
            # Never below 2: compiled, a slice must not end before it begins.
            age, older_width = stamp >> 13 << 13, max(at - after, 2)
            older = rows[after + 2 : after + older_width] or b"?"
        if rows[at] == 2 and (size := rows[at + 1]) < 128:
            begin = at + 2
            at = begin + (size >> 1)
            key: bytes | None = rows[begin:at]
        else:
            key, at = _optional(rows, at)
        if rows[at] == 2 and (size := rows[at + 1]) > 127 and (more := rows[at + 2]) < 128:
            begin = at + 3
            at = begin + ((size & 127 | more << 7) >> 1)
            value: bytes | None = rows[begin:at]
        else:
            value, at = _optional(rows, at)
        headers: tuple[tuple[str, bytes], ...] = ()
        if rows[at]:
            headers, at = _headers(rows, at, names)
        at += 1
        add(of_fields(Record, (topic, partition, offset, stamp, key, value, headers)))
    if at != end:
        raise ValueError(f"the rows have {end} bytes, their lengths say {at}")
    return found


def _headers(rows: bytes, at: int, names: dict[bytes, str]) -> tuple[tuple[tuple[str, bytes], ...], int]:
    """The headers of a row, and where they end. `names` by their bytes, each made once."""
    count, at = (rows[at] >> 1, at + 1) if rows[at] < 128 else read_long(rows, at)
    found = []
    for _ in range(count):
        size = rows[at]
        begin, at = (at + 1, at + 1 + (size >> 1)) if size < 128 else read_span(rows, at)
        raw = rows[begin:at]
        name = names.get(raw)
        if name is None:
            name = names[raw] = raw.decode()
        mark, at = _optional(rows, at)
        found.append((name, mark))
    if rows[at]:
        raise ValueError(f"the headers at byte {at} do not end")
    return tuple(found), at  # type: ignore[arg-type]  # a header without a value is None, as Kafka's client gives it


def _optional(rows: bytes, at: int) -> tuple[bytes | None, int]:
    branch, size = rows[at], rows[at + 1]
    if branch == 0:
        return None, at + 1
    if branch != 2:
        raise ValueError(f"there is no branch {branch} at byte {at}")
    if size < 128:
        begin = at + 2
        end = begin + (size >> 1)
    elif (more := rows[at + 2]) < 128:
        begin = at + 3
        end = begin + ((size & 127 | more << 7) >> 1)
    else:
        begin, end = read_span(rows, at + 1)
    if end >= len(rows):
        raise ValueError(f"the bytes at byte {at} are cut off")
    return rows[begin:end], end


def _long(value: int) -> bytes:
    bits = value << 1 ^ value >> 63
    return LAST[bits] if bits < 128 else long_bits(bits)


def _counted(data: bytes) -> bytes:
    return _long(len(data)) + data
