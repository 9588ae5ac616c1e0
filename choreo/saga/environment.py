"""What a saga may meet, as data: services that act in time, late or never, events twice, timers, a cancellation.

Time is elastic: a timer that is set may come due at any moment, and nothing else is known of times than what came
before what. What `decide` makes of a move is for `explore.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from choreo.saga.clauses import Reference
from choreo.saga.decision import SAGA_TIMER, Decision, Received
from choreo.saga.instance import Instance, StepState
from choreo.saga.items import key_in
from choreo.saga.rules import Part, Role, Spec, Step
from choreo.saga.variants import CLAIM, UNTIL, Guessed, Reported, laid_out

KEY = "k1"
ANSWERS = (Role.STARTS, Role.COMPLETES, Role.FAILS, Role.UNKNOWN, Role.UNDONE, Role.UNDO_FAILS, Role.CANCELS)
"""What services say of their own accord or when asked; all else comes from others, once at most."""
ACCOMPLISHED = ("done", "undone", "taken back")


class Deed(StrEnum):
    """What really became of a step at its service."""

    OPEN = "open"
    REFUSED = "refused"
    DONE = "done"
    PREVENTED = "prevented"
    """Undone before it was done. A service may still do it late."""
    UNDONE = "undone"
    TAKEN_BACK = "taken back"
    """By others, as `reopens_on` says; of a lock: its time was over."""


class Message(NamedTuple):
    """An event on its way to the coordinator; events of one lane arrive in order. `step` counts from 0, -1: of none."""

    received: Received
    step: int
    lane: str


class Move(NamedTuple):
    """One thing that happens next. `acts`: a service does something and the event is on its way; `says`: it does it and
    is heard at once; `hears`: an event arrives; `again`: it arrives a second time; `due`: a timer.

    `kept` means that a copy of the event stays on its way, `unmet` that the condition of a `repeat` does not hold yet.
    """

    kind: Literal["acts", "says", "hears", "again", "due"]
    event: str
    step: str = ""
    role: Role | None = None
    kept: bool = False
    unmet: bool = False


class World(NamedTuple):
    """All that there is at one moment. Sequences over steps are in the order of the laid out spec, in which each item
    has a step of its own; times in microseconds.
    """

    instance: Instance | None
    deeds: tuple[Deed, ...]
    undos: tuple[int, ...]
    """Requests to undo that nobody has answered yet."""
    left: tuple[int, ...]
    """How often a service may still do it, or refuse to."""
    asked: frozenset[str] = frozenset()
    said: frozenset[str] = frozenset()
    """What is said once only."""
    timers: tuple[tuple[str, int], ...] = ()
    early: tuple[Message, ...] = ()
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


class Surroundings:
    """Which moves there are around the sagas of one spec, with these items in its lists. `lanes` names the topic of
    each event that keeps its order; an event without one has a lane of its own.
    """

    def __init__(
        self,
        spec: Spec,
        lanes: Mapping[str, str] | None = None,
        lists: Mapping[Reference, tuple[str, ...]] | None = None,
    ) -> None:
        self.as_written, self._lists = spec, lists or {}
        self.spec = laid_out(spec, self._lists) if spec.fans_out else spec
        self._lanes = lanes or {}
        self._index = {step.name: number for number, step in enumerate(self.spec.steps)}
        started_by_others = {name for step in spec.steps if step.emit is None for name in step.after}
        self._slow = {
            step.name for step in self.spec.steps if step.whole in started_by_others or self._may_overtake(step)
        }
        self._locks = [number for number, step in enumerate(self.spec.steps) if step.lost_on]
        self._concerned: dict[tuple[str, int], tuple[int, ...]] = {}
        self._others = [
            (event, part)
            for event, parts in spec.parts.items()
            if not any(part.role in ANSWERS for part in parts)
            for part in self._each(parts[0])
        ]

    def _each(self, part: Part) -> Iterator[Part]:
        """A part in each item of its step; one more item is the last one."""
        items = [step for step in self.spec.steps if step.item_of and step.item_of == part.step]
        if part.role is Role.ADDS:
            items = items[-1:]
        yield from (Part(part.role, item.name) for item in items)
        if part.step not in self.as_written.by_name or not self.as_written.by_name[part.step].fans_out:
            yield part

    def lane(self, event: str) -> str:
        """Events of one lane arrive in the order in which they were emitted."""
        return self._lanes.get(event, event)

    def number(self, step: str) -> int:
        """Where a step stands; -1: none of this name."""
        return self._index.get(step, -1)

    def concerned(self, event: str, step: int) -> tuple[int, ...]:
        """The steps of which an event speaks, said of this one."""
        if (event, step) not in self._concerned:
            item = step >= 0 and self.spec.steps[step].item_of
            named = {self._index[part.step] for part in self.spec.parts.get(event, ()) if part.step}
            self._concerned[event, step] = (step,) if item else tuple(sorted(named))
        return self._concerned[event, step]

    def step_of(self, event: str, fields: Mapping[str, Any]) -> int:
        """The first step of which an event speaks; -1: of none, or of the saga."""
        parts = meaning(self.spec, Received(event, KEY, b"", 0, 0, fields))
        return next((self._index[part.step] for part in parts if part.step), -1)

    def begin(self, cancels: int, duplicates: int) -> World:
        """The start event is under way; services may have begun by themselves."""
        steps = self.spec.steps
        start = Move("acts", self.spec.starts_on, "", Role.STARTS)
        return World(
            instance=None,
            deeds=(Deed.OPEN,) * len(steps),
            undos=(0,) * len(steps),
            left=tuple(step.repeat.at_most if step.repeat and step.emit is None else 1 for step in steps),
            under_way=(Message(self._received(start, 1, 1), -1, self.lane(self.spec.starts_on)),),
            cancels=cancels if self.spec.cancels_on else 0,
            duplicates=duplicates,
            said_so_far=1,
        )

    # -- which moves there are -----------------------------------------------------------------------------------------

    def moves(self, world: World) -> Iterator[Move]:
        """All that may happen next. That a copy of an event stays on its way is for `explore.py`."""
        yield from self._deliveries(world)
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
            if f"{part.step}:{event}" not in world.said and self.lane(event) not in busy and self._may_say(world, part):
                yield Move("says", event, part.step, part.role)
        for number, step in enumerate(self.spec.steps):
            for move in self._acts(world, step, number):
                if move.kind == "acts" or self.lane(move.event) not in busy:
                    yield move

    def _may_say(self, world: World, part: Part) -> bool:
        """Only what was done is taken back, only a lock that is held expires."""
        if part.role not in (Role.REOPENS, Role.LOSES):
            return True
        return world.deeds[self._index[part.step]] is Deed.DONE

    def _acts(self, world: World, step: Step, number: int) -> Iterator[Move]:
        name = step.name
        how: Literal["acts", "says"] = "acts" if name in self._slow else "says"
        if world.left[number] and self._may_act(world, step):
            repeats = step.repeat is not None and isinstance(step.repeat.until, Reported)
            for event in step.completes_on:
                yield Move(how, event, name, Role.COMPLETES)
                if repeats:
                    yield Move(how, event, name, Role.COMPLETES, unmet=True)
            yield from (Move("says", event, name, Role.FAILS) for event in step.fails_on)
            for event in step.unknown_on:
                if f"{name}:{event}" not in world.said:
                    yield Move("says", event, name, Role.UNKNOWN)
        elif step.nested and step.compensate and world.deeds[number] is Deed.DONE:
            gone = (event for event in step.fails_on if f"{name}:{event}" not in world.said)
            yield from (Move("says", event, name, Role.FAILS) for event in gone)  # others take it back
        if world.undos[number] and step.compensate is not None:
            how = "acts" if self._may_overtake(step) else "says"
            yield from (Move(how, event, name, Role.UNDONE) for event in step.compensate.done_on)
            yield from (Move("says", event, name, Role.UNDO_FAILS) for event in step.compensate.fails_on)

    def _may_act(self, world: World, step: Step) -> bool:
        """Whether a service may be at work on a step: asked for it, or started by what comes before it."""
        states = {} if world.instance is None else {name: one.state for name, one in world.instance.steps.items()}
        if step.emit is not None:
            return step.name in world.asked
        whole = self.as_written.by_name[step.whole]
        if step.item_of and not self._known(world, step):
            return False
        if isinstance(whole.when, Guessed):
            if not whole.when.outcome:
                return False
        elif whole.when is not None and states.get(whole.name) in (None, StepState.IDLE, StepState.SKIPPED):
            return False
        if any(states.get(name) is not StepState.SKIPPED for name in whole.otherwise):
            return False
        done = sum(self._happened(world, name) for name in whole.after)
        skipped = sum(states.get(name) is StepState.SKIPPED for name in whole.after)
        return done + skipped >= len(whole.after) if whole.enough is None else done >= whole.enough

    def _happened(self, world: World, name: str) -> bool:
        """Whether a step was really done, of one with items: enough of them."""
        rule = self.as_written.by_name[name].for_each
        if rule is None:
            return world.deeds[self._index[name]] in ACCOMPLISHED
        items = [number for number, step in enumerate(self.spec.steps) if step.item_of == name]
        return sum(world.deeds[number] in ACCOMPLISHED for number in items) >= rule.enough(len(items))

    def _known(self, world: World, item: Step) -> bool:
        """Whether an item is one of the list, or an event has added it."""
        rule = item.for_each
        assert rule is not None
        added = any(f"{item.name}:{event}" in world.said for event in rule.adds_on)
        return added or key_in(item.name) in self._lists[rule.items]

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
        received = self._received(move, now, count, world.instance)
        message = Message(received, self._index.get(move.step, -1), self.lane(move.event))
        world = self._done(world._replace(now=now, said_so_far=count), move)
        if move.kind == "acts":
            return world._replace(under_way=(*world.under_way, message)), None
        return world, message

    def _taken(self, world: World, move: Move) -> tuple[World, Message]:
        lying = world.under_way if move.kind == "hears" else world.copies
        step = self._index.get(move.step, -1)
        message = next(one for one in lying if one.received.event == move.event and one.step == step)
        number = lying.index(message)
        rest = (*lying[:number], *lying[number + 1 :])
        world = world._replace(under_way=rest) if move.kind == "hears" else world._replace(copies=rest)
        return world, message

    def _done(self, world: World, move: Move) -> World:
        """What an act changes where it is done: at its service, and at others of which its event speaks."""
        if move.role is Role.CANCELS:
            return world._replace(cancels=world.cancels - 1)
        number = self._index.get(move.step, -1)
        for one in self.concerned(move.event, number):
            if any(part == (Role.REOPENS, self._name(one)) for part in self.spec.parts[move.event]):
                world = self._taken_back(world, one)
        if move.role is Role.COMPLETES:
            step = self.spec.steps[number]
            again = world.left[number] - 1 if move.unmet or step.emit is not None or not step.repeat else 0
            left = with_at(world.left, number, again)
            return world._replace(deeds=with_at(world.deeds, number, Deed.DONE), left=left)
        if move.role is Role.FAILS:
            return self._refused(world, move, number)
        if move.role in (Role.UNDONE, Role.UNDO_FAILS):
            undos = with_at(world.undos, number, world.undos[number] - 1)
            deeds = with_at(world.deeds, number, _undone(world.deeds[number])) if move.role is Role.UNDONE else None
            return world._replace(undos=undos, deeds=deeds or world.deeds)
        if move.role is Role.LOSES:
            world = world._replace(deeds=with_at(world.deeds, number, Deed.TAKEN_BACK))
        return world._replace(said=world.said | {f"{move.step}:{move.event}"})

    def _taken_back(self, world: World, step: int) -> World:
        """What was done is not any more. A service that begins by itself may do it once more."""
        if world.deeds[step] is not Deed.DONE:
            return world
        more = int(self.spec.steps[step].emit is None)
        left = with_at(world.left, step, world.left[step] + more)
        return world._replace(deeds=with_at(world.deeds, step, Deed.TAKEN_BACK), left=left)

    def _refused(self, world: World, move: Move, number: int) -> World:
        if world.left[number]:
            deed = Deed.REFUSED if world.deeds[number] in (Deed.OPEN, Deed.PREVENTED) else world.deeds[number]
            left = with_at(world.left, number, world.left[number] - 1)
            return world._replace(deeds=with_at(world.deeds, number, deed), left=left)
        said = world.said | {f"{move.step}:{move.event}"}
        return world._replace(deeds=with_at(world.deeds, number, Deed.UNDONE), said=said)

    def after(self, world: World, decision: Decision) -> World:
        """The world once a decision is written down: the instance, its timers, its requests on their way."""
        timers = dict(world.timers)
        for name, due in decision.timers:
            timers.pop(name, None)
            if due is not None:
                timers[name] = due
        asked, undos, left = world.asked, world.undos, world.left
        for emit in decision.emits:
            number = self._index.get(emit.step or "", -1)
            if emit.kind == "do" and emit.step:
                asked = asked | {emit.step}
                left = with_at(left, number, left[number] + 1) if emit.round > 1 and emit.attempt == 1 else left
            elif emit.kind == "undo":
                undos = with_at(undos, number, undos[number] + 1)
        if decision.instance is not None and decision.instance.ended:
            for number in self._locks:  # they are given back
                world = self._taken_back(world, number)
        now = world.now + 1 if decision.emits else world.now
        told = tuple(sorted(timers.items()))
        return world._replace(instance=decision.instance, timers=told, asked=asked, undos=undos, left=left, now=now)

    # -- what is said --------------------------------------------------------------------------------------------------

    def _received(self, move: Move, at: int, count: int, instance: Instance | None = None) -> Received:
        fields: dict[str, Any] = {}
        number = self._index.get(move.step, -1)
        step = self.spec.steps[number] if number >= 0 else None
        if move.role in (Role.STARTS, Role.COMPLETES):
            fields |= {one.field: list(keys) for one, keys in self._lists.items() if (one.step or "") == move.step}
        if step is not None and step.for_each is not None and step.item_of:
            fields[step.for_each.key] = key_in(step.name)
        if step is not None and step.repeat is not None and move.role is Role.COMPLETES:
            fields[UNTIL] = not move.unmet
        if step is not None and step.lost_on:
            fields[CLAIM] = 0 if instance is None else instance.steps[step.name].run
        return Received(move.event, KEY, count.to_bytes(8, "big") + bytes(8), at, at, fields)

    def _name(self, step: int) -> str:
        return "" if step < 0 else self.spec.steps[step].name


def meaning(spec: Spec, given: Received) -> Iterator[Part]:
    """What an event means to a laid out spec: of a step that is done for each, to the item that it speaks of."""
    for part in spec.parts.get(given.event, ()):
        step = spec.by_name.get(part.step)
        rule = step.for_each if step is not None else None
        if step is None or rule is None:
            yield part
            continue
        of_it = bool(step.item_of) and given.fields.get(rule.key) == key_in(step.name)
        if of_it and part.role is not Role.ADDS:
            yield part


def _undone(deed: Deed) -> Deed:
    if deed is Deed.OPEN:
        return Deed.PREVENTED
    return Deed.UNDONE if deed is Deed.DONE else deed


def with_at(values: Sequence[Any], number: int, value: Any) -> tuple[Any, ...]:
    """The values with another one at this number."""
    return (*values[:number], value, *values[number + 1 :])
