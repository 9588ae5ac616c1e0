"""What makes two states of an exploration one: all that can matter later. Times count only by what came before what,
data not at all, and it is the same which of several items something befell.
"""

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any, NamedTuple

from choreo.events.event import Value
from choreo.saga.draft import short
from choreo.saga.environment import Message, Surroundings, World
from choreo.saga.instance import Instance, StepRecord
from choreo.saga.moot import Moot
from choreo.saga.promises import Told, Witness
from choreo.saga.variants import CLAIM, UNTIL

Key = tuple[Any, ...]
TOLD_ONLY = {"by", "undone_by", "problem", "fields", "due", "remind_due", "done_at", "undone_at", "since", "items"}
"""Of a step's record: what is only told, and times, which are compared and not kept."""
FOREIGN = {"saga", "key", "version", "digest", "steps", "remembered", "seen", "correlation_id", "refused", "cause"} | {
    "started_at",
    "ended_at",
    "due",
    "held",
}


def _reader(model: type[Value], left_out: set[str]) -> Callable[[Value], Key]:
    """Reads what matters of a value: as it is, or as text where it can't be hashed."""
    names = [name for name in model.model_fields if name not in left_out]
    odd = [name for name in names if not isinstance(model.model_fields[name].default, (str, int, tuple, type(None)))]
    read = itemgetter(*(name for name in names if name not in odd))

    def kept(value: Value) -> Key:
        fields = value.__dict__
        return (*read(fields), *(repr(fields[name]) for name in odd)) if odd else read(fields)

    return kept


of_record, of_all = _reader(StepRecord, TOLD_ONLY), _reader(Instance, FOREIGN)

TIMES_AND_IDS = ("success_at", "undone_at", "request", "wanted")
of_told = itemgetter(*(number for number, name in enumerate(Told._fields) if name not in TIMES_AND_IDS))


class Lying(NamedTuple):
    """All events that were said and may be taken yet: under way, copies, kept before the start, held for their turn."""

    under_way: tuple[Message, ...]
    copies: tuple[Message, ...]
    early: tuple[Message, ...]
    held: tuple[tuple[str, int, int], ...]
    """Of each: its name, its step and when it was said."""


class Likeness:
    """The keys of the states around one variant of a spec: equal keys have equal futures, but for the times."""

    def __init__(self, around: Surroundings, moot: Moot | None = None) -> None:
        self._around, self._steps, self._moot = around, around.spec.steps, moot
        limits = {step.name: step.deadline_us for step in self._steps}
        self._deadlines = {name: limit for name, limit in limits.items() if isinstance(limit, int)}
        self._dated = bool(around.spec.policies)
        self._groups = list(self._interchangeable())
        self._numbers: dict[Key, int] = {}
        """Of each way in which a step was found: small, and quick to compare."""

    def _interchangeable(self) -> Iterator[tuple[int, ...]]:
        """Items of one step that are on its list from the beginning: one that is added is the last."""
        for step in self._around.as_written.steps:
            items = [number for number, one in enumerate(self._steps) if one.item_of == step.name]
            listed = items[:-1] if step.for_each is not None and step.for_each.adds_on else items
            if len(listed) > 1:
                yield tuple(listed)

    def key(self, world: World, witness: Witness) -> Key:
        """All of a state that can matter later."""
        lying, over = self._lying(world), self._moot.over(world, witness) if self._moot else frozenset[int]()
        times = self._times(lying)
        steps = [
            self._numbered(
                self._of_over(number, world) if number in over else self._of_step(number, times[number], world, witness)
            )
            for number in range(len(self._steps))
        ]
        place = list(range(len(steps)))
        around = self._around_items(world, lying) if self._groups else {}
        for items in self._groups:
            there = sorted(items, key=lambda number: (steps[number], around[number]))
            for item, number in zip(items, there, strict=True):
                place[number] = item
        instance = world.instance
        seen = () if instance is None else instance.seen
        names = {self._steps[number].name: self._steps[at].name for number, at in enumerate(place) if number != at}
        asked = world.asked.difference(self._steps[number].name for number in over) if over else world.asked

        def of_message(one: Message) -> Key:
            fields = one.received.fields
            at = place[one.step] if one.step >= 0 else -1
            return (one.lane, one.received.event, at, fields.get(UNTIL), fields.get(CLAIM))

        return (
            None if instance is None else self._of_all(instance),
            tuple(step for _, step in sorted(zip(place, steps, strict=True))),
            frozenset(names.get(name, name) for name in asked) if names else asked,
            frozenset(_renamed(said, names, ":") for said in world.said) if names else world.said,
            tuple(sorted(_renamed(name, names, "~") for name, _ in world.timers)),
            tuple(of_message(one) for one in lying.early),
            tuple(of_message(one) for one in lying.under_way),
            tuple(sorted((*map(repr, of_message(one)), short(one.received.event_id) in seen) for one in lying.copies)),
            tuple((event, place[step] if step >= 0 else -1) for event, step, _ in lying.held),
            world.cancels,
            world.duplicates,
            (witness.pivoted, witness.back, frozenset(names.get(name, name) for name in witness.excused)),
        )

    def _lying(self, world: World) -> Lying:
        held = () if world.instance is None else world.instance.held
        return Lying(
            tuple(sorted(world.under_way, key=lambda one: one.lane)),
            world.copies,
            world.early,
            tuple((one.event, self._around.step_of(one.event, one.fields), one.at) for one in held),
        )

    def _numbered(self, key: Key) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _times(self, lying: Lying) -> list[list[tuple[int, bool]]]:
        """For each step when the events that concern it were said, and whether they only answer its undo."""
        times: list[list[tuple[int, bool]]] = [[] for _ in self._steps]
        said = [(one.received.event, one.step, one.received.at) for messages in lying[:3] for one in messages]
        for event, step, at in (*said, *lying.held):
            for number in self._around.concerned(event, step):
                times[number].append((at, self._moot is not None and self._moot.only_answers(event, number)))
        return times

    def _of_step(self, number: int, said: list[tuple[int, bool]], world: World, witness: Witness) -> Key:
        step, instance = self._steps[number], world.instance
        told: Told = witness.steps[step.name]
        record = instance.steps.get(step.name) if instance is not None else None
        answers = self._moot is not None  # without it the time of each of them counts
        times: list[tuple[int | None, bool]] = [(told.success_at, False), (told.undone_at, answers), *said]
        known: Key = ()
        if record is not None:
            times += [(record.done_at, False), (record.undone_at, answers)]
            times.append((record.since if self._dated else None, False))
            known = self._of_record(step.name, record, world.now, instance)
        request, wanted = told.request, told.wanted
        if step.item_of:  # the ids of its requests tell it from the others
            request, wanted = request and b"undo", wanted and b"do"
        rest = (of_told(told), request, wanted)
        return (known, _ranks(times), rest, world.deeds[number], world.undos[number], world.left[number])

    def _of_over(self, number: int, world: World) -> Key:
        """Of a step that is over: where it stands, and what its service has done and may do."""
        assert world.instance is not None
        record = world.instance.steps.get(self._steps[number].name)
        return (record and record.state, world.deeds[number], world.undos[number], world.left[number])

    def twins(self, world: World, witness: Witness) -> frozenset[str]:
        """The items that stand exactly as an earlier one of their list: what befalls one may befall the other."""
        if not self._groups:
            return frozenset()
        lying = self._lying(world)
        times, around = self._times(lying), self._around_items(world, lying)
        found: set[str] = set()
        for items in self._groups:
            met: set[Key] = set()
            for number in items:
                stands = (self._of_step(number, times[number], world, witness), around[number])
                if stands in met:
                    found.add(self._steps[number].name)
                met.add(stands)
        return frozenset(found)

    def _around_items(self, world: World, lying: Lying) -> dict[int, Key]:
        """Where each item is spoken of, so that items that differ in that are told apart."""
        found: dict[int, list[tuple[str, int]]] = {number: [] for items in self._groups for number in items}
        for kind, messages in zip(Lying._fields, lying[:3], strict=False):
            for at, one in enumerate(messages):
                if one.step in found:
                    found[one.step].append((kind, at))
        names = [(timer.partition("~"), 0) for timer, _ in world.timers]
        names += [(said.partition(":"), 1) for said in sorted(world.said)] + [
            ((name, "", ""), 2) for name in world.asked
        ]
        for (name, mark, rest), at in names:
            number = self._around.number(name)
            if number in found:
                found[number].append((mark + rest, at))
        for at, (_, number, _) in enumerate(lying.held):
            if number in found:
                found[number].append(("held", at))
        return {number: tuple(spoken) for number, spoken in found.items()}

    def _of_record(self, name: str, record: StepRecord, now: int, instance: Instance | None) -> Key:
        deadline = self._deadlines.get(name)
        limit: Any = None
        if deadline is not None and instance is not None:
            limit = (now >= instance.started_at + deadline, record.due == instance.started_at + deadline)
        items = None if record.items is None else len(record.items)
        return (*of_record(record), record.due is not None, record.remind_due is not None, limit, items)

    def _of_all(self, instance: Instance) -> Key:
        cause = None if instance.cause is None else instance.cause.kind
        return (*of_all(instance), cause, instance.ended_at is not None)


def _renamed(text: str, names: dict[str, str], mark: str) -> str:
    """What begins with the name of an item, as if another had its place."""
    name, found, rest = text.partition(mark)
    return names.get(name, name) + found + rest


def _ranks(times: list[tuple[int | None, bool]]) -> tuple[int | None, ...]:
    """What came before what. Which of two answers to undos came first matters only where more lies between."""
    alone: dict[int, bool] = {}
    for at, answers in times:
        if at is not None:
            alone[at] = alone.get(at, True) and answers
    if len(alone) < 2:
        return tuple([None if at is None else 0 for at, _ in times])
    ranks: dict[int, int] = {}
    rank, before = 0, False
    for at in sorted(alone):
        rank += not (before and alone[at])
        ranks[at], before = rank, alone[at]
    return tuple([None if at is None else ranks[at] for at, _ in times])
