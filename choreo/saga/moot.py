"""What of a world is moot: it can change nothing any more. States that differ only in that are one, so there are fewer.

Nothing is taken for moot on trust: in each state `Moot.hold` asks `decide` whether it would leave alone all that has
been forgotten by then. Where it would not, the exploration begins again and forgets nothing.
"""

from collections.abc import Callable, Iterator
from itertools import cycle

from choreo.saga.decision import Decision, Input, Received
from choreo.saga.draft import short
from choreo.saga.environment import KEY, Deed, Move, Surroundings, World, with_at
from choreo.saga.instance import UNDOING, Instance, StepState
from choreo.saga.items import key_in
from choreo.saga.promises import Witness
from choreo.saga.rules import Role, Spec, Step

Decide = Callable[[Spec, Instance | None, Input], Decision]
UNHEARD = b"\xff" * 16
"""The id of an event that was never said."""


class Matters(Exception):
    """`decide` does something with what was taken for moot."""


class Moot:
    """Tells what is moot around the sagas of one spec."""

    def __init__(self, around: Surroundings) -> None:
        self._around, self._spec, self._steps = around, around.spec, around.spec.steps
        self._plain = [self._is_plain(step) for step in self._steps]
        """Steps that happen once at most, can be undone, and whose events mean nothing else."""
        self._kept = [number for number, step in enumerate(self._steps) if self._is_kept(step)]
        """Steps that stay as they are when the saga goes back."""
        self._answers = {
            (event, number)
            for number, step in enumerate(self._steps)
            for event in (step.compensate.done_on if step.compensate else ())
            if len(self._spec.parts[event]) == 1
        }
        asked = (self._spec.cancels_on, self._spec.compensates_on)
        named = [one.event for one in asked if one]
        self._returns = [event for event in named if self._alone(event)]
        """What cancels the saga or takes it back."""
        self._cancels = self._spec.cancels_on is not None and self._spec.cancels_on.event in self._returns
        undo = self._spec.compensates_on
        self._taken_back = {f":{undo.event}"} if undo is not None and undo.event in self._returns else frozenset[str]()
        lanes = [around.lane(event) for event in self._spec.parts]
        self._in_order = {event for event in self._spec.parts if lanes.count(around.lane(event)) > 1}
        """Events that keep their order with others."""
        self._all = list(self._events())

    def _is_plain(self, step: Step) -> bool:
        return step.compensate is not None and self._is_simple(step)

    def _is_kept(self, step: Step) -> bool:
        return step.compensate is None and not step.keeps and self._is_simple(step)

    def _is_simple(self, step: Step) -> bool:
        rule = step.for_each
        again = step.repeat or step.reopens_on or step.lost_on or step.fans_out or (rule is not None and rule.adds_on)
        if again or any(event in self._spec.policies for event in (*_ends(step), *step.completes_on)):
            return False
        parts = self._spec.parts
        alone = all(len(parts[event]) == 1 for event in step.completes_on)
        return alone and all({part.step for part in parts[event]} == {step.whole} for event in _ends(step))

    def _alone(self, event: str) -> bool:
        """Whether an event means one thing, and is taken as ever at no good time."""
        return len(self._spec.parts[event]) == 1 and event not in self._spec.policies

    def _events(self) -> Iterator[tuple[str, int]]:
        """Each event, of each item of which it may speak; -1: of none."""
        wholes = {step.item_of for step in self._steps if step.item_of}
        for event, parts in self._spec.parts.items():
            of_items = {part.step for part in parts} & wholes
            found = [number for number, step in enumerate(self._steps) if step.item_of in of_items]
            yield from ((event, number) for number in (found if of_items else [-1]))

    # -- what is moot --------------------------------------------------------------------------------------------------

    def forgotten(self, world: World, witness: Witness) -> World:
        """The world without what is moot. A duplicate that is of no use has not happened: there may be another one."""
        instance = world.instance
        if instance is None:
            return world
        copies = tuple(one for one in world.copies if short(one.received.event_id) not in instance.seen)
        if len(copies) < len(world.copies):
            duplicates = world.duplicates + len(world.copies) - len(copies)
            world = world._replace(copies=copies, duplicates=duplicates)
        for number in self.settled(world, witness):
            world = self._unanswered(world, number)
        for number, count in enumerate(world.undos):
            if count and (count > 1 or world.under_way):
                world = self._answered_once(world, instance, number)
        return self._not_taken_back(world, instance)

    def settled(self, world: World, witness: Witness) -> tuple[int, ...]:
        """The steps that certainly did not happen, or are undone, and of which no success can be heard any more."""
        instance = world.instance
        if instance is None:
            return ()
        steps = enumerate(self._steps)
        over = [number for number, step in steps if not world.left[number] and self._is_over(instance, step, witness)]
        return tuple(number for number in over if world.deeds[number] is not Deed.DONE and self._certain(world, number))

    def over(self, world: World, witness: Witness) -> frozenset[int]:
        """The steps of which nothing matters any more but what a service does yet, as the saga goes back."""
        instance = world.instance
        if instance is None or instance.cause is None:
            return frozenset()
        return frozenset((*self._kept, *self.settled(world, witness)))

    def only_answers(self, event: str, number: int) -> bool:
        """Whether an event says nothing of a step but that it is undone."""
        return (event, number) in self._answers

    def _is_over(self, instance: Instance, step: Step, witness: Witness) -> bool:
        record, told = instance.steps.get(step.name), witness.steps[step.name]
        if record is None:
            return False
        if record.state is StepState.COMPENSATED:
            return told.undone
        return record.state is StepState.FAILED and told.failed and told.success_at is None and not told.stands

    def _certain(self, world: World, number: int) -> bool:
        """Whether no success of a step can be heard any more: none is to come, none is said and not heard."""
        if not self._plain[number] or world.left[number]:
            return False
        lying, completes = (*world.under_way, *world.copies, *world.early), self._steps[number].completes_on
        return not any(one.step == number and one.received.event in completes for one in lying)

    def _unanswered(self, world: World, number: int) -> World:
        """Nobody asks any more what became of a settled step."""
        moot = _ends(self._steps[number])
        gone = [one for one in world.copies if one.step == number and one.received.event in moot]
        copies = tuple(one for one in world.copies if one not in gone)
        under_way = tuple(one for one in world.under_way if one.step != number or one.received.event not in moot)
        undos, duplicates = with_at(world.undos, number, 0), world.duplicates + len(gone)
        return world._replace(undos=undos, under_way=under_way, copies=copies, duplicates=duplicates)

    def _answered_once(self, world: World, instance: Instance, number: int) -> World:
        """Of several answers to one undo the first one settles it, where all of them say that it is undone."""
        record, undo = instance.steps.get(self._steps[number].name), self._steps[number].compensate
        if record is None or record.state not in UNDOING or undo is None or undo.fails_on:
            return world
        if not self._certain(world, number):
            return world
        said = [one for one in world.under_way if one.step == number and one.received.event in undo.done_on]
        said = [one for one in said if record.done_at is None or one.received.at > record.done_at]
        under_way = tuple(one for one in world.under_way if one not in said[1:])
        return world._replace(under_way=under_way, undos=with_at(world.undos, number, 0 if said else 1))

    def _not_taken_back(self, world: World, instance: Instance) -> World:
        """What goes back already, or has gone, can't be cancelled or taken back any more."""
        if instance.cause is None or not self._returns:
            return world
        return world._replace(cancels=0 if self._cancels else world.cancels, said=world.said | self._taken_back)

    def at_once(self, world: World, move: Move) -> Move:
        """The answer to an undo may as well be said when it is heard, where no success can come in between."""
        if move.kind != "acts" or move.role is not Role.UNDONE or move.event in self._in_order:
            return move
        busy = any(one.received.event == move.event for one in world.under_way)
        sure = not busy and self._certain(world, self._around.number(move.step))
        return move._replace(kind="says") if sure else move

    # -- held against decide -------------------------------------------------------------------------------------------

    def hold(self, decide: Decide, world: World, witness: Witness) -> None:
        """Ask `decide` whether it leaves alone all that may have been forgotten by now. Raises Matters."""
        instance = world.instance
        if instance is None:
            return
        asked = self._around.as_written
        for (event, number), known in zip(self._all, cycle(instance.seen), strict=False):
            _leave(decide, asked, instance, self._said(world, event, number, bytes.fromhex(known) + bytes(8)))
        for number in self.settled(world, witness):
            for event in _ends(self._steps[number]):
                _leave(decide, asked, instance, self._said(world, event, number))
        for event in self._returns if instance.cause is not None else ():
            _leave(decide, asked, instance, self._said(world, event, -1))

    def _said(self, world: World, event: str, number: int, event_id: bytes = UNHEARD) -> Received:
        rule = self._steps[number].for_each if number >= 0 else None
        fields = {} if rule is None else {rule.key: key_in(self._steps[number].name)}
        return Received(event, KEY, event_id, world.now, world.now, fields)


def remembered(before: Instance | None, after: Instance | None) -> None:
    """An instance recognises for ever what it has seen. Raises Matters where it does not."""
    if before is not None and (after is None or after.seen[: len(before.seen)] != before.seen):
        raise Matters


def _leave(decide: Decide, spec: Spec, instance: Instance, given: Received) -> None:
    """Nothing follows from an event but that it was seen. Raises Matters."""
    try:
        decision = decide(spec, instance, given)
    except Exception:
        raise Matters from None  # the run in which it breaks down is for the exploration to find
    after = decision.instance
    same = after is instance or (after is not None and after.model_copy(update={"seen": instance.seen}) == instance)
    if not same or decision.emits or decision.timers or decision.letters or decision.keep:
        raise Matters


def _ends(step: Step) -> tuple[str, ...]:
    """The events that say what became of a step or of its undo, but that it happened."""
    undo = step.compensate
    return (*step.fails_on, *step.unknown_on, *(undo.done_on if undo else ()), *(undo.fails_on if undo else ()))
