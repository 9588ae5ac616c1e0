"""Whether an instance can go on under another version of its spec: its own events are folded under both, and compared.

Safe is what stands alike under both, step by step, with the same requests made. Nobody draws a map of the steps; where
a step that began is no more, or an event lacks what the other version remembers, there are questions to answer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from choreo.saga.adopt import called, revision
from choreo.saga.decision import Emit, Migrate
from choreo.saga.instance import UNTOUCHED, Instance, StepRecord, StepState
from choreo.saga.refold import History, Names, Run, lacking, refold
from choreo.saga.rules import Spec

Outcome = Literal["safe", "needs mapping", "stays"]

TIMES = frozenset({"due", "remind_due", "since", "resting", "overdue", "question"})
COUNTS = frozenset({"attempt", "undo_attempt", "asked", "reminded"})
LOOSE = TIMES | COUNTS | {"fields", "asked_as"}
"""What of a step's record two versions may see differently: times, counts of asking, and what is remembered."""

UNCLEAR = "its events on the log do not lead to where it stands: some are gone, or it just went on"


class Question(NamedTuple):
    """What a person has to say: `about` a step that began, a field that is not there, or an event that only tells."""

    about: Literal["steps", "fields", "events"]
    name: str
    why: str


@dataclass(frozen=True)
class Answers:
    """What a person has said, for all instances.

    `steps` gives the step of the other version, None to drop it; `events` (full names) need not be told.
    """

    steps: Names = field(default_factory=dict)
    events: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Verdict:
    """What a migration would mean to one instance. Only a safe one has an `order`."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    order: Migrate | None = None


class Versions(NamedTuple):
    """The specs that an instance has followed, by digest, and the one that it is to follow."""

    specs: Mapping[str, Spec]
    to: Spec


def classify(
    live: Instance, history: History, versions: Versions, answers: Answers, values: Mapping[str, Any]
) -> Verdict:
    """Safe, with the order to give; in need of answers; or staying with its version, and why.

    `values` (`saga.x`, `steps.a.x`, in the words of `versions.to`) fill what the events have not.
    """
    why_not = _no_counterpart(live, history, versions)
    if why_not is not None:
        return Verdict("stays", (why_not,))
    known = {**_remembered(live, answers.steps), **values}
    was, new = refold(history, versions.specs, versions.to, answers.steps, known)
    if was.instance is None or new.instance is None or not _is_the_same(live, was.instance):
        return Verdict("stays", (UNCLEAR,))
    to, folded = versions.to, new.instance
    questions = [*_renamings(live, to, answers), *_gaps(to, folded)]
    if questions:
        return Verdict("needs mapping", tuple(one.why for one in questions), tuple(questions))
    reasons = [*_apart(live, folded, answers.steps), *_requests_apart(was, new, answers.steps)]
    if reasons:
        return Verdict("stays", tuple(reasons))
    questions = list(_tellings_apart(was, new, answers))
    if questions:
        return Verdict("needs mapping", tuple(one.why for one in questions), tuple(questions))
    wholes = [name for name in live.steps if "[" not in name]
    names = {name: answers.steps.get(name, name if name in to.by_name else None) for name in wholes}
    after = folded.model_copy(update={"steps": _carried(live, folded, names), "seen": ()})
    renamed = {name: other for name, other in names.items() if other != name}
    return Verdict("safe", (), (), Migrate(to.version, to.digest, revision(live), after, renamed))


def _no_counterpart(live: Instance, history: History, versions: Versions) -> str | None:
    """Why the two versions have no such instance in common."""
    was, to = versions.specs[live.digest], versions.to
    if live.ended:
        return f"it has ended ({live.status})"
    if to.starts_on != history.start.event:
        return f"it started with {history.start.event}, version {to.version} starts on {to.starts_on}"
    if was.lock_scope != to.lock_scope:
        locks = [f"a lock of {scope}" if scope else "no lock" for scope in (was.lock_scope, to.lock_scope)]
        return f"it takes {locks[0]}, version {to.version} takes {locks[1]}"
    here, there = (spec.correlate_by.get(spec.starts_on) for spec in (was, to))
    return None if here == there else f"its key is {here}, that of version {to.version} is {there}"


def _remembered(live: Instance, names: Names) -> dict[str, Any]:
    """What it knows already, in the words of the other version: an earlier migration may have been told it."""
    found = {f"saga.{name}": value for name, value in live.remembered.items()}
    for step, record in live.steps.items():
        found |= {f"steps.{called(step, names)}.{name}": value for name, value in record.fields.items()}
    return found


def _is_the_same(live: Instance, folded: Instance) -> bool:
    """Whether folding brought out what is there, but for moments that the log tells only roughly."""
    mine = {name: _held(record) for name, record in live.steps.items()}
    theirs = {name: _held(record) for name, record in folded.steps.items()}
    kept = _kept(live).keys() == _kept(folded).keys()
    return kept and (live.status, live.cause, mine) == (folded.status, folded.cause, theirs)


def _kept(instance: Instance) -> dict[str, str]:
    """The events that wait for their turn, by id."""
    return {one.event_id: one.event for one in instance.held}


def _held(record: StepRecord) -> dict[str, Any]:
    return record.model_dump(exclude=set(LOOSE))


def _renamings(live: Instance, to: Spec, answers: Answers) -> Iterator[Question]:
    """Steps that began and that the other version does not have."""
    for name, record in live.steps.items():
        if _began(record) and "[" not in name and name not in to.by_name and name not in answers.steps:
            why = f"step {name} is {record.state}, and version {to.version} has no such step"
            yield Question("steps", name, why)


def _gaps(to: Spec, folded: Instance) -> Iterator[Question]:
    for name in lacking(to, folded):
        yield Question("fields", name, f"version {to.version} remembers {name}, and no event of it has that")


def _began(record: StepRecord) -> bool:
    return record.state not in UNTOUCHED or record.run > 1


def _apart(live: Instance, folded: Instance, names: Names) -> Iterator[str]:
    """In what the two versions differ about where it stands."""
    version = folded.version
    if live.status != folded.status:
        yield f"it is {live.status}, under version {version} it would be {folded.status}"
    cause, its_cause = _cause(live, names), _cause(folded, {})
    if live.status == folded.status and cause != its_cause:
        yield f"it is undone because of {cause}, under version {version} it would be because of {its_cause}"
    yield from _kept_apart(live, folded)
    met: set[str] = set()
    for name, record in live.steps.items():
        other = called(name, names)
        if other is None or other not in folded.steps:
            continue
        if other in met:
            yield f"two steps that it has would both be {other}"
        met.add(other)
        its = folded.steps[other]
        if (_began(record) or _began(its)) and _held(record) != _held(its):
            yield _difference(name, record, its, version)
    for name, its in folded.steps.items():
        # One that would be requested is told of by its request.
        if name not in met and its.state not in (*UNTOUCHED, StepState.DONE, StepState.REQUESTED):
            yield f"{name} would be {its.state} under version {version}: it is past the turn of that step"


def _kept_apart(live: Instance, folded: Instance) -> Iterator[str]:
    """An event is kept whole beside its instance: it can't be dropped in silence, nor be brought back."""
    mine, theirs, version = _kept(live), _kept(folded), folded.version
    for event_id, event in mine.items():
        if event_id not in theirs:
            yield f"it keeps {event} for its turn, version {version} would not"
    for event_id, event in theirs.items():
        if event_id not in mine:
            yield f"version {version} would keep {event} for its turn, and it is not kept"


def _cause(instance: Instance, names: Names) -> str:
    cause = instance.cause
    if cause is None:
        return "nothing"
    step = called(cause.step, names) or cause.step
    return f"{step} ({cause.kind})" if step else cause.kind


def _difference(name: str, record: StepRecord, its: StepRecord, version: int) -> str:
    if record.state is not its.state:
        return f"{name} is {record.state}, under version {version} it would be {its.state}"
    odd = [key for key, value in _held(record).items() if _held(its)[key] != value]
    told = ", ".join(f"{key} {getattr(record, key)!r} and {getattr(its, key)!r}" for key in odd)
    return f"{name} is {record.state} under both versions, but not alike: {told}"


class _Asked(NamedTuple):
    """A request, whatever its attempt."""

    step: str | None
    kind: str
    event: str
    round: int


def _requests(emits: list[Emit], names: Names) -> set[_Asked]:
    asked = [emit for emit in emits if emit.kind != "notice"]
    found = {_Asked(emit.step and called(emit.step, names), emit.kind, emit.event, emit.round) for emit in asked}
    return {one for one in found if one.step is not None}


def _requests_apart(was: Run, new: Run, names: Names) -> Iterator[str]:
    """Requests that were made under one of the versions only."""
    made, would = _requests(was.emits, names), _requests(new.emits, {})
    for one in sorted(would - made):
        yield f"version {new.spec.version} would have emitted {one.event} by now (step {one.step})"
    for one in sorted(made - would):
        yield f"it has emitted {one.event} (step {one.step}), version {new.spec.version} would not have"


def _tellings_apart(was: Run, new: Run, answers: Answers) -> Iterator[Question]:
    """Events that ask for nothing, and that others heard or did not hear."""
    heard, would = ({emit.event for emit in run.emits if emit.kind == "notice"} for run in (was, new))
    for event in sorted(would - heard - answers.events):
        why = f"version {new.spec.version} would have told {event} by now, and nobody heard it"
        yield Question("events", event, why)
    for event in sorted(heard - would - answers.events):
        yield Question("events", event, f"it has told {event}, and version {new.spec.version} would not have")


def _carried(live: Instance, folded: Instance, names: Names) -> dict[str, StepRecord]:
    """The folded steps; requests go on under the ids and attempts that they have."""
    steps = dict(folded.steps)
    for name, record in live.steps.items():
        other = called(name, names)
        if other is not None and other in steps and _began(record):
            its = steps[other]
            asked_as = record.asked_as or (name if other != name else "")
            told = {
                "attempt": max(record.attempt, its.attempt),
                "undo_attempt": max(record.undo_attempt, its.undo_attempt),
                "asked_as": asked_as,
            }
            steps[other] = its.model_copy(update=told)
    return steps
