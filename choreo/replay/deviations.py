"""Deviations: what other code does otherwise than the log says, one by one, and the report that sums them up."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from choreo.record import Headers
from choreo.replay.leeway import Seen

What = Literal["only new", "missing", "changed", "dead letter", "no dead letter", "entry", "end"]
"""An event that only the new code emits, one that it does not emit any more, one with other fields; a dead letter that
is new, one that is none any more; another entry of a store, another end of a saga.
"""
MOST_STORIES, MOST_KINDS, KEPT, SHOWN = 10_000, 1_000, 10, 10


class Side(NamedTuple):
    """An event as one side emitted it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


class Upon(NamedTuple):
    """What brought something about: an input, or a timer, which has no place."""

    name: str
    event_id: bytes
    key: str
    place: str


class Deviation(NamedTuple):
    """One thing that differs. Of an entry the sides are bytes, of an event what was emitted; None for nothing."""

    what: What
    name: str
    """The event's full name, or the store."""
    handlers: tuple[str, ...]
    story: str
    """The correlation id; of an entry that no differing event tells of, the key that its store has it under."""
    key: str
    at: int
    """When it came about (microseconds); 0 of an entry."""
    fields: tuple[str, ...]
    """Those that differ; of what goes with an event, in brackets."""
    saga: str | None
    upon: Upon | None
    live: Side | bytes | None
    new: Side | bytes | None
    cause: bool = True
    """Whether it is the first of its story; those behind it may be its consequences."""

    @property
    def kind(self) -> tuple[object, ...]:
        """What it has in common with others of its sort."""
        return self.what, self.name, self.handlers, self.fields


@dataclass
class Kind:
    """Deviations of one sort that are the first of their stories."""

    stories: int = 0
    examples: list[Deviation] = field(default_factory=list)


@dataclass
class Report:
    """What a shadow run found."""

    service: str
    tasks: int = 0
    checkpoints: int = 0
    inputs: int = 0
    emissions: int = 0
    """Records that the new code published."""
    entries: int = 0
    """Entries that were compared."""
    busy_s: float = 0.0
    """What the new code took for its inputs, calls aside."""
    seen: Seen = field(default_factory=Seen)
    unread: tuple[str, ...] = ()
    """Topics that the new code reads and the journal does not have: nothing of them was handled."""
    partial: tuple[str, ...] = ()
    """What was not compared, and why."""
    causes: int = 0
    consequences: int = 0
    stories: list[str] = field(default_factory=list)
    """Those in which anything differs, the first so many."""
    by_handler: Counter[tuple[str, What]] = field(default_factory=Counter)
    by_event: Counter[tuple[str, What]] = field(default_factory=Counter)
    by_saga: Counter[tuple[str, What]] = field(default_factory=Counter)
    fields: Counter[tuple[str, str]] = field(default_factory=Counter)
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How sagas stand in the end, live and with the new code, where that differs."""
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Attempts of the new code that failed, by handler and error."""
    kinds: dict[tuple[object, ...], Kind] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether nothing differs: no event, no entry, no call."""
        return not (self.causes or self.seen.new_calls or self.seen.dropped_calls)

    @property
    def us_per_input(self) -> float:
        return self.busy_s * 1e6 / self.inputs if self.inputs else 0.0

    def add(self, one: Deviation) -> None:
        """Count one; they come story by story, the first of each first."""
        if one.cause:
            self.causes += 1
            if len(self.stories) < MOST_STORIES:
                self.stories.append(one.story)
            self._keep(one)
        else:
            self.consequences += 1
        for handler in one.handlers or ("?",):
            self.by_handler[handler, one.what] += 1
        self.by_event[one.name, one.what] += 1
        if one.saga is not None:
            self.by_saga[one.saga, one.what] += 1
        self.fields.update((one.name, name) for name in one.fields)

    def _keep(self, one: Deviation) -> None:
        kind = self.kinds.get(one.kind)
        if kind is None:
            if len(self.kinds) >= MOST_KINDS:
                return
            kind = self.kinds[one.kind] = Kind()
        kind.stories += 1
        if len(kind.examples) < KEPT:
            kind.examples.append(one)

    def most_telling(self) -> list[tuple[Deviation, int]]:
        """The ten to look at first, each with how many stories it stands for: one of each kind, the most frequent
        first; then further ones of the same kinds.
        """
        kinds = sorted(self.kinds.values(), key=lambda kind: -kind.stories)
        rounds = [(kind.examples[n], kind.stories) for n in range(KEPT) for kind in kinds if n < len(kind.examples)]
        return rounds[:SHOWN]
