"""A story played again by the project's services, in virtual time: what follows upon each event from outside."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from choreo.errors import ChoreoError
from choreo.events.event import Event
from choreo.replay.history import History
from choreo.service.service import Service
from choreo.service.store import Store
from choreo.testing.cast import cast_of, stores_of
from choreo.testing.likeness import Like
from choreo.testing.rehearsal import Rehearsal
from choreo.testing.world import changes


@dataclass
class Scene:
    """One event from outside, how long after the one before it (microseconds), and what came until the next."""

    event: Event
    wait: int
    came: list[Event | Like] = field(default_factory=list)
    rest: int = 0
    """So long after it the last of that came (microseconds)."""


@dataclass
class Play:
    """A story that was played."""

    start: int
    scenes: list[Scene]
    sagas: Sequence[tuple[str, str, str]]
    """Name, key and status of each."""
    stores: list[tuple[Service, Store[Any, Any], dict[Any, Any]]]


def play(services: Sequence[Service], specs: Sequence[Path], history: History, fakes: Mapping[str, object]) -> Play:
    """Play it. Raises ChoreoError where it comes out otherwise than it did live."""
    outside = [line for line in history.lines if line.by is None]
    start = outside[0].ids.at
    rehearsal = Rehearsal(cast_of(services, specs, fakes, {}), 1, start)
    try:
        for line in history.before:
            rehearsal.tell(line.event, "given")
        scenes, moment, seen = list[Scene](), start, len(rehearsal.chronicle.facts)
        found: list[Event] = []
        ends = [line.ids.at for line in outside[1:]] + [max(line.ids.at for line in history.lines)]
        for line, end in zip(outside, ends, strict=True):
            scene = Scene(line.event, max(line.ids.at - moment, 0))
            moment = max(moment, line.ids.at)
            rehearsal.tell(line.event, "when")
            if end > moment:
                rehearsal.wait_until(end)
            facts = [fact for fact in rehearsal.chronicle.facts[seen:] if fact.business]
            seen = len(rehearsal.chronicle.facts)
            scene.came = [fact.event for fact in facts]
            scene.rest = end - moment if facts and facts[-1].ids.at > moment + 1_000_000 else 0
            found += [fact.event for fact in facts]
            scenes.append(scene)
        _hold(history, scenes)
        sagas = [(name, key, one.status) for name in rehearsal.sagas for key, one in changes(rehearsal, name).items()]
        for name, key, status in sagas:
            if history.ends.get((name, key), status) != status:
                raise ChoreoError(
                    f"saga {name} {key} ends {status} here, live it is {history.ends[name, key]}", hint=ALONE
                )
        stores = [(s, store, rehearsal.stored(store)) for s in services for store in stores_of(s)]
        return Play(start, scenes, sagas, [one for one in stores if one[2]])
    finally:
        rehearsal.close()


ALONE = "another story took part in it, or the code has changed since: choreo replay verify tells which"


def _hold(history: History, scenes: Sequence[Scene]) -> None:
    """Hold what came against what was emitted live: what can't come again (times, chance) is left out of a `Like`.

    Raises ChoreoError where other events came.
    """
    live = [line.event for line in history.lines if line.by is not None]
    for scene in scenes:
        for number, event in enumerate(scene.came):
            assert isinstance(event, Event), "nothing was compared yet"
            twin = next((one for one in live if _alike(one, event)), None)
            if twin is None:
                raise ChoreoError(f"{event!r} came, which was not emitted live", hint=ALONE)
            live.remove(twin)
            if twin != event:
                same = tuple((name, value) for name, value in event if getattr(twin, name) == value)
                scene.came[number] = Like(type(event), same)
    if live:
        raise ChoreoError(f"{len(live)} events of the story did not come again, {live[0]!r} for one", hint=ALONE)


def _alike(one: Event, other: Event) -> bool:
    return type(one) is type(other) and all(getattr(one, name) == getattr(other, name) for name in other.contract.key)


def waits(play: Play) -> Iterator[tuple[Scene, int]]:
    """The scenes, each with how long to wait before it: what was waited behind the one before is behind."""
    waited = 0
    for scene in play.scenes:
        yield scene, scene.wait - waited
        waited = scene.rest
