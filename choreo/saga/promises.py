"""What `decide` promises, held against what it was told and what it emitted; its own records are hardly believed.

Every run ends or says what it waits for; what completed or may have is undone exactly once, in the reversed partial
order; nothing is undone beyond a pivot; nothing is emitted after the end.
"""

from collections.abc import Sequence
from typing import NamedTuple

from choreo.saga.decision import Decision, Emit, Received
from choreo.saga.environment import Deed, World, meaning
from choreo.saga.instance import IN_FLIGHT, Instance, StepState
from choreo.saga.rules import Role, Spec, Step
from choreo.saga.variants import CLAIM, UNTIL


class Told(NamedTuple):
    """What the coordinator was told of one step and asked for. Times are microseconds, for comparing only."""

    asked: bool = False
    begun: bool = False
    """It may be happening, and the coordinator knows."""
    success_at: int | None = None
    """Of the run that counts now."""
    stands: bool = False
    """An earlier run, which has to be followed by another one, happened all the same."""
    failed: bool = False
    skipped: bool = False
    undone: bool = False
    undone_at: int | None = None
    """Where it may be done again."""
    fresh: bool = False
    """No undo has been asked for since a success was heard. One that is heard after the answer to its undo, but was
    said before it, counts too: `decide` does not trust the order of two topics and undoes it once more."""
    refused: bool = False
    """Its undo was asked for as often as it may be, and the answer was no: that is for an operator now."""
    request: bytes = b""
    attempt: int = 0
    wanted: bytes = b""
    """Under which id it was asked for last, and as which attempt."""
    tries: int = 0
    run: int = 1
    again: bool = False
    """What was heard calls for another run."""
    held: int | None = None
    """Of a lock: which grant of it is held."""

    @property
    def counts(self) -> bool:
        """Whether, as an item, it is one of those of which enough must be done."""
        return self.success_at is not None and not self.undone

    @property
    def to_undo(self) -> bool:
        """Whether it completed, or may have, and isn't undone."""
        may_have = self.begun and not self.failed and not self.skipped
        return not self.undone and (self.success_at is not None or self.stands or may_have)


class Witness(NamedTuple):
    """All that was told, step by step. `pivoted`: a pivot was done while the saga went forward; `back`: it goes back.

    `excused` are the steps of which a policy left an event aside: what really became of them is not known. Of those in
    `doubtful` a timer came due, or it was said that they may have happened: whether they are waited for is not known.
    """

    steps: dict[str, Told]
    pivoted: bool = False
    back: bool = False
    excused: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()


class Broken(Exception):
    """A promise is broken: which one, and how."""

    def __init__(self, promise: str, says: str) -> None:
        super().__init__(says)
        self.promise, self.says = promise, says


ANSWERS, ENDS, ONCE, ORDER, PIVOT, SILENT, LOCKED, TIMELY = (
    "decide answers every input",
    "every run ends or is visibly stuck",
    "what completed or may have is undone exactly once",
    "undone in the reversed order",
    "nothing is undone beyond a pivot",
    "nothing is emitted after the end",
    "nothing begins without the lock",
    "an event is taken in its turn, and before it as the spec says",
)
OUTCOMES = (Role.COMPLETES, Role.FAILS, Role.UNKNOWN)


def start(spec: Spec) -> Witness:
    """Nothing is told yet."""
    return Witness({step.name: Told() for step in spec.steps})


def hear(spec: Spec, witness: Witness, given: Received) -> Witness:
    """The coordinator is told of an event that it has not heard before."""
    for role, name in meaning(spec, given):
        if name in witness.steps:
            witness = _heard(spec.by_name[name], witness, role, given)
    return witness


def hear_again(spec: Spec, witness: Witness, given: Received) -> Witness:
    """The coordinator is told again of an event that meant nothing before. It may mean something by now: what it says
    was so when it was said; of a taking back nobody can tell whether the step was done once more since.
    """
    for role, name in meaning(spec, given):
        told = witness.steps.get(name)
        known = told is None or (role is Role.COMPLETES and told.success_at is not None)
        if not known and role is not Role.UNDO_FAILS:
            witness = _heard(spec.by_name[name], witness, role, given)
        if role is Role.REOPENS:
            witness = witness._replace(excused=witness.excused | {name})
    return witness


def set_aside(spec: Spec, witness: Witness, given: Received) -> Witness:
    """An event came at no good time and was not taken."""
    return witness._replace(excused=witness.excused | {name for _, name in meaning(spec, given) if name})


def doubt(witness: Witness, step: str) -> Witness:
    """From now on it is not known whether a step is still waited for."""
    return witness._replace(doubtful=witness.doubtful | {step})


def _heard(step: Step, witness: Witness, role: Role, given: Received) -> Witness:
    witness = doubt(witness, step.name) if role is Role.UNKNOWN else witness
    return witness._replace(steps={**witness.steps, step.name: _told(step, witness, role, given)})


def _told(step: Step, witness: Witness, role: Role, given: Received) -> Told:
    told = witness.steps[step.name]
    if role is Role.COMPLETES:
        return _succeeded(step, witness, given)
    if role is Role.FAILS:
        return told._replace(failed=told.success_at is None)
    if role is Role.UNKNOWN:
        return told._replace(begun=True)
    if role is Role.SKIPS:
        return told if witness.back else told._replace(skipped=told.success_at is None and not told.failed)
    if role is Role.REOPENS:
        return _reopened(step, told, witness, given)
    if role is Role.LOSES and told.held == given.fields[CLAIM]:
        return _once_more(told)._replace(held=None)
    if role is Role.UNDONE and told.request and not told.undone:
        return _answered(step, told, given)
    if role is Role.UNDO_FAILS and told.request and told.attempt >= _most(step):
        return told._replace(refused=True)
    return told


def _succeeded(step: Step, witness: Witness, given: Received) -> Told:
    told = witness.steps[step.name]
    if told.success_at is not None and not told.request:
        return told
    if told.success_at is not None and told.undone_at is not None and given.at <= told.undone_at:
        return told
    repeats = step.repeat is not None and not (witness.back or told.skipped) and told.run < step.repeat.at_most
    told = told._replace(success_at=given.at, fresh=True, undone=False, held=given.fields.get(CLAIM), skipped=False)
    if repeats and not given.fields.get(UNTIL, True):
        return _once_more(told)._replace(stands=True)
    return told


def _reopened(step: Step, told: Told, witness: Witness, given: Received) -> Told:
    """What was done was taken back: it needs no undo, and where the saga goes forward it has to be done again."""
    if witness.back:
        known = told.success_at is not None or told.begun or bool(told.request)
        return _gone(step, told, given) if known else told
    return told if told.success_at is None else _once_more(told)._replace(stands=False, request=b"", attempt=0)


def _once_more(told: Told) -> Told:
    none = {"success_at": None, "asked": False, "begun": False, "failed": False, "fresh": False}
    return told._replace(**none, again=True, run=told.run + 1)  # type: ignore[arg-type]  # by name


def _answered(step: Step, told: Told, given: Received) -> Told:
    """An undo is answered: a success that was said later is not undone by it."""
    if told.success_at is not None and given.at <= told.success_at:
        return told
    return _gone(step, told, given)


def _gone(step: Step, told: Told, given: Received) -> Told:
    at = given.at if step.repeat or step.reopens_on else None
    return told._replace(undone=True, undone_at=at, fresh=False, stands=False)


def judge(spec: Spec, witness: Witness, before: Instance | None, given: Received | None, decision: Decision) -> Witness:
    """Hold one decision against the promises; `given` is the event that was decided upon. Raises Broken."""
    after = decision.instance
    steps = dict(witness.steps)
    back = after is not None and after.cause is not None
    for emit in decision.emits:
        if emit.step is None:
            continue
        _not_after_the_end(spec, before, given, after, emit)
        step = spec.by_name[emit.step]
        if emit.kind == "do":
            _not_without_lock(spec, steps, step, emit)
            steps[step.name] = _wanted(step, steps[step.name], emit)
        elif emit.kind == "undo":
            if witness.pivoted and not step.item_of:
                raise Broken(PIVOT, f"{step.name} is undone after a pivot")
            steps[step.name] = _undo(spec, steps, step, emit, back=back)
    if after is None:
        return witness._replace(steps=steps)
    _begun(spec, steps, after)
    _let_in(spec, after)
    if after.ended and not (before and before.ended):
        _ends_rightly(spec, steps, after)
    for name, record in after.steps.items():
        if record.state is StepState.COMPENSATING and not steps[name].request:
            raise Broken(ONCE, f"{name} is being undone, and nobody is asked to")
    if after.ended:
        for step in spec.steps:
            if step.lost_on and steps[step.name].held is not None:
                steps[step.name] = _once_more(steps[step.name])._replace(held=None)
    pivoted = not back and any(done(spec, steps, after, step) for step in spec.steps if step.pivot)
    return witness._replace(steps=steps, pivoted=witness.pivoted or pivoted, back=back)


def _let_in(spec: Spec, after: Instance) -> None:
    """What was kept for its turn is not kept any longer than that."""
    for held in after.held:
        given = Received(held.event, after.key, b"", 0, held.at, held.fields)
        for role, name in meaning(spec, given):
            turn = role in OUTCOMES and name in after.steps and after.steps[name].state in IN_FLIGHT
            if turn or after.ended:
                why = f"the turn of {name} has come" if turn else f"the saga is {after.status}"
                raise Broken(ENDS, f"{_word(held.event)} is still kept, and {why}")


def _not_after_the_end(
    spec: Spec, before: Instance | None, given: Received | None, after: Instance | None, emit: Emit
) -> None:
    """After the end only a late success, or who takes the saga back, is answered by an undo: that opens it again."""
    says = f"{_word(emit.event)} is emitted"
    let_in = before is not None and after is not None and len(before.held) > len(after.held)
    if after is not None and after.ended and not (let_in and emit.kind == "undo"):  # what was kept is the undo
        raise Broken(SILENT, f"{says} and the saga is {after.status}")
    parts = tuple(meaning(spec, given)) if given is not None else ()
    late = (Role.COMPLETES, emit.step) in parts or (Role.COMPENSATES, "") in parts
    taken_back = before is not None and before.status == "completed" and any(one.role is Role.REOPENS for one in parts)
    allowed = late if emit.kind == "undo" else taken_back
    if before is not None and before.ended and not allowed:
        raise Broken(SILENT, f"{says} though the saga was {before.status}")


def _not_without_lock(spec: Spec, steps: dict[str, Told], step: Step, emit: Emit) -> None:
    """What is under way goes on, and may be asked for again."""
    if not step.lost_on and emit.attempt == 1 and _lacks_lock(spec, steps):
        raise Broken(LOCKED, f"{_word(emit.event)} is emitted, and the saga does not hold its lock")


def _lacks_lock(spec: Spec, steps: dict[str, Told]) -> bool:
    return any(step.lost_on and steps[step.name].held is None for step in spec.steps)


def _wanted(step: Step, told: Told, emit: Emit) -> Told:
    """A step is asked for once, and once more for each run that something calls for; again only as often as it says."""
    if told.wanted and emit.request_id == told.wanted:
        most = step.on_timeout.attempts if step.on_timeout.kind == "retry" else 1
        if emit.attempt != told.tries + 1 or emit.attempt > most:
            raise Broken(ENDS, f"{step.name} is asked for again as attempt {emit.attempt} of {most}")
    elif told.wanted and not told.again:
        raise Broken(ONCE, f"{step.name} is asked for a second time, and nothing calls for that")
    return told._replace(asked=True, begun=True, again=False, wanted=emit.request_id, tries=emit.attempt)


def _undo(spec: Spec, steps: dict[str, Told], step: Step, emit: Emit, *, back: bool) -> Told:
    told, name = steps[step.name], step.name
    if told.request == emit.request_id:
        most = _most(step)
        if emit.attempt != told.attempt + 1 or emit.attempt > most:
            raise Broken(ONCE, f"{name}: its undo is requested again as attempt {emit.attempt} of {most}")
        return told._replace(attempt=emit.attempt, fresh=False)
    if told.request and not told.fresh:
        raise Broken(ONCE, f"{name} is undone a second time")
    never = told.success_at is None and not told.stands
    if never and (told.failed or (step.emit is not None and not told.asked)):
        raise Broken(ONCE, f"{name} is undone though it did not happen")
    for later in spec.steps if back else ():  # an item that does not count is undone at once
        if later.name in spec.undone_first[name] and later.compensate and steps[later.name].to_undo:
            raise Broken(ORDER, f"{name} is undone before {later.name}, which must be undone first")
    begun = told.begun or told.success_at is None  # it began, and the saga goes back in one decision
    return told._replace(begun=begun, request=emit.request_id, attempt=emit.attempt, fresh=False, refused=False)


def _most(step: Step) -> int:
    """How often the undo of a step may be asked for."""
    return step.compensate.attempts if step.compensate else 1


def _begun(spec: Spec, steps: dict[str, Told], after: Instance) -> None:
    """Steps that services start by themselves begin with what they come after, as long as the saga goes forward."""
    if after.cause is not None or _lacks_lock(spec, steps):
        return
    skipped = {name for name, record in after.steps.items() if record.state is StepState.SKIPPED}
    for step in spec.steps:
        told = steps[step.name]
        if step.emit is not None or step.fans_out or step.name in skipped or told.begun:
            continue
        if step.item_of:
            ready = after.steps[step.item_of].state is StepState.WAITING and step.name in after.steps
        else:
            ready = _ready(spec, steps, after, step, skipped)
        if ready:
            steps[step.name] = told._replace(begun=True)


def _ready(spec: Spec, steps: dict[str, Told], after: Instance, step: Step, skipped: set[str]) -> bool:
    count = sum(done(spec, steps, after, spec.by_name[name]) for name in step.after)
    passed = sum(done(spec, steps, after, spec.by_name[name]) or name in skipped for name in step.after)
    ready = passed == len(step.after) if step.enough is None else count >= step.enough
    return ready and skipped.issuperset(step.otherwise)


def done(spec: Spec, steps: dict[str, Told], after: Instance, step: Step) -> bool:
    """Whether a step completed, of one that is done for each: enough of the items that are known."""
    if not step.fans_out:
        return steps[step.name].success_at is not None
    rule = step.for_each
    assert rule is not None
    items = [one.name for one in spec.steps if one.item_of == step.name and one.name in after.steps]
    passed = sum(steps[name].counts or steps[name].skipped for name in items)
    enough = passed * 100 >= len(items) * rule.percent if rule.at_least is None else passed >= rule.at_least
    return enough and after.steps[step.name].items is not None


def _ends_rightly(spec: Spec, steps: dict[str, Told], after: Instance) -> None:
    for step in spec.steps:
        told = steps[step.name]
        happened = "completed" if told.success_at is not None or told.stands else "may have completed"
        if after.status == "completed":
            state = after.steps[step.name].state if step.name in after.steps else None
            needed = not step.item_of and not step.lost_on and state is not StepState.SKIPPED
            if needed and not done(spec, steps, after, step):
                raise Broken(ENDS, f"the saga is completed though {step.name} is not")
            if step.item_of and step.compensate and told.success_at is None and told.to_undo:
                raise Broken(ONCE, f"the saga is completed though {step.name} {happened} and is not undone")
        elif step.compensate and told.to_undo:
            raise Broken(ONCE, f"the saga is {after.status} though {step.name} {happened} and is not undone")


def at_rest(spec: Spec, witness: Witness, world: World, awaited: Sequence[str]) -> None:
    """Nothing is under way and no timer is set: the run has ended or waits visibly, for good reason. Raises Broken.

    `awaited` are the events for which the saga says that it waits.
    """
    instance = world.instance
    if instance is None:
        return
    if not instance.ended:
        if instance.status != "stuck" and not awaited:
            raise Broken(ENDS, f"the saga is {instance.status} for ever, and waits for no event and no timer")
        _waits_rightly(spec, witness.steps, instance, world)
    elif instance.status != "completed":
        for step, deed in zip(spec.steps, world.deeds, strict=True):
            if step.compensate and deed is Deed.DONE and step.name not in witness.excused:
                raise Broken(ONCE, f"the saga is {instance.status}, and {step.name} is left done")


def _waits_rightly(spec: Spec, steps: dict[str, Told], instance: Instance, world: World) -> None:
    if instance.cause is None:
        under_way = any(steps[step.name].to_undo for step in spec.steps if step.item_of)
        if not under_way and all(done(spec, steps, instance, step) for step in spec.steps if not step.item_of):
            raise Broken(ENDS, f"the saga is {instance.status} for ever, though every step completed")
        return
    open_steps = {step.name for step in spec.steps if step.compensate and steps[step.name].to_undo}
    asked = {step.name for step, undos in zip(spec.steps, world.undos, strict=True) if undos}
    if not open_steps | asked:
        raise Broken(ENDS, f"the saga is {instance.status} for ever, though nothing is left to undo")
    for name in sorted(open_steps - asked):
        told = steps[name]
        unasked = not told.request or (told.fresh and not told.refused)
        if unasked and not open_steps & spec.undone_first[name]:
            raise Broken(ONCE, f"the saga is {instance.status} for ever, and nobody is asked to undo {name}")


def _word(event: str) -> str:
    return event.rpartition(".")[2]
