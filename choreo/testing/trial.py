"""A trial: services and sagas at work through one ordeal, in virtual time, on a log in memory.

The same road as live: workers, relays, coordinators, checkpoints, groups. This room only says whose turn it is, lets
workers die, stand still and come back where fate strikes, and asks the invariants.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple, TypeVar

from choreo.clock import NEVER, VirtualClock
from choreo.errors import ConfigError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, derive_id, uuid8
from choreo.events.event import Event
from choreo.events.registry import MemoryRegistry
from choreo.log.interface import TopicSpec
from choreo.record import NewRecord, Position
from choreo.runtime.observer import SILENT
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.plan import plan_of
from choreo.runtime.relay import with_relays
from choreo.runtime.topics import create_topics
from choreo.runtime.worker import POLL_AGAIN, Worker
from choreo.service.service import Service
from choreo.service.store import Store
from choreo.state.memory import MemoryBackends
from choreo.testing.annals import Annals
from choreo.testing.cast import Cast
from choreo.testing.faults import SECOND, Chance, Fate, Fault, Faults, Listed
from choreo.testing.ordeal import Ordeal, Told
from choreo.testing.promises import broken_promise
from choreo.testing.rough import RoughLog, RoughMember, RoughOutside
from choreo.testing.table import Turn

K = TypeVar("K")
V = TypeVar("V")
START = 1_772_452_800 * SECOND
"""2026-03-02 12:00 UTC, when every trial begins (microseconds)."""
SESSION_S = 45.0
ROOM: tuple[dict[str, Any], ...] = ({}, {"batch_records": 2, "at_hand_records": 3})
"""In every other seed so little is read at once, and may be at hand, that the log keeps the rest again and again."""
MOST_TURNS = 200_000
"""A trial with more turns never comes to rest."""


class Killed(BaseException):
    """The process dies here. No `except Exception` may keep it alive."""


class Broken(NamedTuple):
    """What did not hold."""

    what: str
    """The name of the invariant, or of a promise of the runtime."""
    said: str
    at: int
    """Microseconds."""
    error: BaseException | None = None

    def same_as(self, other: "Broken") -> bool:
        """Whether the other is the same finding: an invariant that stumbles does not say that something is wrong."""
        return self.what == other.what and type(self.error) is type(other.error)


Check = tuple[str, Callable[[], None]]
"""An invariant and its name; it raises where it does not hold."""


@dataclass(eq=False)
class Post:
    """The place of one worker of a service: somebody works there, or is away."""

    service: Service
    name: str
    lives: int = 0
    """Machines that it has had."""
    backends: MemoryBackends = field(init=False)
    worker: Worker | None = None
    member: RoughMember | None = None
    due: int = 0
    stalled: bool = False
    pending: Fault | None = None
    """What strikes in the checkpoint at hand, at its place."""

    def __post_init__(self) -> None:
        self.move()

    def move(self) -> None:
        """To a machine with an empty disk."""
        self.backends = MemoryBackends(f"{self.name}-{self.lives}")
        self.lives += 1


class Trial:
    """One run. `run` does all of it; then `broken` says what did not hold, None where everything did."""

    def __init__(self, cast: Cast, ordeal: Ordeal, faults: Faults) -> None:
        self.ordeal = ordeal
        self.sagas: Mapping[str, type[Event]] = cast.sagas
        self.broken: Broken | None = None
        self.notes: list[Turn] = []
        """The faults that struck, for the story."""
        self.told_at: list[tuple[Position, bool]] = []
        """Where the events from outside lie, and whether each is one that came again."""
        self.clock = VirtualClock(START)
        self.fate: Fate = Chance(ordeal.seed, faults) if ordeal.faults is None else Listed(ordeal.faults)
        self.log = RoughLog(self.clock, self._fetch_delay)
        self.registry = MemoryRegistry()
        self._cast = cast
        self._codec = Codec(self.registry, (), self.log.cluster_id())
        self.everybody = tuple(with_relays(cast.services))
        self._plans = [plan_of(service) for service in self.everybody]
        self.classes = tuple(dict.fromkeys(type(one.event) for one in ordeal.told))
        self._make_topics()
        self.annals = Annals(self.log, self.registry, self._plans, self.classes)
        self._checks: Sequence[Check] = ()
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()
        self.turns = 0
        """Of workers, so far."""
        self._instances: dict[str, str] = {}
        """Which worker a member of a group is."""
        self._keepers: dict[int, Sequence[Service]] = {}
        """Who keeps a store, by its id: invariants ask after every checkpoint."""
        self._posts = [Post(s, f"{s.name}.{n}") for s in self.everybody for n in range(ordeal.workers)]

    def run(self, always: Sequence[Check], at_rest: Sequence[Check]) -> None:
        """Everything, until nobody has anything to do any more. `always` is asked after every checkpoint."""
        self._checks = always
        for post in self._posts:
            self._begin(post)
        for told in self.ordeal.told:
            self._later(told.at, lambda told=told: self._tell(told))  # type: ignore[misc]  # bound in the loop
        try:
            self._go_on(NEVER)
            if self.broken is None:
                self._checks = at_rest
                self._ask()
                self._keep_promises()
        except ConfigError:  # of an invariant that asks for what is not there: the user's to mend, not a finding
            raise
        except Exception as error:  # a worker that died of itself: what the user is to be told, with the story
            self.broken = self.broken or Broken("worker", f"{type(error).__name__}: {error}", self.clock.now(), error)

    def close(self) -> None:
        """End all workers, as by kill -9."""
        for post in self._posts:
            self._bury(post)

    # -- what a world shows --------------------------------------------------------------------------------------------

    def said(self, cls: type[Event]) -> Sequence[Event]:
        """All events of this class so far."""
        return self.annals.events(cls)

    def stored(self, store: Store[K, V]) -> dict[K, V]:
        """All committed entries of a store. Raises ConfigError where nobody keeps it."""
        keepers = self._keepers.get(id(store))
        if keepers is None:
            keepers = self._keepers[id(store)] = self._cast.keepers(store)
        return self.annals.stored(store, keepers)

    # -- whose turn it is ----------------------------------------------------------------------------------------------

    def _go_on(self, until: int) -> None:
        """Let everybody work who does not stand still, until this time (microseconds), or until nobody has to."""
        while not self._over():
            self._settle()
            waking = [post for post in self._posts if post.member is not None and not post.stalled]
            due = min([min(post.due, post.member.next_arrival) for post in waking if post.member], default=NEVER)
            due = min(due, self._agenda[0][0] if self._agenda else NEVER)
            if due >= until or self._over():
                break
            self._move(due)
        if until != NEVER:
            self._move(until)

    def _over(self) -> bool:
        return self.broken is not None

    def _move(self, instant: int) -> None:
        """Move the clock. Whoever lives has polled meanwhile, as a live loop does ten times a second."""
        self.clock.move_to(instant)
        now = self.clock.now()
        for post in self._posts:
            if post.member is not None and not post.stalled:
                post.member.beat(now)
        while self._agenda and self._agenda[0][0] <= now:
            heappop(self._agenda)[2]()

    def _settle(self) -> None:
        """Turns for everybody until nobody has anything to do at this instant."""
        busy = True
        while busy and not self._over():
            busy = False
            for post in self._posts:
                if post.worker is None or post.stalled or post.member is None:
                    continue
                if post.due <= self.clock.now() or post.member.has_records():
                    self._turn(post, post.worker, post.member)
                    busy = True
                    if self._over():
                        return

    def _turn(self, post: Post, worker: Worker, member: RoughMember) -> None:
        self.turns += 1
        if self.turns > MOST_TURNS:
            self.broken = Broken("rest", f"nobody comes to rest in {MOST_TURNS:,} turns", self.clock.now())
            return
        before = worker.checkpoints
        try:
            fault = self.fate.visit("turn", post.name)
            if fault is not None and fault.kind == "leave":
                self._leave(post, worker, fault)
            else:
                now = self.clock.now()
                due = worker.step(now, worker.poll())
                post.due = self._next_look(member, due, now)
        except Killed:
            pass  # buried where it was struck
        # Live no time is before that of its writing: whoever handles what this turn said does it later.
        self.clock.move_to(self.clock.now() + 1)
        if worker.checkpoints != before:
            self._ask()

    def _next_look(self, member: RoughMember, due: int, now: int) -> int:
        """A live worker asks the log again every millisecond for what it lacks; here it is known when that comes."""
        arrival = member.next_arrival
        if due != now + POLL_AGAIN or (arrival == NEVER and member.identity() is not None):
            return min(due, arrival)
        return arrival  # whoever waits for the group is woken by it

    # -- what strikes --------------------------------------------------------------------------------------------------

    def _begin(self, post: Post) -> None:
        """Somebody starts to work there."""
        options = RunOptions(
            start_from="earliest",
            checkpoint_dry_s=0,
            session_timeout_s=SESSION_S,
            inline_calls=True,
            build="simulation",
            specs=self._cast.specs,
            **ROOM[self.ordeal.seed % len(ROOM)],
        )
        outside = RoughOutside(
            self.clock,
            lambda name: self._struck(self.fate.visit("call", post.name, name)),
            lambda fault, side: self._pass_call(post, fault, side),
        )
        site = Site(self.log, self.registry, post.backends, self.clock, SILENT)
        worker = Worker(
            post.service,
            site,
            options,
            settings=self._cast.settings.get(post.service.name),
            reach=lambda name: self._reach(post, name),
            outside=outside,
        )
        worker.start()
        assert isinstance(worker.member, RoughMember)  # of our own log
        self._instances[worker.member.instance] = post.name
        post.worker, post.member, post.due = worker, worker.member, self.clock.now()

    def _reach(self, post: Post, name: str) -> None:
        """A place in a checkpoint: what strikes this checkpoint strikes at one of them."""
        place = name.partition(".")[2]
        if place == "begun":
            post.pending = self.fate.visit("checkpoint", post.name)
        fault = post.pending
        if fault is not None and fault.where == place:
            post.pending = None
            self._strike(post, fault)

    def _pass_call(self, post: Post, fault: Fault | None, side: str) -> None:
        if fault is not None and (fault.where == side if fault.kind != "stall" else side == "before"):
            self._strike(post, fault)

    def _strike(self, post: Post, fault: Fault) -> None:
        if fault.kind in ("stall", "crash", "wreck"):
            # The group notices at the latest then: everybody looks up.
            self._later(self.clock.now() - START + round(SESSION_S * SECOND), _nothing)
        if fault.kind == "stall":
            self._note(fault)
            post.stalled = True
            try:
                self._go_on(self.clock.now() + fault.micros)
            finally:
                post.stalled = False
        elif fault.kind in ("crash", "wreck"):
            self._note(fault)
            self._bury(post, disk=fault.kind == "crash")
            self._return(post, fault.micros)
            raise Killed

    def _bury(self, post: Post, *, disk: bool = True) -> None:
        worker, member = post.worker, post.member
        post.worker = post.member = post.pending = None
        if worker is None or member is None:
            return
        member.vanish()
        worker.abandon()
        post.backends.close()
        if not disk:
            post.move()

    def _leave(self, post: Post, worker: Worker, fault: Fault) -> None:
        self._note(fault)
        worker.stop()
        post.worker = post.member = post.pending = None
        post.backends.close()
        self._return(post, fault.micros)

    def _return(self, post: Post, micros: int) -> None:
        self._later(self.clock.now() - START + micros, lambda: self._begin(post))

    def _fetch_delay(self, instance: str, partition: str) -> int:
        fault = self._struck(self.fate.visit("fetch", self._instances[instance], partition))
        return fault.micros if fault is not None else 0

    def _struck(self, fault: Fault | None) -> Fault | None:
        """What strikes here and now, for the story; an absence is noted when it begins."""
        if fault is not None and fault.kind in ("fail", "lose", "slow", "delay"):
            self._note(fault)
        return fault

    def _note(self, fault: Fault) -> None:
        self.notes.append(Turn(self.clock.now(), 0, str(fault), fault.who))

    # -- what comes from outside ---------------------------------------------------------------------------------------

    def _later(self, at: int, act: Callable[[], None]) -> None:
        """At this time since the beginning (microseconds)."""
        heappush(self._agenda, (START + at, next(self._numbers), act))

    def _tell(self, told: Told) -> None:
        (position,) = self.log.append([self._record(told)])
        self.told_at.append((position, told.again))

    def _record(self, told: Told) -> NewRecord:
        """Of an event that comes again: the very bytes of the first time."""
        first = next((one for one in self.ordeal.told if one.number == told.number and not one.again), told)
        event_id = derive_id(bytes(16), "simulation", type(told.event).contract.full_name, told.number)
        ids = Ids(event_id, f"story-{uuid8(event_id).hex()[:8]}", at=START + first.at)
        return self._codec.encode(told.event, ids)

    def _make_topics(self) -> None:
        number = self.ordeal.partitions
        create_topics(self.log, self._plans, number)
        known = self.log.topics()
        spoken = [cls.contract.topic for plan in self._plans for cls in plan.classes if cls.contract.external]
        spoken += [cls.contract.topic for cls in self.classes]
        self.log.create_topics(TopicSpec(name, number) for name in dict.fromkeys(spoken) if name not in known)

    # -- what must hold ------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        for name, check in self._checks:
            if self.broken is not None:
                return
            try:
                check()
            except ConfigError:
                raise
            except Exception as error:  # an AssertionError, or whatever a check stumbled over
                self.broken = Broken(name, _words(error), self.clock.now(), error)

    def _keep_promises(self) -> None:
        """What the runtime promises whatever the services are."""
        for post in self._posts:
            for number, live in post.worker.tasks.items() if post.worker is not None else ():
                kept = broken_promise(self.annals, live, number) if self.broken is None else None
                if kept is not None:
                    said = f"{post.service.name}[{number}]: {kept.said}"
                    self.broken = Broken(kept.promise, said, self.clock.now())


def _nothing() -> None:
    """An instant at which everybody looks up."""


def _words(error: Exception) -> str:
    said = str(error).strip()
    if isinstance(error, AssertionError):
        return said or "it does not hold"
    return f"{type(error).__name__}: {said}"
