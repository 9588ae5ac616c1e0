"""`isolate_on`: written as a first step that waits for a lock, and as tellings that release it when the saga ends.

Everything else is an ordinary step's: `decide` knows only that nothing begins without the lock (`exclusion.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from choreo.saga.clauses import Computed, Emission, Reference, SagaKey, Source, Telling
from choreo.saga.conditions import Language
from choreo.saga.kinds import Kind
from choreo.saga.lock_events import answering, asking
from choreo.saga.offers import scope_of
from choreo.saga.problems import Problems
from choreo.saga.raw import RawIsolation, RawSpec
from choreo.saga.rules import Spec, Step
from choreo.saga.vocabulary import Vocabulary

LOCK = "lock"
"""The name of the step that waits for the lock."""
ENDS = ("completed", "compensated", "cancelled")
CONSTANTS = Language({})


@dataclass(frozen=True)
class Isolation:
    """What `isolate_on` asks for. Times are microseconds, None for no limit."""

    by: str
    kind: Kind
    scope: str
    within_us: int | None
    expires_us: int | None


def check_isolation(raw: RawSpec, words: Vocabulary, starts_on: str, problems: Problems) -> Isolation | None:
    """What `isolate_on` says; None where it is not there. Fills `problems`."""
    found = raw.isolate_on
    if found is None:
        return None
    for step in raw.steps:
        if step.name.value == LOCK:
            said = f"with isolate_on there is a step {LOCK} already: the wait for the lock"
            problems.add(step.name.place, "duplicate-step", said, "give this one another name")
    within = found.within or raw.within
    if within is None:
        cure = "isolate_on: {by: ..., within: 1h}, or within: none to say so on purpose"
        problems.add(found.by.place, "no-time-limit", "the lock may be waited for for ever", cure)
    kind = _lockable(found, words, starts_on, problems)
    scope = scope_of(raw) or raw.name.value
    expires = found.expires.micros if found.expires else None
    return Isolation(found.by.value, kind, scope, within.micros if within else None, expires) if kind else None


def isolated(spec: Spec, how: Isolation | None) -> Spec:
    """The spec with its lock: asked for before all other steps, released when the saga has ended."""
    if how is None:
        return spec
    asks, answers = asking(how.scope), answering(spec.name)
    granted, expired, refused = (event.contract.full_name for event in answers)
    wish = _wish(spec, how)
    if how.expires_us is not None:
        wish = {**wish, "expires_us": _constant(str(how.expires_us))}
    lock = Step(
        name=LOCK,
        emit=Emission(asks.requested.contract.full_name, wish),
        completes_on=(granted,),
        fails_on=(refused,),
        lost_on=(expired,),
        within_us=how.within_us,
    )
    granted_by = {"claim": Reference(LOCK, "claim")}
    release = Emission(asks.released.contract.full_name, {**_wish(spec, how), **granted_by})
    return replace(
        spec,
        steps=(lock, *(step if step.after else replace(step, after=(LOCK,)) for step in spec.steps)),
        tells=(*spec.tells, *(Telling(end, release) for end in ENDS)),
        correlate_by={**spec.correlate_by, **dict.fromkeys((granted, expired, refused), "key")},
        lock_scope=how.scope,
    )


def lock_field(spec: Spec) -> str | None:
    """The field of the start event by which its sagas are kept apart; None where `isolate_on` is not there."""
    emit = spec.by_name[LOCK].emit if spec.lock_scope is not None else None
    match emit.fields["lock"] if emit is not None else None:
        case Reference(field=field):
            return field
        case Computed(expression=expression):
            return next(iter(expression.reads)).removeprefix("saga.")
        case _:
            return None


def _lockable(found: RawIsolation, words: Vocabulary, starts_on: str, problems: Problems) -> Kind | None:
    if not words.has_field(starts_on, found.by):
        return None
    its_type = words.type(starts_on, found.by.value)
    kind = its_type.kind
    if kind in (Kind.STRING, Kind.INT):
        return kind
    what = "may be null or of several kinds" if kind is Kind.DYN else f"is {its_type.one}"
    said = f"{starts_on}.{found.by.value} {what}, and names a lock"
    problems.add(found.by.place, "wrong-type", said, "a field that is always there: a text or a whole number")
    return None


def _wish(spec: Spec, how: Isolation) -> Mapping[str, Source]:
    """Who wants which lock. A lock's key is a text, as every key is."""
    own = Reference(None, how.by)
    text = Language({f"saga.{how.by}": how.kind}).compile(f"string(saga.{how.by})")
    lock: Source = own if how.kind is Kind.STRING else Computed(text)
    return {"lock": lock, "saga": _constant(f"'{spec.name}'"), "saga_key": SagaKey()}


def _constant(text: str) -> Computed:
    return Computed(CONSTANTS.compile(text))
