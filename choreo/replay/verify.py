"""replay verify: are the stores what the log says? Rebuild them in a scratch place and compare entry by entry."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from choreo.errors import DivergenceError
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.replay.likeness import Compare, Likeness, comparison, exactly
from choreo.replay.rebuild import Rebuild
from choreo.service.service import Service
from choreo.state.backend import Backend
from choreo.state.changelog import entries
from choreo.state.keys import split_key
from choreo.state.memory import MemoryBackends

Progress = Callable[[int, int, int], None]
"""Told the partition, how many checkpoints of it were redone, and how many there are."""


@dataclass(frozen=True)
class Difference:
    """One entry that is not what the log says. None stands for no entry."""

    partition: int
    store: str
    key: tuple[object, ...]
    live: bytes | None
    replayed: bytes | None

    def __str__(self) -> str:
        where = f"{self.store} {self.key!r} in task {self.partition}"
        return f"{where}: live {_shown(self.live)}, replayed {_shown(self.replayed)}"


@dataclass
class Verdict:
    """What a verification found."""

    service: str
    partitions: int = 0
    checkpoints: int = 0
    inputs: int = 0
    entries: int = 0
    erased: int = 0
    """Entries that differ only in what was erased since."""
    builds: set[str] = field(default_factory=set)
    differences: list[Difference] = field(default_factory=list)
    divergences: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.differences and not self.divergences


def verify(
    service: Service,
    log: Log,
    registry: Registry,
    live: Callable[[int], Backend],
    progress: Progress | None = None,
    settings: object = None,
) -> Verdict:
    """Rebuild every task of `service` from `log` and compare it with `live(partition)`, whose worker must stand
    still. `settings` are the service's own, where it has any.
    """
    verdict = Verdict(service.name)
    verdict.partitions = log.topics()[f"{service.scope}.journal"].partitions
    for partition in range(verdict.partitions):
        scratch = MemoryBackends().open(f"{service.name}-{partition}")
        rebuild = Rebuild(service, partition, log, registry, scratch, settings)
        try:
            last = rebuild.journal.last()
            for done, (page, _, _) in enumerate(rebuild.run(), 1):
                verdict.checkpoints += 1
                verdict.builds.add(page.build)
                if progress is not None:
                    progress(partition, done, last)
        except DivergenceError as error:
            verdict.divergences.append(str(error))
            continue
        finally:
            rebuild.close()
        verdict.inputs += rebuild.task.handled
        backend = live(partition)
        verdict.entries += sum(1 for _ in entries(backend))
        alike = comparison(service, backend, rebuild.codec.erased > 0)
        for likeness, difference in compare(partition, backend, scratch, alike):
            if likeness is Likeness.ERASED:
                verdict.erased += 1
            else:
                verdict.differences.append(difference)
    return verdict


def compare(
    partition: int, live: Backend, replayed: Backend, alike: Compare = exactly
) -> Iterator[tuple[Likeness, Difference]]:
    """The logical entries that are not the same, in key order."""
    left, right = entries(live), entries(replayed)
    mine, theirs = next(left, None), next(right, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine[0] < theirs[0]):
            assert mine is not None
            yield Likeness.OTHER, _difference(partition, mine[0], mine[1], None)
            mine = next(left, None)
        elif mine is None or theirs[0] < mine[0]:
            yield Likeness.OTHER, _difference(partition, theirs[0], None, theirs[1])
            theirs = next(right, None)
        else:
            likeness = Likeness.SAME if mine[1] == theirs[1] else alike(mine[0], mine[1], theirs[1])
            if likeness is not Likeness.SAME:
                yield likeness, _difference(partition, mine[0], mine[1], theirs[1])
            mine, theirs = next(left, None), next(right, None)


def _difference(partition: int, key: bytes, live: bytes | None, replayed: bytes | None) -> Difference:
    store, parts = split_key(key)
    return Difference(partition, store, parts, live, replayed)


def _shown(value: bytes | None) -> str:
    return "nothing" if value is None else value[1:].decode(errors="replace")[:200]
