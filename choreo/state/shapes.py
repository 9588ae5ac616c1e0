"""The shapes of a task's stores, on record beside their entries: under which types what stands there was written.

One entry a store, under `~shapes`, on the changelog like any other, so that it is known wherever the store is restored:
version byte 1, then a JSON list of all shapes under which anything may stand, the oldest first. It is written when a
task is opened by code that says otherwise, never by an entry. What follows from the log alone does not hold it: a
replay writes all by one code.
"""

from collections.abc import Iterable
from typing import NamedTuple

from pydantic_core import from_json, to_json

from choreo.errors import StateError
from choreo.state.backend import Backend
from choreo.state.keys import key_codec
from choreo.state.reading import misfits
from choreo.state.value_shape import Shape

SHAPES = key_codec("~shapes", str)
_VERSION = b"\x01"


class StoreShape(NamedTuple):
    """What one code said of a store: the parts of its keys, and how its values were written."""

    keys: tuple[str, ...]
    values: Shape


class Declared(NamedTuple):
    """What the code at hand says of a store, and where (`Reserve.totals`)."""

    where: str
    shape: StoreShape
    reading: Shape
    alone: tuple[bytes, bytes]
    """The entry of a store that was never written in another shape."""


def shapes_on_record(backend: Backend, store: str) -> list[StoreShape]:
    """The shapes under which the entries of a store were written; none where nothing was noted.

    Raises StateError for another version.
    """
    data = backend.get(SHAPES.encode(store))
    if data is None:
        return []
    if data[:1] != _VERSION:
        raise StateError(
            f"the shapes of store {store!r} are noted in version {data[:1].hex()}",
            hint="it was written by a newer release: run that one",
        )
    return [StoreShape(tuple(one["keys"]), one["values"]) for one in from_json(data[1:])]


def shape_entry(store: str, shapes: Iterable[StoreShape]) -> tuple[bytes, bytes]:
    """The entry that holds the shapes of a store."""
    return SHAPES.encode(store), _VERSION + to_json([shape._asdict() for shape in shapes])


def unreadable(declared: Declared, stood: Iterable[StoreShape]) -> list[str]:
    """Why this code may not read what stands in a store, each with the field that it is about."""
    found = []
    for shape in stood:
        if shape.keys != declared.shape.keys:
            found.append(f"its keys were ({', '.join(shape.keys)}), now ({', '.join(declared.shape.keys)})")
        found += misfits(shape.values, declared.reading)
    return list(dict.fromkeys(found))


def with_shape(stood: list[StoreShape], shape: StoreShape) -> list[StoreShape]:
    """What is to stand on record where this shape is written from now on."""
    plain = StoreShape(shape.keys, from_json(to_json(shape.values)))  # as it would be read back
    return stood if plain in stood else [*stood, plain]
