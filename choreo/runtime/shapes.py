"""May this code take up a task's stores: are they whole, and can it read them? Asked before the first input."""

from functools import lru_cache
from typing import Any

from choreo.errors import StartError
from choreo.service.handler import Handler
from choreo.service.service import Service
from choreo.service.signature import signature_of
from choreo.state.backend import Backend
from choreo.state.keys import store_prefix
from choreo.state.reading import in_words
from choreo.state.rebuilt import who_began
from choreo.state.shapes import Declared, StoreShape, shape_entry, shapes_on_record, unreadable, with_shape
from choreo.state.value_shape import reading_shape, written_shape

MOST_SHOWN = 5


def shapes_of(service: Service) -> dict[str, Declared]:
    """What the handlers of a service say of their stores, by the store's name."""
    return _shapes_of(tuple(service.handlers))


def news_of(service: Service, partition: int, backend: Backend) -> dict[bytes, bytes]:
    """What is to be noted of the shapes of a task's stores; nothing on most days.

    Raises StartError where something stands there that this code may not be able to read.
    """
    found = {}
    for store, its in shapes_of(service).items():
        key, alone = its.alone
        if backend.get(key) == alone:
            continue
        stood = shapes_on_record(backend, store)
        if next(backend.scan(store_prefix(store)), None) is None:
            stood = []  # there is nothing to read
        if problems := unreadable(its, stood):
            raise _unreadable(f"store {store!r} of service {service.name}", partition, its, stood[-1], problems)
        entry = shape_entry(store, with_shape(stood, its.shape))
        if backend.get(key) != entry[1]:
            found[entry[0]] = entry[1]
    return found


def refuse_unfinished(service: str, partition: int, backend: Backend) -> None:
    """Raise StartError where a task's entries are half replaced by rebuilt ones."""
    who = who_began(backend)
    if who is not None:
        raise StartError(
            f"the stores of service {service} are half replaced",
            at=f"task {partition}",
            why=f"{who} put rebuilt entries in their place and did not come to the end",
            hint=f"the same command once more ends it: choreo replay rebuild {service}",
        )


@lru_cache(maxsize=64)
def _shapes_of(handlers: tuple[type[Handler[Any]], ...]) -> dict[str, Declared]:
    found = {}
    for signature in map(signature_of, handlers):
        for attribute, store in signature.stores.items():
            keys, _ = store.codecs()
            _, values = store.types()
            shape = StoreShape(keys.form, written_shape(values))
            where, alone = f"{signature.name}.{attribute}", shape_entry(store.name, [shape])
            found[store.name] = Declared(where, shape, reading_shape(values), alone)
    return found


def _unreadable(store: str, partition: int, its: Declared, stood: StoreShape, problems: list[str]) -> StartError:
    more = f"; and {len(problems) - MOST_SHOWN} more" if len(problems) > MOST_SHOWN else ""
    there = f"there stands {in_words(stood.values)}, the code says {in_words(its.shape.values)}"
    return StartError(
        f"{store} holds what this code can't read",
        at=f"{its.where}, task {partition}",
        why=f"{'; '.join(problems[:MOST_SHOWN])}{more} ({there})",
        hint="give a new field a default and a renamed one Formerly(...), or rebuild the stores from the log: "
        f"choreo replay rebuild {store.rpartition(' ')[2]}",
    )
