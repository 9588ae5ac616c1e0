"""Model checking of a spec: `decide` in every world that its surroundings can lead to, breadth first, up to a bound.

States that differ in nothing that can matter later are one: times count only by what came before what, data not at all.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from choreo.saga.decide import decide as real_decide
from choreo.saga.decision import Decision, Due, Emit, Input, Received
from choreo.saga.draft import short
from choreo.saga.environment import Message, Move, Surroundings, World, variants
from choreo.saga.instance import Instance, StepRecord
from choreo.saga.promises import Broken, Witness, at_rest, hear, judge, start
from choreo.saga.rules import Role, Spec

Decide = Callable[[Spec, Instance | None, Input], Decision]

WORDS = {"by", "undone_by", "problem", "fields", "due", "done_at", "undone_at"}
"""Of a step's record: what is only told, and times, which are compared and not kept."""
KEPT = tuple(name for name in StepRecord.model_fields if name not in WORDS)
FOREIGN = {"saga", "key", "version", "digest", "steps", "remembered", "seen", "correlation_id", "refused", "cause"} | {
    "started_at",
    "ended_at",
    "due",
}
KEPT_OF_ALL = tuple(name for name in Instance.model_fields if name not in FOREIGN)


@dataclass(frozen=True)
class Bounds:
    """How far to look: states and moves in a row; and how often the world may cancel and hear something twice."""

    states: int = 100_000
    depth: int = 200
    cancels: int = 1
    duplicates: int = 1


class Turn(NamedTuple):
    """One move of a run, what followed from it, and where the saga stood then."""

    move: Move
    emits: tuple[Emit, ...]
    changes: tuple[str, ...]
    status: str


@dataclass(frozen=True)
class Counterexample:
    """The shortest run that breaks a promise. `given` are the outcomes of conditions on data, in words."""

    promise: str
    says: str
    given: str
    turns: tuple[Turn, ...]


@dataclass
class Exploration:
    """What was looked at. `complete` means that there is nothing beyond: no bound was hit."""

    states: int = 0
    depth: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    """How many states at rest there are, by the status of the saga."""
    bound: str | None = None
    counterexample: Counterexample | None = None

    @property
    def complete(self) -> bool:
        return self.bound is None and self.counterexample is None


class Node(NamedTuple):
    """A state, and how it was first reached: `parent` and the turn that led here."""

    world: World
    witness: Witness
    parent: "Node | None"
    turn: Turn | None
    depth: int


def explore(
    spec: Spec,
    lanes: Mapping[str, str] | None = None,
    bounds: Bounds | None = None,
    decide: Decide = real_decide,
) -> Exploration:
    """Look at every run of the spec up to the bounds; stops at the first, shortest, counterexample.

    `lanes` names the topic of each event that keeps its order. The same call always gives the same answer.
    """
    bounds = bounds or Bounds()
    found = Exploration()
    queues = [
        (said, _Run(Surroundings(one, lanes), decide, bounds.depth), set[Any](), deque[Node]())
        for said, one in variants(spec)
    ]
    for _, run, seen, queue in queues:
        node = run.first(bounds)
        seen.add(run.key(node))
        queue.append(node)
        found.states += 1
    # Level by level over all outcomes of conditions, so that the first counterexample is the shortest of all.
    while any(queue for *_, queue in queues):
        for said, run, seen, queue in queues:
            for _ in range(len(queue)):
                node = queue.popleft()
                broken = run.expand(node, seen, queue, found)
                if broken is not None:
                    found.counterexample = replace(broken, given=said)
                    return found
                if found.states >= bounds.states:
                    found.bound = f"{bounds.states:,} states"
                    return found
    return found


class _Run:
    """The search around one variant of a spec."""

    def __init__(self, around: Surroundings, decide: Decide, depth: int) -> None:
        self._around, self._decide, self._depth = around, decide, depth
        self._names = [step.name for step in around.spec.steps]
        self._deadlines = {step.name: step.deadline_us for step in around.spec.steps if step.deadline_us is not None}

    def first(self, bounds: Bounds) -> Node:
        return Node(self._around.begin(bounds.cancels, bounds.duplicates), start(self._around.spec), None, None, 0)

    def expand(self, node: Node, seen: set[Any], queue: deque[Node], found: Exploration) -> Counterexample | None:
        """Queue what is new after each move; a broken promise ends the search."""
        world = node.world
        if not world.under_way and not world.due:
            try:
                at_rest(self._around.spec, world)
            except Broken as broken:
                return _counterexample(broken, node)
            status = "never started" if world.instance is None else world.instance.status
            found.ends[status] = found.ends.get(status, 0) + 1
        if node.depth >= self._depth:
            found.bound = f"{self._depth} moves"
            return None
        for move in self._around.moves(world):
            try:
                after, witness, decision = self._made(node, move)
            except Broken as broken:
                return _counterexample(broken, _told(node, move, *_quietly(self, node, move)))
            new = Node(after, witness, node, None, node.depth + 1)
            key = self.key(new)
            if key in seen:
                continue
            seen.add(key)
            found.states, found.depth = found.states + 1, max(found.depth, new.depth)
            queue.append(new._replace(turn=_turn(move, decision, after)))
        return None

    def _made(self, node: Node, move: Move, *, judged: bool = True) -> tuple[World, Witness, Decision]:
        """What a move leads to. Raises Broken where `decide` breaks a promise, or breaks down."""
        world, message = self._around.make(node.world, move)
        witness, decision = node.witness, Decision(world.instance)
        if move.kind == "due":
            inputs: list[Input] = [Due(move.event, world.now)]
        elif message is None:
            return world, witness, decision
        else:
            world, inputs = self._inputs(world, message.received)
        for given in inputs:
            before = decision.instance
            later = self._asked(before, given)
            if isinstance(given, Received):
                if later.keep:
                    return replace(world, early=(*world.early, given)), witness, decision
                fresh = before is None or short(given.event_id) not in before.seen
                witness = hear(self._around.spec, witness, given) if fresh and move.kind != "again" else witness
            if judged:
                received = given if isinstance(given, Received) else None
                witness = judge(self._around.spec, witness, before, received, later)
            decision = decision.then(later)
        return self._around.after(world, decision), witness, decision

    def _inputs(self, world: World, received: Received) -> tuple[World, list[Input]]:
        """An event, or with the start all that came before it, as the coordinator hands it over."""
        given = replace(received, now=world.now)
        if world.instance is not None or received.event != self._around.spec.starts_on:
            return world, [given]
        return replace(world, early=()), [given, *(replace(one, now=world.now) for one in world.early)]

    def _asked(self, before: Instance | None, given: Input) -> Decision:
        try:
            return self._decide(self._around.spec, before, given)
        except Exception as error:
            raise Broken("decide answers every input", f"it raised {type(error).__name__}: {error}") from error

    # -- what makes two states one -------------------------------------------------------------------------------------

    def key(self, node: Node) -> tuple[Any, ...]:
        """All of a state that can matter later. Equal keys have equal futures, but for the times."""
        world = node.world
        instance = world.instance
        seen = () if instance is None else instance.seen
        messages = sorted(world.under_way, key=lambda one: one.lane)
        steps: list[Any] = []
        for number, name in enumerate(self._names):
            told = node.witness.steps[name]
            record = instance.steps.get(name) if instance is not None else None
            times = [told.success_at]
            times += [one.received.at for one in (*messages, *world.copies) if one.step == number]
            if record is not None:
                times += [record.done_at, record.undone_at]
                steps.append(self._of_record(name, record, world.now, instance))
            order = {at: place for place, at in enumerate(sorted({at for at in times if at is not None}))}
            steps.append(tuple(None if at is None else order[at] for at in times))
            steps.append((told.asked, told.begun, told.failed, told.undone, told.fresh, told.request, told.attempt))
        return (
            None if instance is None else self._of_all(instance),
            tuple(steps),
            world.deeds,
            world.undos,
            world.asked,
            world.said,
            tuple(name for name, _ in world.timers),
            tuple(one.event for one in world.early),
            tuple(_message(one) for one in messages),
            tuple(sorted((*_message(one), short(one.received.event_id) in seen) for one in world.copies)),
            world.cancels,
            world.duplicates,
            node.witness.pivoted,
        )

    def _of_record(self, name: str, record: StepRecord, now: int, instance: Instance | None) -> tuple[Any, ...]:
        kept = record.__dict__
        deadline = self._deadlines.get(name)
        limit: Any = None
        if deadline is not None and instance is not None:
            limit = (now >= instance.started_at + deadline, record.due == instance.started_at + deadline)
        return (*(_plain(kept[field]) for field in KEPT), record.due is not None, limit)

    def _of_all(self, instance: Instance) -> tuple[Any, ...]:
        kept = instance.__dict__
        cause = None if instance.cause is None else instance.cause.kind
        return (*(_plain(kept[field]) for field in KEPT_OF_ALL), cause, instance.ended_at is not None)


def _plain(value: Any) -> Any:
    """As it is, or as text where it can't be compared by a hash."""
    return value if isinstance(value, (str, int, bool, type(None), tuple)) else repr(value)


def _message(message: Message) -> tuple[str, str, int]:
    return (message.lane, message.received.event, message.step)


def _turn(move: Move, decision: Decision, world: World) -> Turn:
    status = "" if world.instance is None else world.instance.status
    return Turn(move, decision.emits, decision.changes, status)


def _quietly(run: _Run, node: Node, move: Move) -> tuple[World, Decision]:
    """What a move led to, broken promises or not: a counterexample shows the turn that broke it."""
    try:
        world, _, decision = run._made(node, move, judged=False)
    except Broken:
        return node.world, Decision(node.world.instance)
    return world, decision


def _told(node: Node, move: Move, world: World, decision: Decision) -> Node:
    return Node(world, node.witness, node, _turn(move, decision, world), node.depth + 1)


def _counterexample(broken: Broken, node: Node) -> Counterexample:
    return Counterexample(broken.promise, broken.says, "", tuple(reversed(list(_turns(node)))))


def _turns(node: Node | None) -> Iterator[Turn]:
    while node is not None and node.turn is not None:
        yield node.turn
        node = node.parent


__all__ = ["Bounds", "Counterexample", "Exploration", "Role", "Turn", "explore"]
