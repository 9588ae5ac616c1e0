"""Outputs: what one checkpoint publishes.

An event that a handler returned is written at once, so that what can't be written fails within its handling; its ids
are made when its record is asked for. A replay that only wants the stores never asks.
"""

from collections.abc import Iterator
from typing import NamedTuple

from choreo.events.codec import Codec, Unsigned
from choreo.events.envelope import Ids, caused_by, derive_id
from choreo.record import NewRecord, Record, of_fields


class Returned(NamedTuple):
    """An event that a handler returned, and what its ids follow from: those of its input, or the input's place."""

    unsigned: Unsigned
    origin: Ids | Record
    service: str
    handler: str
    place: int
    """Which one it is of those that this handler emitted upon this input."""
    now: int
    """What the handling was told (microseconds)."""


class Outputs:
    """Records in the order in which they were emitted, each made when it is come to, and then kept."""

    def __init__(self, emitted: list[NewRecord | Returned], codec: Codec) -> None:
        self._emitted, self._codec = emitted, codec

    def __len__(self) -> int:
        return len(self._emitted)

    def __iter__(self) -> Iterator[NewRecord]:
        emitted = self._emitted
        for number, one in enumerate(emitted):
            if isinstance(one, Returned):
                record = emitted[number] = self._signed(one)
                yield record
            else:
                yield one

    def _signed(self, returned: Returned) -> NewRecord:
        (topic, key, value, headers), origin, service, handler, place, now = returned
        ids = origin if isinstance(origin, Ids) else self._codec.ids(origin)
        its = caused_by(ids, derive_id(ids[0], service, handler, place), now)
        return of_fields(NewRecord, (topic, key, value, headers(its, key), None))
