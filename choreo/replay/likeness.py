"""Do two values of one store say the same, though their bytes differ? One may be of an older shape, one erased."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from pydantic_core import from_json

from choreo.errors import StateError
from choreo.events.fields import ERASED
from choreo.runtime.shapes import shapes_of
from choreo.service.service import Service
from choreo.state.backend import Backend
from choreo.state.keys import store_prefix
from choreo.state.shapes import shapes_on_record
from choreo.state.values import VALUE_VERSION, ValueCodec


class Likeness(Enum):
    """How two values of one entry compare."""

    SAME = auto()
    ERASED = auto()  # they differ only where the replay found nothing but that it was erased
    OTHER = auto()


Compare = Callable[[bytes, bytes, bytes], Likeness]
"""Told the key of an entry, its live value and the replayed one, whose bytes differ."""


def exactly(key: bytes, live: bytes, replayed: bytes) -> Likeness:
    """Other bytes are another value."""
    return Likeness.OTHER


def comparison(service: Service, live: Backend, erased: Callable[[], bool]) -> Compare:
    """How the live entries of a task compare with replayed ones.

    What was written under an older shape is compared as the code at hand reads it; a store that has had one shape only
    is compared byte by byte. `erased` says whether the replay met anything erased so far.
    """
    codecs = _evolved(service, live)

    def compare(key: bytes, stood: bytes, replayed: bytes) -> Likeness:
        for start, codec in codecs:
            if key.startswith(start):
                stood, replayed = _rewritten(codec, stood), _rewritten(codec, replayed)
        if stood == replayed:
            return Likeness.SAME
        return Likeness.ERASED if erased() and _only_erased(stood, replayed) else Likeness.OTHER

    return compare


def _evolved(service: Service, live: Backend) -> list[tuple[bytes, ValueCodec]]:
    """The stores of which something stands there in a shape that is not the present one."""
    found = []
    declared = shapes_of(service)
    for signature in service.signatures:
        for store in signature.stores.values():
            stood = shapes_on_record(live, store.name)
            if len(stood) > 1 or (stood and live.get(declared[store.name].alone[0]) != declared[store.name].alone[1]):
                found.append((store_prefix(store.name), store.codecs()[1]))
    return found


def _rewritten(codec: ValueCodec, data: bytes) -> bytes:
    """A value as the code at hand would write it; as it is where that can't be read."""
    try:
        return codec.dump(codec.load(data))
    except (StateError, ValueError, TypeError):
        return data


def _only_erased(live: bytes, replayed: bytes) -> bool:
    """Whether two values differ only in texts that the replay has as erased."""
    if live[:1] != VALUE_VERSION or replayed[:1] != VALUE_VERSION:
        return False
    try:
        return covers(from_json(replayed[1:]), from_json(live[1:]))
    except ValueError:
        return False


def covers(replayed: Any, live: Any) -> bool:
    """Whether two values in JSON are the same but for what the first has as erased."""
    if replayed in (live, ERASED):
        return True
    if isinstance(replayed, dict) and isinstance(live, dict):
        return replayed.keys() == live.keys() and all(covers(replayed[name], live[name]) for name in replayed)
    if isinstance(replayed, list) and isinstance(live, list):
        return len(replayed) == len(live) and all(map(covers, replayed, live))
    return False
