"""The ids of an event and how they travel: one packed header named `choreo`, readable from any language.

Layout, big endian, version 1:

    u8   version, 1
    u8   flags: 1 causation, 2 request, 4 attempt, 8 saga, 16 key id, 32 cancelled, 64 again; the last bit: a later
         version
    16 B event_id
    i64  at: when it was emitted, microseconds since 1970, UTC
    then, each only where its flag is set, in this order:
    16 B causation_id
    16 B request_id
    u16  attempt (absent: 1)
    text saga name, u32 saga version, text saga step (65535 as its length: no step)
    text key id
    16 B operation, u8 wish, text service: again, see `Again` (a wish is its place in WISHES, from 0; no service: all)
    last, up to the end: correlation_id, UTF-8

A text is a u16 length in bytes, then UTF-8. Headers in plain text (`choreo-event-id` ...) are in `plain.py`.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b, sha1
from struct import Struct
from struct import error as StructError
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

from choreo.errors import DecodeError, PublishError, because
from choreo.events.event import Event
from choreo.events.saga_mark import SagaMark
from choreo.record import Headers, Record, of_fields

HEADER: Final = "choreo"
VERSION: Final = 1
ATTEMPT_MAX = 0xFFFF

_CAUSATION: Final = 1
_REQUEST, _ATTEMPT, _SAGA, _KEY, _CANCELLED, _AGAIN = 2, 4, 8, 16, 32, 64
_ALL: Final = _CAUSATION | _REQUEST | _ATTEMPT | _SAGA | _KEY | _CANCELLED | _AGAIN
_HEAD: Final = Struct(">BB16sq")
_CAUSED: Final = Struct(">BB16sq16s")
_AT = Struct(">q")
_U16, _U32 = Struct(">H"), Struct(">I")
_NO_STEP = 0xFFFF
FOREIGN = UUID("6f3c1f0e-52a0-5c1b-9b0e-7a4f0a2d9c11")
"""The UUID namespace of the ids of foreign records (RFC 9562, section 5.5)."""

_BLAKE: Final = blake2b(digest_size=16)
_UUID_FREE: Final = ~(0xF << 76 | 0x3 << 62)
_UUID_5: Final = 5 << 76 | 2 << 62
_UUID_8: Final = 8 << 76 | 2 << 62
"""Version and variant of a UUID (RFC 9562, sections 5.5 and 5.8), and the bits that they leave free."""

E = TypeVar("E", bound=Event, covariant=True)


Wish = Literal["handle", "drop", "replace", "wake"]
WISHES: tuple[Wish, ...] = ("handle", "drop", "replace", "wake")


class Again(NamedTuple):
    """The mark of a record that an operator put on the log once more, and that is no news.

    `operation` is the id of the event that tells who did it and why (16 bytes). Of the services only `only` is meant,
    where it is not empty: the others pass over the record. Where the same event waits for an operator at the head of
    its key's line, this record takes its place; with the wish `replace` the place of its cause, which it was made from;
    with `drop` that one leaves the line, and nothing is handled. With `wake` nothing takes a place: what waits at the
    head of the line is tried again at once. A timer has no record, so another of its key stands for it, with the
    timer's own id as its cause: to wake or to drop it.
    """

    operation: bytes
    only: str = ""
    wish: Wish = "handle"

    @property
    def only_moves(self) -> bool:
        """Whether the record only lets what waits go on, and is not handled itself."""
        return self.wish == "drop" or self.wish == "wake"

    def meant_for(self, service: str) -> bool:
        """Whether a service is to look at the record at all."""
        return self.only in ("", service)


class Ids(NamedTuple):
    """The ids of one event: those of bytes have 16; `at` is in microseconds since 1970; the first attempt is 1."""

    event_id: bytes
    correlation_id: str
    causation_id: bytes | None = None
    request_id: bytes | None = None
    attempt: int = 1
    at: int = 0
    cancelled: bool = False
    saga: SagaMark | None = None
    key_id: str | None = None
    again: Again | None = None


class Envelope(NamedTuple, Generic[E]):
    """An event with its ids."""

    event: E
    ids: Ids


def pack(ids: Ids) -> bytes:
    """The packed header. Raises PublishError for an id that the layout can't hold."""
    event_id, correlation_id, causation_id, request_id, attempt, at, cancelled, saga, key_id, again = ids
    try:
        if len(event_id) != 16:
            raise ValueError(f"event_id has {len(event_id)} bytes, not 16")
        plain = request_id is None and attempt == 1 and not cancelled and saga is None and key_id is None
        if plain and again is None:
            if causation_id is None:
                return _HEAD.pack(VERSION, 0, event_id, at) + correlation_id.encode()
            if len(causation_id) == 16:
                return _CAUSED.pack(VERSION, _CAUSATION, event_id, at, causation_id) + correlation_id.encode()
        return _pack_all(ids)
    except (StructError, ValueError, TypeError) as error:
        raise because(PublishError(f"these ids can't be written: {error}", why=repr(ids)), error)


def unpack(data: bytes) -> Ids:
    """The ids of a packed header. Raises DecodeError for bytes that are none, or of a later version."""
    try:
        version, flags, event_id, at = _HEAD.unpack_from(data)
        if version != VERSION or flags & ~_ALL:
            raise DecodeError(
                f"the header {HEADER} is of a later version ({version}, flags {flags})",
                hint="update this worker, or find out who else writes this header",
            )
        if flags == 0:
            return of_fields(Ids, (event_id, data[26:].decode(), None, None, 1, at, False, None, None, None))
        if flags == _CAUSATION and len(data) >= 42:
            return of_fields(Ids, (event_id, data[42:].decode(), data[26:42], None, 1, at, False, None, None, None))
        return _unpack_rest(data, flags, event_id, at)
    except (StructError, ValueError, TypeError) as error:
        raise because(
            DecodeError(
                f"the header {HEADER} can't be read: {error}",
                hint="its layout is documented in choreo/events/envelope.py",
            ),
            error,
        )


def emitted_at(data: bytes) -> int:
    """When the event of a packed header was emitted (microseconds). Raises DecodeError as `unpack` does."""
    if _is_known(data):
        at: int = _AT.unpack_from(data, _HEAD.size - _AT.size)[0]
        return at
    return unpack(data).at


def header_in(headers: Headers) -> bytes | None:
    """The packed header among those of a record; None where it has none."""
    for name, value in headers:
        if name == HEADER:
            return value
    return None


def event_id_in(data: bytes) -> bytes:
    """The event_id of a packed header, without the other ids. Raises DecodeError as `unpack` does."""
    return data[2:18] if _is_known(data) else unpack(data).event_id


def causation_in(data: bytes) -> bytes | None:
    """The causation_id of a packed header, without the other ids. Raises DecodeError as `unpack` does."""
    if _is_known(data) and (not data[1] & _CAUSATION or len(data) >= _CAUSED.size):
        return data[_HEAD.size : _CAUSED.size] if data[1] & _CAUSATION else None
    return unpack(data).causation_id


def correlation_in(data: bytes) -> bytes:
    """The correlation id (UTF-8) of a packed header, without the other ids. Raises DecodeError as `unpack` does."""
    if _is_known(data) and not data[1] & (_SAGA | _KEY | _AGAIN):
        flags = data[1]
        ids = 16 * (flags & _CAUSATION) + 8 * (flags & _REQUEST)
        return data[_HEAD.size + ids + (2 if flags & _ATTEMPT else 0) :]
    return unpack(data).correlation_id.encode()


def again_in(data: bytes) -> Again | None:
    """The mark of a record that was put on the log again, without the ids. Raises DecodeError as `unpack` does."""
    return None if _is_known(data) and not data[1] & _AGAIN else unpack(data).again


def _is_known(data: bytes) -> bool:
    return len(data) >= _HEAD.size and data[0] == VERSION and not data[1] & ~_ALL


def derive_id(parent: bytes, service: str, handler: str, index: int) -> bytes:
    """The event_id of an emission: the same for the same input, service, handler and index, on every machine.

    16 bytes, a UUID of version 8 (RFC 9562, section 5.8) from BLAKE2b. `parent` is the event_id of the cause.
    """
    return _uuid8(parent + _whose(service, handler, index))


@lru_cache(maxsize=4096)
def _whose(service: str, handler: str, index: int) -> bytes:
    return f"{service}\0{handler}\0{index}".encode()


def uuid8(*parts: bytes) -> bytes:
    """16 bytes that depend on these parts only, and on where one ends: a UUID of version 8 from BLAKE2b."""
    return _uuid8(b"".join(len(part).to_bytes(4, "big") + part for part in parts))


def _uuid8(data: bytes) -> bytes:
    digest = _BLAKE.copy()
    digest.update(data)
    return (int.from_bytes(digest.digest(), "big") & _UUID_FREE | _UUID_8).to_bytes(16, "big")


def caused_by(parent: Ids, event_id: bytes, at: int) -> Ids:
    """The ids of an event that `parent` caused: in the same story, and emitted after it (`at`: microseconds)."""
    _, story, _, _, _, before, _, _, _, _ = parent
    at = at if at > before else before + 1
    return of_fields(Ids, (event_id, story, parent[0], None, 1, at, False, None, None, None))


def foreign_ids(cluster_id: str, record: Record) -> Ids:
    """The ids of a record that carries none: made from its position, so that reading it twice gives the same ids."""
    topic, partition, offset, timestamp_ms, _, _, _ = record
    digest = _foreign_sha(cluster_id, topic, partition).copy()  # what uuid5 does, in a third of its time
    digest.update(b"%d" % offset)
    event_id = (int.from_bytes(digest.digest()[:16], "big") & _UUID_FREE | _UUID_5).to_bytes(16, "big")
    text = event_id.hex()
    text = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return of_fields(Ids, (event_id, text, None, None, 1, max(timestamp_ms, 0) * 1000, False, None, None, None))


@lru_cache(maxsize=4096)
def _foreign_sha(cluster_id: str, topic: str, partition: int) -> Any:
    return sha1(FOREIGN.bytes + f"{cluster_id}/{topic}/{partition}/".encode(), usedforsecurity=False)


def _pack_all(ids: Ids) -> bytes:
    flags, tail = 0, bytearray()
    for flag, part in ((_CAUSATION, ids.causation_id), (_REQUEST, ids.request_id)):
        if part is not None:
            if len(part) != 16:
                raise ValueError(f"an id has {len(part)} bytes, not 16")
            flags |= flag
            tail += part
    if ids.attempt != 1:
        flags |= _ATTEMPT
        tail += _U16.pack(ids.attempt)
    if ids.saga is not None:
        flags |= _SAGA
        tail += _text(ids.saga.name) + _U32.pack(ids.saga.version)
        tail += _U16.pack(_NO_STEP) if ids.saga.step is None else _text(ids.saga.step)
    if ids.key_id is not None:
        flags |= _KEY
        tail += _text(ids.key_id)
    if ids.cancelled:
        flags |= _CANCELLED
    if ids.again is not None:
        flags |= _AGAIN
        tail += _packed_again(ids.again)
    return _HEAD.pack(VERSION, flags, ids.event_id, ids.at) + tail + ids.correlation_id.encode()


def _unpack_rest(data: bytes, flags: int, event_id: bytes, at: int) -> Ids:
    offset, attempt = _HEAD.size, 1
    wide: list[bytes | None] = []
    for flag in (_CAUSATION, _REQUEST):
        size = 16 if flags & flag else 0
        wide.append(_take(data, offset, size) if size else None)
        offset += size
    if flags & _ATTEMPT:
        (attempt,) = _U16.unpack_from(data, offset)
        offset += 2
    saga = key_id = None
    if flags & _SAGA:
        name, offset = _read_text(data, offset)
        (version,) = _U32.unpack_from(data, offset)
        step, offset = _read_text(data, offset + 4)
        saga = SagaMark(name=name or "", version=version, step=step)
    if flags & _KEY:
        key_id, offset = _read_text(data, offset)
    again = None
    if flags & _AGAIN:
        again, offset = _read_again(data, offset)
    correlation_id = data[offset:].decode()
    return Ids(event_id, correlation_id, wide[0], wide[1], attempt, at, bool(flags & _CANCELLED), saga, key_id, again)


def _packed_again(again: Again) -> bytes:
    if len(again.operation) != 16:
        raise ValueError(f"the id of an operation has {len(again.operation)} bytes, not 16")
    return again.operation + bytes((WISHES.index(again.wish),)) + _text(again.only)


def _read_again(data: bytes, offset: int) -> tuple[Again, int]:
    operation, wish = _take(data, offset, 16), _take(data, offset + 16, 1)[0]
    if wish >= len(WISHES):
        raise ValueError(f"its wish is {wish}, which this version does not know")
    only, offset = _read_text(data, offset + 17)
    return Again(operation, only or "", WISHES[wish]), offset


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) >= _NO_STEP:
        raise ValueError(f"a text of {len(data)} bytes is too long")
    return _U16.pack(len(data)) + data


def _read_text(data: bytes, offset: int) -> tuple[str | None, int]:
    (size,) = _U16.unpack_from(data, offset)
    if size == _NO_STEP:
        return None, offset + 2
    return _take(data, offset + 2, size).decode(), offset + 2 + size


def _take(data: Sequence[int], offset: int, size: int) -> bytes:
    part = bytes(data[offset : offset + size])
    if len(part) != size:
        raise ValueError(f"it ends after {len(data)} bytes")
    return part
