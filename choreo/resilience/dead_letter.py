"""Dead letters: records that could not be handled, kept with their bytes intact, their cause and their origin."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

from choreo.errors import DecodeError
from choreo.record import NewRecord, Position, Record

HEADER = "choreo-dead-letter"
VERSION = 1

Door = Literal["decode", "handle", "publish", "unmatched"]


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

    def record(self, original: Record, topic: str) -> NewRecord:
        """The dead letter of `original`: its own key, value and headers, and this as one more header."""
        body = bytes([VERSION]) + json.dumps(asdict(self) | {"origin": list(self.origin)}).encode()
        headers = [(name, value) for name, value in original.headers if name != HEADER]
        return NewRecord(topic, original.key, original.value, [*headers, (HEADER, body)])


def read(record: Record) -> DeadLetter:
    """The dead letter in a record of a dead-letter topic. Raises DecodeError where there is none."""
    body = next((value for name, value in record.headers if name == HEADER), None)
    if body is None or body[:1] != bytes([VERSION]):
        raise DecodeError(
            f"no header {HEADER} of version {VERSION}",
            at=record.position,
            hint="written by a newer Choreo, or not by Choreo",
        )
    fields = json.loads(body[1:])
    return DeadLetter(**(fields | {"origin": Position(*fields["origin"])}))


def describe(error: BaseException) -> str:
    """An error as one text: its type and what it says, and what caused it."""
    text = f"{type(error).__name__}: {error}"
    return f"{text}; caused by {describe(error.__cause__)}" if error.__cause__ is not None else text
