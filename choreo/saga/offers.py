"""What a saga is to those that nest it: which event starts it, what it tells at its end, what takes it back.

An offer is read from a spec's text alone, so that specs need not be loaded in the order in which they nest each other.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from choreo.saga.problems import Problems
from choreo.saga.raw import RawSpec
from choreo.saga.reading import EVERY_EVENT, read_spec
from choreo.saga.yaml import Text, read_yaml

Sources = Callable[[], Iterable[str]]
"""Reads the texts of specs, once they are asked for."""


@dataclass(frozen=True)
class Offer:
    """One version of a saga. Events by full name; `key` is the field of its start event that holds its key.

    `tells` gives the event of each moment of its `tell`. `kept` answers where it can't be taken back any more. `nests`
    are the sagas that it nests itself, `lock_scope` among which sagas it holds a lock, if it does.
    """

    saga: str
    version: int
    starts_on: str
    key: str
    tells: Mapping[str, str]
    cancels_on: str | None
    compensates_on: str | None
    kept: str | None
    nests: tuple[str, ...]
    lock_scope: str | None = None


class Offers:
    """Sagas by name. A layer of texts is read where those before it don't have the saga; of one layer the highest
    version counts.
    """

    def __init__(self, *layers: Sources) -> None:
        self._layers = layers
        self._read: list[Mapping[str, Offer]] = []
        self._unreadable: set[str] = set()

    def behind(self, nearer: Sources) -> "Offers":
        """The same, with these texts before all others."""
        return Offers(nearer, *self._layers)

    def of(self, saga: str) -> Offer | None:
        """What the saga offers; None where there is none of this name."""
        return next((layer[saga] for layer in self._each() if saga in layer), None)

    def is_unreadable(self, saga: str) -> bool:
        """Whether a text was looked at that calls itself this saga, and can't be read."""
        return saga in self._unreadable

    def names(self) -> list[str]:
        """Every saga that there is."""
        return sorted({name for layer in self._each() for name in layer})

    def _each(self) -> Iterator[Mapping[str, Offer]]:
        for number, layer in enumerate(self._layers):
            if number == len(self._read):
                texts = list(layer())
                found = sorted(filter(None, map(offer_of, texts)), key=lambda offer: offer.version)
                self._read.append({offer.saga: offer for offer in found})
                self._unreadable |= {saga for text in texts for saga in called(text)} - self._read[-1].keys()
            yield self._read[number]

    def circle(self, saga: str, nested: str) -> tuple[str, ...]:
        """The way from a saga through one that it nests back to itself; () where there is none."""
        ways: list[tuple[str, ...]] = [(saga, nested)]
        seen = {nested}
        while ways:
            way = ways.pop(0)
            if way[-1] == saga:
                return way
            offer = self.of(way[-1])
            for name in offer.nests if offer else ():
                if name not in seen:
                    seen.add(name)
                    ways.append((*way, name))
        return ()

    def locked_in(self, saga: str, scope: str) -> tuple[str, ...]:
        """The way from a saga down to the first one, itself or nested in it, that takes a lock of this scope; () where
        there is none.
        """
        ways: list[tuple[str, ...]] = [(saga,)]
        seen = {saga}
        while ways:
            way = ways.pop(0)
            offer = self.of(way[-1])
            if offer is not None and offer.lock_scope == scope:
                return way
            for name in offer.nests if offer else ():
                if name not in seen:
                    seen.add(name)
                    ways.append((*way, name))
        return ()


NOBODY = Offers()
_CALLED = re.compile(r"^saga:\s*[\"']?(\w+)", re.MULTILINE)
"""What a text calls itself, though it may be no YAML."""


def texts_of(sources: Iterable[str]) -> Sources:
    """These texts, which need not be read any more."""
    return lambda: sources


def offer_of(source: str) -> Offer | None:
    """What a spec offers; None where the text is no spec. What is wrong with it is for whoever loads it to say."""
    problems = Problems("")
    table = read_yaml(source, problems)
    raw = read_spec(table, problems) if table else None
    return _offer(raw) if raw else None


def called(source: str) -> tuple[str, ...]:
    """What a text calls itself, also where it can't be read; () where it does not say so."""
    return tuple(_CALLED.findall(source)[:1])


def nested_in(source: str) -> tuple[str, ...]:
    """The names of the sagas that a spec nests, each once."""
    offer = offer_of(source)
    return offer.nests if offer else ()


def scope_of(raw: RawSpec) -> str | None:
    """Among which sagas the lock of a spec excludes; None where it isolates nothing."""
    if raw.isolate_on is None:
        return None
    return raw.isolate_on.scope.value if raw.isolate_on.scope else raw.name.value


def _offer(raw: RawSpec) -> Offer:
    def full(name: Text) -> str:
        return name.value if "." in name.value or not raw.namespace else f"{raw.namespace}.{name.value}"

    starts_on = full(raw.starts_on)
    keys = {full(event) if event.value else EVERY_EVENT: field.value for event, field in raw.correlate_by}
    return Offer(
        saga=raw.name.value,
        version=raw.version,
        starts_on=starts_on,
        key=keys.get(starts_on, keys.get(EVERY_EVENT, "")),
        tells={moment: full(emission.event) for moment, emission in raw.tells},
        cancels_on=full(raw.cancels_on) if raw.cancels_on else None,
        compensates_on=full(raw.compensates_on) if raw.compensates_on else None,
        kept=full(raw.kept.event) if raw.kept else None,
        nests=tuple(dict.fromkeys(_names(raw))),
        lock_scope=scope_of(raw),
    )


def _names(raw: RawSpec) -> Iterator[str]:
    return (step.saga.value.partition("@")[0] for step in raw.steps if step.saga)
