"""Model checking of a spec: `decide` in every world that its surroundings can lead to, up to a bound.

States that differ in nothing that can matter later are one: times count only by what came before what, data not at all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from choreo.saga.alike import Key, Likeness
from choreo.saga.circle import circle
from choreo.saga.decide import decide as real_decide
from choreo.saga.decide import take_early
from choreo.saga.decision import REMINDS, Decision, Due, Emit, Input, Received
from choreo.saga.draft import short
from choreo.saga.environment import Message, Move, Surroundings, World
from choreo.saga.explain import waits_for
from choreo.saga.instance import Instance
from choreo.saga.moot import Decide, Matters, Moot, remembered
from choreo.saga.policies import Timing
from choreo.saga.promises import (
    ANSWERS,
    ENDS,
    Broken,
    Witness,
    at_rest,
    doubt,
    hear,
    hear_again,
    judge,
    set_aside,
    start,
)
from choreo.saga.reception import Reception, hold_to_turn, reception_of, released
from choreo.saga.rules import Role, Spec
from choreo.saga.variants import Variant, left_out, variants


@dataclass(frozen=True)
class Bounds:
    """How far to look: states and moves in a row; and how often the world may cancel and hear something twice."""

    states: int = 3_000
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


class Made(NamedTuple):
    """What a move led to: the world, the event that was heard, what is known by then, and what was decided."""

    world: World
    message: Message | None
    witness: Witness
    decision: Decision


class Waiting(NamedTuple):
    """A node in the queue: few disturbances first, then few moves, then in the order of finding. `state` is its number
    in its run.
    """

    disturbances: int
    depth: int
    number: int
    run: "Run"
    node: Node
    state: int


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
    try:
        return _searched(spec, [Run(variant, lanes, decide, forgets=True) for variant in variants(spec)], bounds)
    except Matters:
        return _searched(spec, [Run(variant, lanes, decide, forgets=False) for variant in variants(spec)], bounds)


def _searched(spec: Spec, runs: "list[Run]", bounds: Bounds) -> Exploration:
    found, queue = Exploration(left_out=left_out(spec)), list[Waiting]()
    for number, run in enumerate(runs):
        first = run.first(bounds)
        queue.append(Waiting(0, 0, number, run, first, run.state(first)))
    count = len(queue)
    while queue:
        waiting = heappop(queue)
        run, node = waiting.run, waiting.node
        if waiting.state in run.seen:
            continue
        if found.states >= bounds.states:
            found.bound = f"{bounds.states} states"
            break
        run.seen[waiting.state] = node
        found.states, found.disturbances = found.states + 1, waiting.disturbances
        found.depth = max(found.depth, waiting.depth)
        broken = node.broken or run.resting(node, found.ends)
        if broken is not None:
            found.counterexample = Counterexample(broken.promise, broken.says, run.given, _turns(node))
            return found
        if waiting.depth >= bounds.depth:
            found.bound = f"{bounds.depth} moves in a row"
            continue
        for cost, new in run.following(node):
            state = run.state(new)
            run.leads[waiting.state].append(state)
            if state not in run.seen:
                heappush(queue, Waiting(waiting.disturbances + cost, waiting.depth + 1, count, run, new, state))
                count += 1
    found.counterexample = next(filter(None, (run.endless() for run in runs)), None)
    return found


class Run:
    """The search around one variant of a spec; what is moot is forgotten where `forgets` says so."""

    def __init__(self, variant: Variant, lanes: Mapping[str, str] | None, decide: Decide, *, forgets: bool) -> None:
        self._around = Surroundings(variant.spec, lanes, variant.lists)
        self._decide, self.given = decide, variant.said
        self._moot = Moot(self._around) if forgets else None
        self._alike = Likeness(self._around, self._moot)
        self._states: dict[Key, int] = {}
        self.seen: dict[int, Node] = {}
        self.leads: list[list[int]] = []
        """Which states follow each, by their numbers."""

    def state(self, node: Node) -> int:
        """The number of the state of a node; what matters alike has one number."""
        key = (*self._alike.key(node.world, node.witness), node.broken and node.broken.says)
        number = self._states.setdefault(key, len(self._states))
        if number == len(self.leads):
            self.leads.append([])
        return number

    def first(self, bounds: Bounds) -> Node:
        """Where every run begins."""
        return Node(self._around.begin(bounds.cancels, bounds.duplicates), start(self._around.spec))

    def resting(self, node: Node, ends: dict[str, int]) -> Broken | None:
        """Where nothing is under way and no timer is set: which promise that breaks; where none, `ends` counts it."""
        world = node.world
        if world.under_way or world.due:
            return None
        status = "not started"
        if world.instance is not None:
            status = world.instance.status
            try:
                at_rest(self._around.spec, node.witness, world, waits_for(self._around.as_written, world.instance))
            except Broken as broken:
                return broken
        ends[status] = ends.get(status, 0) + 1
        return None

    def endless(self) -> Counterexample | None:
        """A run that comes back to a state in which it was: it may go on like that for ever."""
        way = circle(self.leads)
        if not way:
            return None
        node = self.seen[way[0]]
        for state in (*way[1:], way[0]):
            node = next(new for _, new in self.following(node) if self.state(new) == state)
        moves = "move" if len(way) == 1 else f"{len(way)} moves"
        says = f"the last {moves} may follow again and again, for ever"
        return Counterexample(ENDS, says, self.given, _turns(node))

    def following(self, node: Node) -> Iterator[tuple[int, Node]]:
        """What each move leads to, and how many disturbances it is."""
        for move in self._moves(node):
            cost = int(move.kind == "due" or move.role in (Role.CANCELS, Role.COMPENSATES))
            broken, message = None, None
            try:
                world, message, witness, decision = self._made(node, move)
            except Broken as error:
                broken, (world, _, witness, decision) = error, self._unjudged(node, move)
            turn = _turn(move, decision, world)
            left = world if broken else self._without_moot(node, world, witness)
            yield cost, Node(left, witness, node, turn, broken)
            if message is None or not world.duplicates or move.kind == "again":
                continue
            if self._moot is not None and _recognised(world, message):
                continue  # to hear it again is as good as not to
            copied = world._replace(duplicates=world.duplicates - 1, copies=(*world.copies, message))
            left, again = self._without_moot(node, copied, witness), move._replace(kept=True)
            yield cost + 1, Node(left, witness, node, turn._replace(move=again))

    def _moves(self, node: Node) -> Iterator[Move]:
        moot, moves = self._moot, self._around.moves(node.world)
        if moot is None:
            return moves
        moot.hold(self._decide, node.world, node.witness)
        twins = self._alike.twins(node.world, node.witness)
        found = (moot.at_once(node.world, move) for move in moves)
        return (move for move in found if move.step.removesuffix(REMINDS) not in twins) if twins else found

    def _without_moot(self, node: Node, world: World, witness: Witness) -> World:
        if self._moot is None:
            return world
        remembered(node.world.instance, world.instance)
        return self._moot.forgotten(world, witness)

    def _unjudged(self, node: Node, move: Move) -> Made:
        """What a move led to that broke a promise: a counterexample shows that turn too."""
        try:
            return self._made(node, move, judged=False)
        except Broken:
            return Made(node.world, None, node.witness, Decision(node.world.instance))

    def _made(self, node: Node, move: Move, *, judged: bool = True) -> Made:
        """What a move leads to. Raises Broken where `decide` breaks a promise, or breaks down."""
        world, message = self._around.make(node.world, move)
        witness, decision = node.witness, Decision(world.instance)
        if move.kind == "due":
            inputs: list[Input] = [Due(move.event, world.now)]
        elif message is None:
            return Made(world, None, witness, decision)
        else:
            world, inputs = self._inputs(world, message)
        for number, given in enumerate(inputs):
            before = decision.instance
            later = self._asked(before, given, early=number > 0)
            if later.keep and message is not None:
                return Made(world._replace(early=(*world.early, message)), message, witness, decision)
            received = given if isinstance(given, Received) else None
            if judged and received is not None and number == 0 and move.kind != "again":
                hold_to_turn(self._around.spec, witness, before, received, later)
            witness = self._told(witness, before, given, later, again=move.kind == "again")
            if judged:
                witness = judge(self._around.spec, witness, before, received, later)
            decision = decision.then(later) if number else later
        return Made(self._around.after(world, decision), message, witness, decision)

    def _inputs(self, world: World, message: Message) -> tuple[World, list[Input]]:
        """An event, or with the start all that came before it, as the coordinator hands it over."""
        given = message.received._replace(now=world.now)
        if world.instance is not None or given.event != self._around.spec.starts_on:
            return world, [given]
        early = (one.received._replace(now=world.now) for one in world.early)
        return world._replace(early=()), [given, *early]

    def _told(
        self, witness: Witness, before: Instance | None, given: Input, later: Decision, *, again: bool
    ) -> Witness:
        """What the coordinator knows after an input: of its event, and of those that it kept for their turn."""
        spec = self._around.spec
        if isinstance(given, Due) and given.timer in witness.steps:
            witness = doubt(witness, given.timer)
        new = isinstance(given, Received) and (before is None or short(given.event_id) not in before.seen)
        events = [given] if isinstance(given, Received) and new else []
        for one in (*events, *released(before, later, given.now)):
            if one is not given:
                witness = witness._replace(back=later.instance is not None and later.instance.cause is not None)
            reception = reception_of(spec, before, one, later)
            if reception is Reception.TAKEN:
                witness = (hear_again if again else hear)(spec, witness, one)
            elif reception is Reception.SET_ASIDE:
                witness = set_aside(spec, witness, one)
        return witness

    def _asked(self, before: Instance | None, given: Input, *, early: bool) -> Decision:
        spec = self._around.as_written
        try:
            if early and isinstance(given, Received) and before is not None and _fails_early(spec, given.event):
                return take_early(spec, before, given)
            return self._decide(spec, before, given)
        except Exception as error:
            raise Broken(ANSWERS, f"it raised {type(error).__name__}: {error}") from error


def _fails_early(spec: Spec, event: str) -> bool:
    """Whether an event that comes before the start fails the saga, which only the start itself can tell."""
    policy = spec.policies.get(event, {}).get(Timing.EARLY)
    return policy is not None and policy.does == "fail"


def _recognised(world: World, message: Message) -> bool:
    return world.instance is not None and short(message.received.event_id) in world.instance.seen


def _turn(move: Move, decision: Decision, world: World) -> Turn:
    status = "" if world.instance is None else world.instance.status
    return Turn(move, decision.emits, decision.changes, status)


def _turns(node: Node) -> tuple[Turn, ...]:
    turns = []
    at: Node | None = node
    while at is not None and at.turn is not None:
        turns.append(at.turn)
        at = at.parent
    return tuple(reversed(turns))
