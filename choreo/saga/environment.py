"""What a saga may meet, as data: services that act in time, late or never, events twice, timers, a cancellation.

Time is elastic: a timer that is set may come due at any moment, and nothing else is known of times than what came
before what. What `decide` makes of a move is for `explore.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import Any, Literal, NamedTuple

from choreo.saga.calendars import OpenTime, Span
from choreo.saga.clauses import Cancellation, Emission
from choreo.saga.conditions import Answer, Expression
from choreo.saga.decision import SAGA_TIMER, Decision, Received
from choreo.saga.instance import Instance, StepState
from choreo.saga.rules import Role, Spec, Step

KEY = "k1"


@dataclass(frozen=True)
class Guessed(Expression):
    """A condition whose outcome is one of the things that may be met."""

    outcome: bool = True

    def evaluate(self, values: Mapping[str, Any]) -> Answer:
        return Answer(self.outcome)


class Deed(StrEnum):
    """What really became of a step at its service."""

    OPEN = "open"
    REFUSED = "refused"
    DONE = "done"
    PREVENTED = "prevented"
    """Undone before it was done. A service may still do it late."""
    UNDONE = "undone"


class Message(NamedTuple):
    """An event on its way to the coordinator; events of one lane arrive in order. `step` counts from 0, -1: of none."""

    received: Received
    step: int
    lane: str


class Move(NamedTuple):
    """One thing that happens next. `acts`: a service does something and the event is on its way; `says`: it does it and
    is heard at once; `hears`: an event arrives; `again`: it arrives a second time; `due`: a timer.

    `kept` means that a copy of the event stays on its way.
    """

    kind: Literal["acts", "says", "hears", "again", "due"]
    event: str
    step: str = ""
    role: Role | None = None
    kept: bool = False


class World(NamedTuple):
    """All that there is at one moment. Sequences over steps are in the order of the spec; times in microseconds."""

    instance: Instance | None
    deeds: tuple[Deed, ...]
    undos: tuple[int, ...]
    """Requests to undo that nobody has answered yet."""
    asked: frozenset[str] = frozenset()
    said: frozenset[str] = frozenset()
    """What is said once only."""
    timers: tuple[tuple[str, int], ...] = ()
    early: tuple[Received, ...] = ()
    under_way: tuple[Message, ...] = ()
    copies: tuple[Message, ...] = ()
    cancels: int = 0
    duplicates: int = 0
    now: int = 1
    said_so_far: int = 0

    @property
    def due(self) -> tuple[str, ...]:
        """The timers that may come due. That an ended saga is forgotten some day is left out."""
        return tuple(name for name, _ in self.timers if name != SAGA_TIMER)


def variants(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """The spec without its data, once for each outcome of its conditions on data; with those outcomes in words."""
    asked = {step.when.text: step.when for step in spec.steps if step.when is not None and _is_data(step.when)}
    for outcomes in product((True, False), repeat=len(asked)):
        guesses = {
            text: Guessed(text, when.kind, {}, None, outcome)
            for (text, when), outcome in zip(asked.items(), outcomes, strict=True)
        }
        said = ", ".join(text if guess.outcome else f"not ({text})" for text, guess in guesses.items())
        steps = tuple(_without_fields(_always_open(step), guesses) for step in spec.steps)
        cancels, undo = _unmapped(spec.cancels_on), _unmapped(spec.compensates_on)
        bare = replace(spec, steps=steps, remembers=(), tells=(), events=())
        yield said, replace(bare, cancels_on=cancels, compensates_on=undo)


def _unmapped(asked: Cancellation | None) -> Cancellation | None:
    return asked and replace(asked, refused=Emission(asked.refused.event) if asked.refused else None)


def _is_data(when: Expression) -> bool:
    """Whether a condition reads more than where steps stand."""
    return any(name.startswith("saga.") or not name.endswith(".status") for name in when.reads) or not when.reads


def left_out(spec: Spec) -> tuple[str, ...]:
    """What of a spec no run of an exploration has: steps are done once, events are taken whenever they come."""
    again = [f"reopens_on of {step.name}" for step in spec.steps if step.reopens_on]
    again += [f"what happens within saga {step.nested.saga}" for step in spec.steps if step.nested]
    again += ["the expiry of the lock of isolate_on" for step in spec.steps if step.lost_on]
    again += [f"skips_on of {step.name}" for step in spec.steps if step.skips_on]
    again += [f"for_each of {step.name}" for step in spec.steps if step.for_each]
    if spec.events:
        again.append("policies of events")
    return (*again, *(f"repeat of {step.name}" for step in spec.steps if step.repeat))


def _without_fields(step: Step, guesses: Mapping[str, Guessed]) -> Step:
    undo, ask, remind = step.compensate, step.on_timeout.ask, step.remind
    return replace(
        step,
        tells=(),
        skips_on=(),
        reopens_on=(),
        lost_on=(),
        repeat=None,
        for_each=None,
        human=None,
        on_timeout=replace(step.on_timeout, ask=Emission(ask.event) if ask else None),
        remind=replace(remind, emission=Emission(remind.emission.event)) if remind else None,
        not_before_us=_elastic(step.not_before_us),
        within_us=_elastic(step.within_us),
        deadline_us=_elastic(step.deadline_us),
        when=guesses.get(step.when.text, step.when) if step.when is not None else None,
        emit=Emission(step.emit.event) if step.emit else None,
        compensate=replace(undo, emit=Emission(undo.emit.event)) if undo else None,
        keeps=(),
    )


def _always_open(step: Step) -> Step:
    """The step without a calendar in what it asks for again."""
    undo, remind, rule = step.compensate, step.remind, step.on_timeout
    return replace(
        step,
        on_timeout=replace(rule, wait_us=_elastic(rule.wait_us) or 0),
        remind=replace(remind, every_us=_elastic(remind.every_us) or 0) if remind else None,
        compensate=replace(undo, within_us=_elastic(undo.within_us)) if undo else None,
    )


def _elastic(limit: Span | Expression | None) -> int | None:
    """A point in time that an event would name comes some time: how late says nothing. Calendars are always open."""
    if isinstance(limit, OpenTime):
        return limit.micros
    return limit if limit is None or isinstance(limit, int) else 1


class Surroundings:
    """Which moves there are around the sagas of one spec. `lanes` names the topic of each event that keeps its order;
    an event without one has a lane of its own.
    """

    def __init__(self, spec: Spec, lanes: Mapping[str, str] | None = None) -> None:
        self.spec = spec
        self._lanes = lanes or {}
        self._index = {step.name: number for number, step in enumerate(spec.steps)}
        started_by_others = {name for step in spec.steps if step.emit is None for name in step.after}
        self._slow = {step.name for step in spec.steps if step.name in started_by_others or self._may_overtake(step)}
        known = {Role.STARTS, Role.COMPLETES, Role.FAILS, Role.UNKNOWN, Role.UNDONE, Role.UNDO_FAILS, Role.CANCELS}
        self._others = [
            (event, part) for event, parts in spec.parts.items() for part in parts if part.role not in known
        ]

    def lane(self, event: str) -> str:
        """Events of one lane arrive in the order in which they were emitted."""
        return self._lanes.get(event, event)

    def begin(self, cancels: int, duplicates: int) -> World:
        """The start event is under way; services may have begun by themselves."""
        steps = len(self.spec.steps)
        start = self._received(self.spec.starts_on, 1, 1)
        return World(
            instance=None,
            deeds=(Deed.OPEN,) * steps,
            undos=(0,) * steps,
            under_way=(Message(start, -1, self.lane(self.spec.starts_on)),),
            cancels=cancels if self.spec.cancels_on else 0,
            duplicates=duplicates,
            said_so_far=1,
        )

    def moves(self, world: World) -> Iterator[Move]:
        """All that may happen next."""
        for move in self._deliveries(world):
            yield move
            if world.duplicates and move.kind in ("hears", "says"):
                yield move._replace(kept=True)
        for name in world.due:
            yield Move("due", name, name)

    def _deliveries(self, world: World) -> Iterator[Move]:
        busy = {message.lane for message in world.under_way}
        heads: set[str] = set()
        for message in world.under_way:
            if message.lane not in heads:
                heads.add(message.lane)
                yield Move("hears", message.received.event, self._name(message.step))
        for message in world.copies:
            yield Move("again", message.received.event, self._name(message.step))
        if world.cancels and self.spec.cancels_on and self.lane(self.spec.cancels_on.event) not in busy:
            yield Move("says", self.spec.cancels_on.event, "", Role.CANCELS)
        for event, part in self._others:
            if f"{part.step}:{event}" not in world.said and self.lane(event) not in busy:
                yield Move("says", event, part.step, part.role)
        for step, deed, undos in zip(self.spec.steps, world.deeds, world.undos, strict=True):
            for move in self._acts(world, step, deed, undos):
                if move.kind == "acts" or self.lane(move.event) not in busy:
                    yield move

    def _acts(self, world: World, step: Step, deed: Deed, undos: int) -> Iterator[Move]:
        name = step.name
        how: Literal["acts", "says"] = "acts" if name in self._slow else "says"
        if deed in (Deed.OPEN, Deed.PREVENTED) and self._may_act(world, step):
            yield from (Move(how, event, name, Role.COMPLETES) for event in step.completes_on)
            yield from (Move("says", event, name, Role.FAILS) for event in step.fails_on)
            for event in step.unknown_on:
                if f"{name}:{event}" not in world.said:
                    yield Move("says", event, name, Role.UNKNOWN)
        if undos and step.compensate is not None:
            how = "acts" if self._may_overtake(step) else "says"
            yield from (Move(how, event, name, Role.UNDONE) for event in step.compensate.done_on)
            yield from (Move("says", event, name, Role.UNDO_FAILS) for event in step.compensate.fails_on)

    def _may_act(self, world: World, step: Step) -> bool:
        """Whether a service may be at work on a step: asked for it, or started by what comes before it."""
        states = {} if world.instance is None else {name: one.state for name, one in world.instance.steps.items()}
        if step.emit is not None:
            return step.name in world.asked
        if isinstance(step.when, Guessed):
            if not step.when.outcome:
                return False
        elif step.when is not None and states.get(step.name) in (None, StepState.IDLE, StepState.SKIPPED):
            return False
        if any(states.get(name) is not StepState.SKIPPED for name in step.otherwise):
            return False
        done = sum(world.deeds[self._index[name]] in (Deed.DONE, Deed.UNDONE) for name in step.after)
        skipped = sum(states.get(name) is StepState.SKIPPED for name in step.after)
        return done + skipped >= len(step.after) if step.enough is None else done >= step.enough

    def _may_overtake(self, step: Step) -> bool:
        """Whether a success and the answer to its undo may arrive in another order than they were said."""
        undo = step.compensate
        return undo is not None and len({self.lane(event) for event in (*step.completes_on, *undo.done_on)}) > 1

    # -- what a move changes around the saga ---------------------------------------------------------------------------

    def make(self, world: World, move: Move) -> tuple[World, Message | None]:
        """The world after a move, and the event that the coordinator hears by it, if any."""
        if move.kind == "due":
            at = max(world.now, dict(world.timers)[move.event])
            rest = tuple(timer for timer in world.timers if timer[0] != move.event)
            return world._replace(now=at, timers=rest), None
        if move.kind in ("hears", "again"):
            return self._taken(world, move)
        now, count = world.now + 1, world.said_so_far + 1
        message = Message(self._received(move.event, now, count), self._index.get(move.step, -1), self.lane(move.event))
        world = self._done(world._replace(now=now, said_so_far=count), move)
        if move.kind == "acts":
            return world._replace(under_way=(*world.under_way, message)), None
        return self._kept(world, message, move), message

    def _taken(self, world: World, move: Move) -> tuple[World, Message]:
        lying = world.under_way if move.kind == "hears" else world.copies
        step = self._index.get(move.step, -1)
        message = next(one for one in lying if one.received.event == move.event and one.step == step)
        number = lying.index(message)
        rest = (*lying[:number], *lying[number + 1 :])
        world = world._replace(under_way=rest) if move.kind == "hears" else world._replace(copies=rest)
        return self._kept(world, message, move), message

    def _kept(self, world: World, message: Message, move: Move) -> World:
        if not move.kept:
            return world
        return world._replace(duplicates=world.duplicates - 1, copies=(*world.copies, message))

    def _done(self, world: World, move: Move) -> World:
        """What an act changes at its service. A step happens once at most; an undo is answered whenever it is asked."""
        if move.role is Role.CANCELS:
            return world._replace(cancels=world.cancels - 1)
        number = self._index.get(move.step, -1)
        if move.role is Role.COMPLETES:
            return world._replace(deeds=_with(world.deeds, number, Deed.DONE))
        if move.role is Role.FAILS:
            return world._replace(deeds=_with(world.deeds, number, Deed.REFUSED))
        if move.role in (Role.UNDONE, Role.UNDO_FAILS):
            undos = _with(world.undos, number, world.undos[number] - 1)
            deeds = _with(world.deeds, number, _undone(world.deeds[number])) if move.role is Role.UNDONE else None
            return world._replace(undos=undos, deeds=deeds or world.deeds)
        return world._replace(said=world.said | {f"{move.step}:{move.event}"})

    def after(self, world: World, decision: Decision) -> World:
        """The world once a decision is written down: the instance, its timers, its requests on their way."""
        timers = dict(world.timers)
        for name, due in decision.timers:
            timers.pop(name, None)
            if due is not None:
                timers[name] = due
        asked, undos = world.asked, world.undos
        for emit in decision.emits:
            number = self._index.get(emit.step or "", -1)
            if emit.kind == "do" and emit.step:
                asked = asked | {emit.step}
            elif emit.kind == "undo":
                undos = _with(undos, number, undos[number] + 1)
        now = world.now + 1 if decision.emits else world.now
        told = tuple(sorted(timers.items()))
        return world._replace(instance=decision.instance, timers=told, asked=asked, undos=undos, now=now)

    def _received(self, event: str, at: int, count: int) -> Received:
        return Received(event, KEY, count.to_bytes(8, "big") + bytes(8), at, at, {})

    def _name(self, step: int) -> str:
        return "" if step < 0 else self.spec.steps[step].name


def _undone(deed: Deed) -> Deed:
    if deed is Deed.OPEN:
        return Deed.PREVENTED
    return Deed.UNDONE if deed is Deed.DONE else deed


def _with(values: Sequence[Any], number: int, value: Any) -> tuple[Any, ...]:
    return (*values[:number], value, *values[number + 1 :])
