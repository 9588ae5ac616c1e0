"""Dead letters: records that could not be handled, kept with their bytes intact, their cause and their origin.

One record of a dead-letter topic: the original key, value and headers, and the header `choreo-dead-letter`: version
byte 1, JSON. A letter too large for one record lies there in several, in order: `parts` of them, each with the next
slice of one body, which is version byte 1, then the Avro body of `ORIGINAL`.
"""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from choreo.errors import DecodeError
from choreo.log.interface import MAX_RECORD_BYTES
from choreo.record import NewRecord, Position, Record, TopicPartition

HEADER = "choreo-dead-letter"
VERSION = 1
PART_BYTES = 512 * 1024
MAX_ERROR_CHARS = 4_000
"""What an error says beyond this is left out: the letter must be writable whatever it says."""

Door = Literal["decode", "handle", "publish", "unmatched"]

_HEADER_FIELDS = [{"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}]
ORIGINAL: Any = parse_schema(
    {
        "type": "record",
        "name": "choreo.Original",
        "fields": [
            {"name": "key", "type": ["null", "bytes"]},
            {"name": "value", "type": ["null", "bytes"]},
            {
                "name": "headers",
                "type": {"type": "array", "items": {"type": "record", "name": "Header", "fields": _HEADER_FIELDS}},
            },
        ],
    }
)


@dataclass(frozen=True)
class DeadLetter:
    """Why a record lies in the dead letters, and where it came from."""

    service: str
    door: Door
    cause: str
    error: str
    origin: Position
    attempts: int
    at: int
    handler: str | None = None
    part: int = 0
    """Which record of the letter this is, from 0."""
    parts: int = 1

    def records(self, original: Record, topic: str) -> list[NewRecord]:
        """The dead letter of `original`: its key, value and headers, and this as one more header; in parts if large."""
        headers = [(name, value) for name, value in original.headers if name != HEADER]
        whole = NewRecord(topic, original.key, original.value, [*headers, self._header()])
        if _size(whole) <= MAX_RECORD_BYTES:
            return [whole]
        body = _packed(original._replace(headers=headers))
        slices = [body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES)]
        key = str(self.origin).encode()  # one for all parts: they lie in one partition, in order
        return [
            NewRecord(topic, key, piece, [replace(self, part=number, parts=len(slices))._header()])
            for number, piece in enumerate(slices)
        ]

    def _header(self) -> tuple[str, bytes]:
        return HEADER, bytes([VERSION]) + json.dumps(asdict(self) | {"origin": list(self.origin)}).encode()


def read(record: Record) -> DeadLetter:
    """The dead letter in a record of a dead-letter topic. Raises DecodeError where there is none."""
    body = next((value for name, value in record.headers if name == HEADER), None)
    if body is None or body[:1] != bytes([VERSION]):
        raise DecodeError(
            f"no header {HEADER} of version {VERSION}",
            at=record.position,
            hint="written by a newer Choreo, or not by Choreo",
        )
    try:
        fields = json.loads(body[1:])
        return DeadLetter(**(fields | {"origin": Position(*fields["origin"])}))
    except (ValueError, TypeError, KeyError) as error:
        raise DecodeError(
            f"the header {HEADER} can't be read: {error}", at=record.position, hint="find out who else writes here"
        ) from error


def whole(records: Iterable[Record]) -> Iterator[Record]:
    """The records of dead-letter topics, in order within a partition, letters in parts put together.

    Each is as its service got it, with the header of its letter. What is no dead letter comes as it is; a letter whose
    parts are not all there is left out.
    """
    begun: dict[TopicPartition, list[bytes]] = {}
    for record in records:
        try:
            letter = read(record)
        except DecodeError:
            yield record
            continue
        if letter.parts == 1:
            yield record
            continue
        pieces = begun.setdefault(record.topic_partition, [])
        if letter.part == 0:
            pieces.clear()
        pieces.append(record.value or b"")
        if letter.part == letter.parts - 1 and len(pieces) == letter.parts:
            yield _unpacked(record, b"".join(pieces))


def describe(error: BaseException) -> str:
    """An error as one text: its type and what it says, and what caused it."""
    said: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        said.append(f"{type(cause).__name__}: {shortened(str(cause))}")
        cause = cause.__cause__
    return "; caused by ".join(said[:4])


def shortened(text: str) -> str:
    """At most MAX_ERROR_CHARS of it: what an error says may hold all that it was about."""
    return text if len(text) <= MAX_ERROR_CHARS else f"{text[:MAX_ERROR_CHARS]}... ({len(text):,} characters)"


def _size(record: NewRecord) -> int:
    marks = sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + marks


def _packed(original: Record) -> bytes:
    body = io.BytesIO()
    body.write(bytes([VERSION]))
    headers = [{"name": name, "value": value} for name, value in original.headers]
    schemaless_writer(body, ORIGINAL, {"key": original.key, "value": original.value, "headers": headers})
    return body.getvalue()


def _unpacked(last: Record, body: bytes) -> Record:
    if body[:1] != bytes([VERSION]):
        raise DecodeError(f"a dead letter of version {body[:1].hex()}", at=last.position, hint="run a newer Choreo")
    fields: Any = schemaless_reader(io.BytesIO(body[1:]), ORIGINAL, None)
    headers = [(each["name"], each["value"]) for each in fields["headers"]]
    mark = next((name, value) for name, value in last.headers if name == HEADER)
    return last._replace(key=fields["key"], value=fields["value"], headers=[*headers, mark])
