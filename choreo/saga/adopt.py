"""Taking an instance over to another version of its spec: what `decide` does when it is ordered to.

Where it stands there was worked out from its own events (`refold.py`, `migration.py`); here it is only held against the
instance as it is by now, so that it follows one version or the other and never half of each.
"""

import hashlib
import json
from collections.abc import Iterator

from choreo.saga.decision import REMINDS, SAGA_TIMER, Decision, Migrate, TimerChange
from choreo.saga.draft import Draft
from choreo.saga.instance import Instance


def revision(instance: Instance) -> str:
    """A mark (hex) of all that an instance is: it is another one after every decision that changed anything."""
    text = json.dumps(instance.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def no_migration(draft: Draft, order: Migrate) -> str | None:
    """Why an instance can't be taken over as it stands; the draft holds it to the version that it is to follow."""
    before, after = draft.before, order.instance
    if before.ended:
        return f"the saga has ended ({draft.status})"
    if before.digest == order.digest:
        return f"it follows version {order.version} already"
    if draft.spec.digest != order.digest:
        return f"version {order.version} is not deployed: choreo sagas deploy, then run the coordinator with it"
    if revision(before) != order.revision:
        return "it has gone on since this was worked out: migrate it again"
    is_of = (after.saga, after.key, after.version, after.digest, after.status, set(after.steps))
    spec = draft.spec
    if is_of != (spec.name, before.key, spec.version, spec.digest, before.status, set(spec.by_name)):
        return f"what is to become of it does not fit version {order.version}"
    return None


def adopt(draft: Draft, order: Migrate, event_id: bytes) -> Decision:
    """Put the instance of the other version in place of this one, with its timers. Nothing is emitted."""
    draft.remember_event(event_id)
    for line in _changes(draft.before, order):
        draft.note(line)
    noted = draft.decision()
    assert noted.instance is not None
    after = order.instance.model_copy(update={"seen": noted.instance.seen})
    timers = dict.fromkeys(dues(draft.before)) | dues(after)
    return Decision(after, (), tuple(TimerChange(name, due) for name, due in timers.items()), noted.changes)


def dues(instance: Instance) -> dict[str, int]:
    """The timers of an instance: name -> due (microseconds)."""
    found = {SAGA_TIMER: instance.due}
    for name, record in instance.steps.items():
        found |= {name: record.due, name + REMINDS: record.remind_due}
    return {name: due for name, due in found.items() if due is not None}


def _changes(before: Instance, order: Migrate) -> Iterator[str]:
    for name, record in before.steps.items():
        other = order.renamed.get(name, name)
        if other is None or other not in order.instance.steps:
            yield f"{name}: {record.state} -> dropped"
        elif other != name:
            yield f"{name}: is now {other}"
        elif (state := order.instance.steps[name].state) is not record.state:
            yield f"{name}: {record.state} -> {state}"
    came_from = {order.renamed.get(name, name) for name in before.steps}
    for name, record in order.instance.steps.items():
        if name not in came_from:
            yield f"{name}: new, {record.state}"
