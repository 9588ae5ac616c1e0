"""Taking an instance over to another version of its spec: what `decide` does when it is ordered to.

Where it stands there was worked out from its own events (`refold.py`, `migration.py`); here it is only held against the
instance as it is by now, so that it follows one version or the other and never half of each.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping

from choreo.saga.decision import HELD_TIMER, REMINDS, SAGA_TIMER, Decision, Migrate, TimerChange
from choreo.saga.instance import SEEN_EVENTS, Instance
from choreo.saga.items import whole_in
from choreo.saga.rules import Spec

GONE_ON = "it has gone on since this was worked out: migrate it again"


def revision(instance: Instance) -> str:
    """A mark (hex) of all that an instance is: it is another one after every decision that changed anything."""
    text = json.dumps(instance.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def adopt(spec: Spec, before: Instance, order: Migrate, event_id: str, said: str) -> Decision:
    """Put the instance of the other version in place of this one, with its timers, or note that it is refused and why.

    `spec` is that of the other version, where it is here. Nothing is emitted.
    """
    seen = {"seen": (*before.seen, event_id)[-SEEN_EVENTS:]}
    why_not = _refusal(spec, before, order)
    if why_not is not None:
        return Decision(before.model_copy(update=seen), changes=(f"{said} refused: {why_not}",), refused=why_not)
    after = order.instance.model_copy(update=seen)
    timers = dict.fromkeys(dues(before)) | dues(after)
    changes = (said, *_changes(before, order))
    return Decision(after, (), tuple(TimerChange(name, due) for name, due in timers.items()), changes)


def _refusal(spec: Spec, before: Instance, order: Migrate) -> str | None:
    """Why an instance can't be taken over as it stands."""
    after = order.instance
    if before.ended:
        return f"the saga has ended ({before.status})"
    if before.digest == order.digest:
        return f"it follows version {order.version} already"
    if spec.digest != order.digest:
        return f"version {order.version} is not deployed: choreo sagas deploy, then run the coordinator with it"
    if revision(before) != order.revision:
        return GONE_ON
    steps = {whole_in(name) for name in after.steps}
    is_of = (after.saga, after.key, after.version, after.digest, after.status, steps)
    if is_of != (spec.name, before.key, spec.version, spec.digest, before.status, set(spec.by_name)):
        return f"what is to become of it does not fit version {order.version}"
    return None


def dues(instance: Instance) -> dict[str, int]:
    """The timers of an instance: name -> due (microseconds)."""
    held = min((one.until for one in instance.held if one.until is not None), default=None)
    found = {SAGA_TIMER: instance.due, HELD_TIMER: held}
    for name, record in instance.steps.items():
        found |= {name: record.due, name + REMINDS: record.remind_due}
    return {name: due for name, due in found.items() if due is not None}


def _changes(before: Instance, order: Migrate) -> Iterator[str]:
    for name, record in before.steps.items():
        other = called(name, order.renamed)
        if other is None or other not in order.instance.steps:
            yield f"{name}: {record.state} -> dropped"
        elif other != name:
            yield f"{name}: is now {other}"
        elif (state := order.instance.steps[name].state) is not record.state:
            yield f"{name}: {record.state} -> {state}"
    came_from = {called(name, order.renamed) for name in before.steps}
    for name, record in order.instance.steps.items():
        if name not in came_from:
            yield f"{name}: new, {record.state}"


def called(name: str, names: Mapping[str, str | None]) -> str | None:
    """What a step, or an item of one (`ship[KEY]`), is called in the other version; None where it has none."""
    whole, mark, rest = name.partition("[")
    other = names.get(whole, whole)
    return None if other is None else other + mark + rest
