"""What `decide` promises, held against what it was told and what it emitted; its own records are hardly believed.

Every run ends or says what it waits for; what completed or may have is undone exactly once, in the reversed partial
order; nothing is undone beyond a pivot; nothing is emitted after the end.
"""

from typing import NamedTuple

from choreo.saga.decision import Decision, Emit, Received
from choreo.saga.environment import Deed, World
from choreo.saga.explain import waits_for
from choreo.saga.instance import Instance, StepState
from choreo.saga.rules import Role, Spec, Step


class Told(NamedTuple):
    """What the coordinator was told of one step and asked for. Times are microseconds, for comparing only."""

    asked: bool = False
    begun: bool = False
    """It may be happening, and the coordinator knows."""
    success_at: int | None = None
    failed: bool = False
    undone: bool = False
    fresh: bool = False
    """No undo has been asked for since a success was heard. One that is heard after the answer to its undo, but was
    said before it, counts too: `decide` does not trust the order of two topics and undoes it once more."""
    refused: bool = False
    """Its undo was asked for as often as it may be, and the answer was no: that is for an operator now."""
    request: bytes = b""
    attempt: int = 0

    @property
    def to_undo(self) -> bool:
        """Whether it completed, or may have, and isn't undone."""
        return not self.undone and (self.success_at is not None or (self.begun and not self.failed))


class Witness(NamedTuple):
    """All that was told, step by step. `pivoted`: a pivot was done while the saga went forward."""

    steps: dict[str, Told]
    pivoted: bool = False


class Broken(Exception):
    """A promise is broken: which one, and how."""

    def __init__(self, promise: str, says: str) -> None:
        super().__init__(says)
        self.promise, self.says = promise, says


ENDS, ONCE, ORDER, PIVOT, SILENT = (
    "every run ends or is visibly stuck",
    "what completed or may have is undone exactly once",
    "undone in the reversed order",
    "nothing is undone beyond a pivot",
    "nothing is emitted after the end",
)


def start(spec: Spec) -> Witness:
    """Nothing is told yet."""
    return Witness({step.name: Told() for step in spec.steps})


def hear(spec: Spec, witness: Witness, given: Received) -> Witness:
    """The coordinator is told of an event that it has not heard before."""
    steps = dict(witness.steps)
    for role, name in spec.parts.get(given.event, ()):
        if name not in steps:
            continue
        told = steps[name]
        if role is Role.COMPLETES:
            told = told._replace(success_at=given.at, fresh=True, undone=False)
        elif role is Role.FAILS:
            told = told._replace(failed=told.success_at is None)
        elif role is Role.UNKNOWN:
            told = told._replace(begun=True)
        elif role is Role.UNDONE:
            told = _answered(told, given)
        elif role is Role.UNDO_FAILS and told.request and told.attempt >= _most(spec.by_name[name]):
            told = told._replace(refused=True)
        steps[name] = told
    return witness._replace(steps=steps)


def hear_again(spec: Spec, witness: Witness, given: Received) -> Witness:
    """The coordinator is told again of an event that meant nothing before. An answer to an undo may mean something by
    now: what it says was so when it was said.
    """
    steps = dict(witness.steps)
    for role, name in spec.parts.get(given.event, ()):
        if role is Role.UNDONE and steps[name].request:
            steps[name] = _answered(steps[name], given)
    return witness._replace(steps=steps)


def _answered(told: Told, given: Received) -> Told:
    """An undo is answered: a success that was said later is not undone by it."""
    if told.success_at is not None and given.at <= told.success_at:
        return told
    return told._replace(undone=True, fresh=False)


def judge(spec: Spec, witness: Witness, before: Instance | None, given: Received | None, decision: Decision) -> Witness:
    """Hold one decision against the promises; `given` is the event that was decided upon. Raises Broken."""
    after = decision.instance
    steps = dict(witness.steps)
    for emit in decision.emits:
        if emit.step is None:
            continue
        _not_after_the_end(spec, before, given, after, emit)
        told = steps[emit.step]
        if emit.kind == "do":
            steps[emit.step] = told._replace(asked=True, begun=True)
        elif emit.kind == "undo":
            if witness.pivoted:
                raise Broken(PIVOT, f"{emit.step} is undone after a pivot")
            steps[emit.step] = _undo(spec, steps, spec.by_name[emit.step], emit)
    if after is None:
        return Witness(steps, witness.pivoted)
    _begun(spec, steps, after)
    if after.ended and not (before and before.ended):
        _ends_rightly(spec, steps, after)
    for name, record in after.steps.items():
        if record.state is StepState.COMPENSATING and not steps[name].request:
            raise Broken(ONCE, f"{name} is being undone, and nobody is asked to")
    pivots = (step.name for step in spec.steps if step.pivot)
    pivoted = after.cause is None and any(steps[name].success_at is not None for name in pivots)
    return Witness(steps, witness.pivoted or pivoted)


def _not_after_the_end(
    spec: Spec, before: Instance | None, given: Received | None, after: Instance | None, emit: Emit
) -> None:
    """After the end only a late success, or who takes the saga back, is answered by an undo: that opens it again."""
    says = f"{_word(emit.event)} is emitted"
    if after is not None and after.ended:
        raise Broken(SILENT, f"{says} and the saga is {after.status}")
    parts = spec.parts.get(given.event, ()) if given is not None else ()
    late = (Role.COMPLETES, emit.step) in parts or (Role.COMPENSATES, "") in parts
    if before is not None and before.ended and not (late and emit.kind == "undo"):
        raise Broken(SILENT, f"{says} though the saga was {before.status}")


def _undo(spec: Spec, steps: dict[str, Told], step: Step, emit: Emit) -> Told:
    told, name = steps[step.name], step.name
    if told.request == emit.request_id:
        most = _most(step)
        if emit.attempt != told.attempt + 1 or emit.attempt > most:
            raise Broken(ONCE, f"{name}: its undo is requested again as attempt {emit.attempt} of {most}")
        return told._replace(attempt=emit.attempt, fresh=False)
    if told.request and not told.fresh:
        raise Broken(ONCE, f"{name} is undone a second time")
    if told.success_at is None and (told.failed or (step.emit is not None and not told.asked)):
        raise Broken(ONCE, f"{name} is undone though it did not happen")
    for later in spec.steps:
        if later.name in spec.undone_first[name] and later.compensate and steps[later.name].to_undo:
            raise Broken(ORDER, f"{name} is undone before {later.name}, which must be undone first")
    return told._replace(request=emit.request_id, attempt=emit.attempt, fresh=False, refused=False)


def _most(step: Step) -> int:
    """How often the undo of a step may be asked for."""
    return step.compensate.attempts if step.compensate else 1


def _begun(spec: Spec, steps: dict[str, Told], after: Instance) -> None:
    """Steps that services start by themselves begin with what they come after, as long as the saga goes forward."""
    if after.cause is not None:
        return
    skipped = {name for name, record in after.steps.items() if record.state is StepState.SKIPPED}
    for step in spec.steps:
        if step.emit is None and step.name not in skipped and not steps[step.name].begun:
            done = sum(steps[name].success_at is not None for name in step.after)
            passed = sum(steps[name].success_at is not None or name in skipped for name in step.after)
            ready = passed == len(step.after) if step.enough is None else done >= step.enough
            if ready and skipped.issuperset(step.otherwise):
                steps[step.name] = steps[step.name]._replace(begun=True)


def _ends_rightly(spec: Spec, steps: dict[str, Told], after: Instance) -> None:
    for step in spec.steps:
        told = steps[step.name]
        if after.status == "completed":
            state = after.steps[step.name].state if step.name in after.steps else None
            if told.success_at is None and state is not StepState.SKIPPED:
                raise Broken(ENDS, f"the saga is completed though {step.name} is not")
        elif step.compensate and told.to_undo:
            happened = "completed" if told.success_at is not None else "may have completed"
            raise Broken(ONCE, f"the saga is {after.status} though {step.name} {happened} and is not undone")


def at_rest(spec: Spec, witness: Witness, world: World) -> None:
    """Nothing is under way and no timer is set: the run has ended or waits visibly, for good reason. Raises Broken."""
    instance = world.instance
    if instance is None:
        return
    if not instance.ended:
        _waits_rightly(spec, witness.steps, instance, world)
    elif instance.status != "completed":
        for step, deed in zip(spec.steps, world.deeds, strict=True):
            if step.compensate and deed is Deed.DONE:
                raise Broken(ONCE, f"the saga is {instance.status}, and {step.name} is left done")


def _waits_rightly(spec: Spec, steps: dict[str, Told], instance: Instance, world: World) -> None:
    if instance.status != "stuck" and not waits_for(spec, instance):
        raise Broken(ENDS, f"the saga is {instance.status} for ever, and waits for no event and no timer")
    if instance.cause is None:
        if all(told.success_at is not None for told in steps.values()):
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
