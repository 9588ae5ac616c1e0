"""Outputs: what one checkpoint publishes.

An event that a handler returned is written at once, so that what can't be written fails within its handling; its ids
are made when its record is asked for. A replay that only wants the stores never asks.
"""

from collections.abc import Iterator
from typing import NamedTuple

from choreo.events.codec import Unsigned
from choreo.events.envelope import caused_by, derive_id
from choreo.record import NewRecord, of_fields
from choreo.runtime.intake import Input


class Returned(NamedTuple):
    """An event that a handler returned, and what its ids follow from."""

    unsigned: Unsigned
    given: Input
    service: str
    handler: str
    place: int
    """Which one it is of those that this handler emitted upon this input."""
    now: int
    """What the handling was told (microseconds)."""


class Outputs:
    """Records in the order in which they were emitted, each made when it is come to, and then kept."""

    def __init__(self, emitted: list[NewRecord | Returned]) -> None:
        self._emitted = emitted

    def __len__(self) -> int:
        return len(self._emitted)

    def __iter__(self) -> Iterator[NewRecord]:
        emitted = self._emitted
        for number, one in enumerate(emitted):
            if isinstance(one, Returned):
                record = emitted[number] = _record_of(one)
                yield record
            else:
                yield one


def _record_of(returned: Returned) -> NewRecord:
    (topic, key, value, headers), given, service, handler, place, now = returned
    ids = given.ids
    its = caused_by(ids, derive_id(ids[0], service, handler, place), now)
    return of_fields(NewRecord, (topic, key, value, headers(its, key), None))
