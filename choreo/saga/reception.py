"""What became of an event that a saga was told of, as far as its decision says so and its spec allows that; and whether
it came in its turn, where what was asked for and heard before tells that without the instance.
"""

from collections.abc import Iterator
from enum import Enum, auto

from choreo.saga.decision import Decision, Received
from choreo.saga.environment import meaning
from choreo.saga.instance import Instance, StepState
from choreo.saga.policies import Timing
from choreo.saga.promises import TIMELY, Broken, Witness
from choreo.saga.rules import Role, Spec


class Reception(Enum):
    """Whether an event counts."""

    TAKEN = auto()
    HELD = auto()
    """For its turn."""
    SET_ASIDE = auto()
    """It came at no good time, and a policy says that it means nothing then; or no such item is known."""

    @property
    def words(self) -> str:
        """`set aside`, behind `was`."""
        return self.name.lower().replace("_", " ")


def reception_of(spec: Spec, before: Instance | None, given: Received, decision: Decision) -> Reception:
    """What became of an event. Whether it was early or late is believed, what may follow is not: `spec` says that."""
    after = decision.instance
    may = {policy.does for policy in spec.policies.get(given.event, {}).values()}
    if _unknown(spec, before, given) and decision.dead_letter is not None:
        return Reception.SET_ASIDE
    if not may:
        return Reception.TAKEN
    if after is not None and any(one.event_id == given.event_id.hex() for one in after.held):
        return Reception.HELD if "keep" in may else Reception.TAKEN
    buried = any(event_id == given.event_id for event_id, _ in decision.letters) or decision.dead_letter is not None
    if buried and may & {"dead-letter", "fail", "keep"}:
        return Reception.SET_ASIDE
    ignored = any(change.startswith(f"ignored: {given.event} ") for change in decision.changes)
    return Reception.SET_ASIDE if ignored and may & {"ignore", "merge", "take"} else Reception.TAKEN


EARLY = {"keep": Reception.HELD, "ignore": Reception.SET_ASIDE, "dead-letter": Reception.SET_ASIDE}
"""What becomes of an event that comes before its turn; it is taken where its policy says anything else, or nothing."""


def hold_to_turn(spec: Spec, witness: Witness, before: Instance | None, given: Received, decision: Decision) -> None:
    """The outcome of a step that has begun, and of which nothing was heard yet, is taken, whatever is done with events
    at no good time; that of one that has not is early. Raises Broken. Where more must be known to tell, in what goes
    back, is repeated, put off or may have happened, nothing is said.
    """
    policies, parts = spec.policies.get(given.event), tuple(meaning(spec, given))
    if not policies or before is None or before.ended or witness.back or len(parts) != 1:
        return
    (role, name), told = parts[0], witness.steps.get(parts[0].step)
    step = spec.by_name.get(name)
    if role not in (Role.COMPLETES, Role.FAILS) or told is None or step is None:
        return
    sure = not step.item_of and step.during is None and step.not_before_us is None and name not in witness.doubtful
    heard = told.success_at is not None or told.failed or told.skipped or told.stands or told.request or told.run > 1
    if not sure or heard or before.steps[name].state is StepState.SKIPPED:
        return
    early = policies.get(Timing.EARLY) if not told.begun else None
    became = reception_of(spec, before, given, decision)
    if became is not (EARLY.get(early.does, Reception.TAKEN) if early else Reception.TAKEN):
        when = "in its turn" if told.begun else "before its turn"
        raise Broken(TIMELY, f"{given.event.rpartition('.')[2]} came {when}, and was {became.words}")


def released(before: Instance | None, decision: Decision, now: int) -> Iterator[Received]:
    """The events that were kept for their turn and are no longer."""
    after = decision.instance
    if before is None or after is None:
        return
    kept = {one.event_id for one in after.held}
    for one in before.held:
        if one.event_id not in kept:
            yield Received(one.event, before.key, bytes.fromhex(one.event_id), now, one.at, one.fields)


def _unknown(spec: Spec, before: Instance | None, given: Received) -> bool:
    """Whether an event speaks of an item that is not known."""
    known = before.steps if before is not None else {}
    return any(name not in known and spec.by_name[name].item_of for _, name in meaning(spec, given) if name)
