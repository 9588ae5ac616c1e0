"""The table `events:` of a spec: read as written, then looked up and held against what the events mean to the saga."""

from collections.abc import Iterator
from typing import cast

from choreo.saga.keys import Keys
from choreo.saga.policies import EVERY_OTHER, Does, Policy, Timing
from choreo.saga.problems import Problems, did_you_mean
from choreo.saga.raw import Limit, RawPolicy
from choreo.saga.rules import Part, Role, Spec
from choreo.saga.shapes import POLICY_KEYS, Shape
from choreo.saga.vocabulary import Vocabulary
from choreo.saga.yaml import Table, Text

_POSSIBLE = {
    Role.STARTS: {Timing.DUPLICATE},
    Role.COMPLETES: {Timing.EARLY, Timing.LATE, Timing.DUPLICATE},
    Role.FAILS: {Timing.EARLY, Timing.LATE, Timing.DUPLICATE},
    Role.UNKNOWN: {Timing.EARLY, Timing.LATE, Timing.DUPLICATE},
    Role.SKIPS: {Timing.EARLY, Timing.LATE, Timing.DUPLICATE},
    Role.REOPENS: {Timing.EARLY, Timing.DUPLICATE, Timing.OUT_OF_ORDER, Timing.UNEXPECTED},
    Role.UNDONE: {Timing.EARLY, Timing.DUPLICATE, Timing.OUT_OF_ORDER, Timing.UNEXPECTED},
    Role.UNDO_FAILS: {Timing.EARLY, Timing.LATE, Timing.DUPLICATE, Timing.UNEXPECTED},
    Role.COMPENSATES: {Timing.EARLY, Timing.LATE, Timing.DUPLICATE, Timing.UNEXPECTED},
    Role.LOSES: set(),
    Role.ADDS: {Timing.EARLY, Timing.LATE, Timing.DUPLICATE},
    Role.CANCELS: {Timing.EARLY, Timing.LATE, Timing.DUPLICATE, Timing.UNEXPECTED},
}
"""How an event may come by its role; one that ends a step may be out of order too, where the step is done again."""


# -- as written --------------------------------------------------------------------------------------------------------


def read_policies(keys: Keys) -> tuple[RawPolicy, ...]:
    """What `events:` says, event by event."""
    node = keys.node("events", Shape.POLICIES)
    if node is None:
        return ()
    if not isinstance(node, Table) or not node.entries:
        keys.problems.add(node.place, "wrong-shape", "events takes a table: {EVENT: {late: ignore}}")
        return ()
    found: list[RawPolicy] = []
    for event, value in node.entries.values():
        if isinstance(value, Table) and value.entries:
            found += _of_event(event, Keys(value, keys.problems, f"the policy of {event.value}", POLICY_KEYS))
        else:
            cure = f"one of {', '.join(POLICY_KEYS)}, with what is done then"
            keys.problems.add(
                value.place, "wrong-shape", f"events: {event.value} takes a table: {{late: ignore}}", cure
            )
    return tuple(found)


def _of_event(event: Text, keys: Keys) -> Iterator[RawPolicy]:
    for timing, key in POLICY_KEYS.items():
        text = keys.text(timing, Shape.POLICY)
        if text is None:
            continue
        does, _, rest = text.value.partition(" ")
        if does not in key.words or (rest and does != "keep"):
            cure = did_you_mean(text.value, key.words, f"one of {', '.join(key.words)}")
            keys.problems.add(
                text.place, "wrong-shape", f"{text.value} is no policy for an event that is {timing}", cure
            )
            continue
        limit = keys.limit_of(timing, Text(rest.strip(), text.place)) if rest else None
        if limit is not None and (limit.micros == 0 or rest == "none"):
            said = "keep takes a time that passes: keep 2h; alone it keeps as long as keep_early says"
            keys.problems.add(text.place, "not-a-duration", said)
        yield RawPolicy(event, timing, does, limit, text.place)


# -- looked up ---------------------------------------------------------------------------------------------------------


def check_policies(raw: tuple[RawPolicy, ...], spec: Spec, words: Vocabulary, problems: Problems) -> tuple[Policy, ...]:
    """What is done with each event of each timing; `*` speaks for whatever no event's own table says."""
    own: dict[tuple[str, Timing], Policy] = {}
    named: dict[str, str] = {}
    for one in raw:
        if one.event.value == EVERY_OTHER or (event := words.event(one.event)) is None:
            continue
        timing = Timing(one.timing)
        if named.setdefault(event, one.event.value) != one.event.value:
            problems.add(one.event.place, "ambiguous", f"there are two policies of {event}", "one table an event")
            continue
        wrong = _senseless(spec, event, timing, one.does)
        if wrong is not None:
            problems.add(one.place if event in spec.parts else one.event.place, "senseless-policy", *wrong)
        own[event, timing] = _policy(spec, event, one)
    for one in raw:
        timing = Timing(one.timing)
        if one.event.value != EVERY_OTHER:
            continue
        sensible = [event for event in spec.parts if _senseless(spec, event, timing, one.does) is None]
        if not sensible:
            said = f"{one.does} makes sense for no event of this saga that is {timing}"
            problems.add(one.place, "senseless-policy", said, "leave it out")
        for event in sensible:
            own.setdefault((event, timing), _policy(spec, event, one))
    return tuple(own.values())


def _policy(spec: Spec, event: str, raw: RawPolicy) -> Policy:
    limit: Limit | None = raw.keep
    keep_us = spec.keep_early_us if limit is None else limit.micros
    return Policy(event, Timing(raw.timing), cast(Does, raw.does), keep_us if raw.does == "keep" else None)


def _senseless(spec: Spec, event: str, timing: Timing, does: str) -> tuple[str, str] | None:
    """Why such a policy makes no sense, and the cure; None where it does."""
    parts = spec.parts.get(event, ())
    if not parts:
        return f"{event} means nothing to this saga", f"its events are {', '.join(spec.parts)}"
    possible = {timing for part in parts for timing in _timings(spec, part)}
    if timing not in possible:
        roles = " and ".join(dict.fromkeys(_told(part) for part in parts))
        can_be = ", ".join(one for one in Timing if one in possible)
        return f"{event} {roles}: it is never {timing}", f"it may be {can_be}"
    if does == "merge" and not any(part.role is Role.COMPLETES for part in parts):
        return f"only what completes a step has fields to merge, {event} does not", "ignore, dead-letter or fail"
    if does == "merge" and all(spec.by_name[part.step].for_each for part in parts if part.role is Role.COMPLETES):
        return f"{event} completes items, of which no fields are kept to merge", "ignore, dead-letter or fail"
    for part in parts:
        if does == "fail" and part.role in (Role.CANCELS, Role.COMPENSATES):
            return f"{event} cancels the saga, so it can't fail it", "ignore or dead-letter"
        if does == "fail" and part.role is Role.COMPLETES and spec.by_name[part.step].pivot:
            said = f"{event} completes {part.step}, a pivot: from there the saga can't fail"
            return said, "ignore or dead-letter"
    return None


def _timings(spec: Spec, part: Part) -> set[Timing]:
    possible = _POSSIBLE[part.role]
    if part.role not in (Role.COMPLETES, Role.FAILS, Role.UNKNOWN):
        return possible
    step = spec.by_name[part.step]
    again = step.repeat is not None or bool(step.reopens_on)
    undone = part.role is Role.COMPLETES and step.compensate is not None
    return possible | {Timing.OUT_OF_ORDER} if again or undone else possible


def _told(part: Part) -> str:
    words = {Role.UNKNOWN: "says that nobody knows of", Role.UNDONE: "undoes", Role.UNDO_FAILS: "fails to undo"}
    return f"{words.get(part.role, part.role.value)} {part.step or 'the saga'}"
