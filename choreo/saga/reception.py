"""What became of an event that a saga was told of, as far as its decision says so and its spec allows that."""

from collections.abc import Iterator
from enum import Enum, auto

from choreo.saga.decision import Decision, Received
from choreo.saga.environment import meaning
from choreo.saga.instance import Instance
from choreo.saga.rules import Spec


class Reception(Enum):
    """Whether an event counts."""

    TAKEN = auto()
    HELD = auto()
    """For its turn."""
    SET_ASIDE = auto()
    """It came at no good time, and a policy says that it means nothing then; or no such item is known."""


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
