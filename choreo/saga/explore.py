"""Model checking of a spec: `decide` in every world that its surroundings can lead to, up to a bound.

States that differ in nothing that can matter later are one: times count only by what came before what, data not at all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from operator import itemgetter
from typing import Any, NamedTuple

from choreo.events.event import Value
from choreo.saga.decide import decide as real_decide
from choreo.saga.decision import Decision, Due, Emit, Input, Received
from choreo.saga.draft import short
from choreo.saga.environment import Message, Move, Surroundings, World, left_out, variants
from choreo.saga.instance import Instance, StepRecord
from choreo.saga.promises import Broken, Witness, at_rest, hear, hear_again, judge, start
from choreo.saga.rules import Role, Spec

Decide = Callable[[Spec, Instance | None, Input], Decision]

WORDS = {"by", "undone_by", "problem", "fields", "due", "remind_due", "done_at", "undone_at", "since"}
"""Of a step's record: what is only told, and times, which are compared and not kept."""
FOREIGN = {"saga", "key", "version", "digest", "steps", "remembered", "seen", "correlation_id", "refused", "cause"} | {
    "started_at",
    "ended_at",
    "due",
}


def _reader(model: type[Value], left_out: set[str]) -> Callable[[Value], tuple[Any, ...]]:
    """Reads what matters of a value: as it is, or as text where it can't be hashed."""
    names = [name for name in model.model_fields if name not in left_out]
    odd = [name for name in names if not isinstance(model.model_fields[name].default, (str, int, tuple, type(None)))]
    read = itemgetter(*(name for name in names if name not in odd))

    def kept(value: Value) -> tuple[Any, ...]:
        fields = value.__dict__
        return (*read(fields), *(repr(fields[name]) for name in odd)) if odd else read(fields)

    return kept


of_record, of_all = _reader(StepRecord, WORDS), _reader(Instance, FOREIGN)


@dataclass(frozen=True)
class Bounds:
    """How far to look: states and moves in a row; and how often the world may cancel and hear something twice."""

    states: int = 20_000
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
    """A run that breaks a promise: with the fewest disturbances, and of those the shortest.

    `given` are the outcomes of conditions on data, in words.
    """

    promise: str
    says: str
    given: str
    turns: tuple[Turn, ...]


@dataclass
class Exploration:
    """What was looked at. A disturbance is a timer that comes due, a duplicate or a cancellation.

    Every run with fewer than `disturbances` of them was looked at; every run there is where no `bound` was hit.
    """

    states: int = 0
    depth: int = 0
    disturbances: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    """How many states at rest there are, by the status of the saga."""
    left_out: tuple[str, ...] = ()
    """What of the spec no run has."""
    bound: str | None = None
    counterexample: Counterexample | None = None

    @property
    def complete(self) -> bool:
        """Whether there is nothing beyond what was looked at."""
        return self.bound is None and self.counterexample is None


class Node(NamedTuple):
    """A state, and how it was reached: from `parent`, by `turn`. `broken` is the promise that this turn broke."""

    world: World
    witness: Witness
    parent: "Node | None" = None
    turn: Turn | None = None
    broken: Broken | None = None


class Waiting(NamedTuple):
    """A node in the queue: few disturbances first, then few moves, then in the order of finding."""

    disturbances: int
    depth: int
    number: int
    run: "_Run"
    node: Node
    key: tuple[Any, ...]


def explore(
    spec: Spec,
    lanes: Mapping[str, str] | None = None,
    bounds: Bounds | None = None,
    decide: Decide = real_decide,
) -> Exploration:
    """Look at every run of the spec up to the bounds; stops at the first counterexample.

    `lanes` names the topic of each event that keeps its order. The same call always gives the same answer.
    """
    bounds = bounds or Bounds()
    found, queue = Exploration(left_out=left_out(spec)), list[Waiting]()
    for number, (said, one) in enumerate(variants(spec)):
        run = _Run(Surroundings(one, lanes), decide, said)
        first = run.first(bounds)
        queue.append(Waiting(0, 0, number, run, first, run.key(first)))
    count = len(queue)
    while queue:
        waiting = heappop(queue)
        run, node = waiting.run, waiting.node
        if waiting.key in run.seen:
            continue
        if found.states >= bounds.states:
            found.bound = f"{bounds.states} states"
            return found
        run.seen.add(waiting.key)
        found.states, found.disturbances = found.states + 1, waiting.disturbances
        found.depth = max(found.depth, waiting.depth)
        broken = node.broken or run.resting(node, found)
        if broken is not None:
            turns = tuple(reversed(list(_turns(node))))
            found.counterexample = Counterexample(broken.promise, broken.says, run.given, turns)
            return found
        if waiting.depth >= bounds.depth:
            found.bound = f"{bounds.depth} moves in a row"
            continue
        for cost, new in run.following(node):
            key = run.key(new)
            if key not in run.seen:
                heappush(queue, Waiting(waiting.disturbances + cost, waiting.depth + 1, count, run, new, key))
                count += 1
    return found


class _Run:
    """The search around one variant of a spec."""

    def __init__(self, around: Surroundings, decide: Decide, given: str) -> None:
        self._around, self._decide, self.given = around, decide, given
        self.seen: set[tuple[Any, ...]] = set()
        self._names = [step.name for step in around.spec.steps]
        limits = {step.name: step.deadline_us for step in around.spec.steps}
        self._deadlines = {name: limit for name, limit in limits.items() if isinstance(limit, int)}

    def first(self, bounds: Bounds) -> Node:
        """Where every run begins."""
        return Node(self._around.begin(bounds.cancels, bounds.duplicates), start(self._around.spec))

    def resting(self, node: Node, found: Exploration) -> Broken | None:
        """Where nothing is under way and no timer is set: which promise that breaks, if any."""
        world = node.world
        if world.under_way or world.due:
            return None
        try:
            at_rest(self._around.spec, node.witness, world)
        except Broken as broken:
            return broken
        status = "not started" if world.instance is None else world.instance.status
        found.ends[status] = found.ends.get(status, 0) + 1
        return None

    def following(self, node: Node) -> Iterator[tuple[int, Node]]:
        """What each move leads to, and how many disturbances it is."""
        for move in self._around.moves(node.world):
            cost = int(move.kind == "due" or move.role in (Role.CANCELS, Role.COMPENSATES)) + int(move.kept)
            broken = None
            try:
                world, witness, decision = self._made(node, move)
            except Broken as error:
                broken, (world, witness, decision) = error, self._unjudged(node, move)
            yield cost, Node(world, witness, node, _turn(move, decision, world), broken)

    def _unjudged(self, node: Node, move: Move) -> tuple[World, Witness, Decision]:
        """What a move led to that broke a promise: a counterexample shows that turn too."""
        try:
            return self._made(node, move, judged=False)
        except Broken:
            return node.world, node.witness, Decision(node.world.instance)

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
                    return world._replace(early=(*world.early, given)), witness, decision
                if before is None or short(given.event_id) not in before.seen:
                    heard = hear_again if move.kind == "again" else hear
                    witness = heard(self._around.spec, witness, given)
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
        return world._replace(early=()), [given, *(replace(one, now=world.now) for one in world.early)]

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
            order = sorted({at for at in times if at is not None})
            steps.append(tuple([None if at is None else order.index(at) for at in times]))
            steps.append(told._replace(success_at=None))
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
            None if node.broken is None else node.broken.says,
        )

    def _of_record(self, name: str, record: StepRecord, now: int, instance: Instance | None) -> tuple[Any, ...]:
        deadline = self._deadlines.get(name)
        limit: Any = None
        if deadline is not None and instance is not None:
            limit = (now >= instance.started_at + deadline, record.due == instance.started_at + deadline)
        return (*of_record(record), record.due is not None, record.remind_due is not None, limit)

    def _of_all(self, instance: Instance) -> tuple[Any, ...]:
        cause = None if instance.cause is None else instance.cause.kind
        return (*of_all(instance), cause, instance.ended_at is not None)


def _message(message: Message) -> tuple[str, str, int]:
    return (message.lane, message.received.event, message.step)


def _turn(move: Move, decision: Decision, world: World) -> Turn:
    status = "" if world.instance is None else world.instance.status
    return Turn(move, decision.emits, decision.changes, status)


def _turns(node: Node | None) -> Iterator[Turn]:
    while node is not None and node.turn is not None:
        yield node.turn
        node = node.parent
