"""What a saga really went through, against its spec: where it does not fit, by which event, and how long things took.

Pure: the changes of one saga and the inputs of its coordinator go in, a judgement comes out. The inputs are folded
through `decide` once more, so that what came early, late or out of order is what the coordinator itself would say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from choreo.replay.origin import Author
from choreo.saga.arrivals import coming
from choreo.saga.decision import Command, Migrate, Received, Skip
from choreo.saga.instance import ENDED, IN_FLIGHT, Instance
from choreo.saga.items import whole_in
from choreo.saga.operate import saying
from choreo.saga.policies import Timing
from choreo.saga.refold import History, Past, Run, Tick
from choreo.saga.rules import Role, Spec

Kind = Literal["skipped", "order", "early", "late", "unexpected", "slow", "emitter", "step", "operator", "diverges"]
TIMINGS: Mapping[Timing, Kind] = {
    Timing.EARLY: "early",
    Timing.LATE: "late",
    Timing.OUT_OF_ORDER: "order",
    Timing.UNEXPECTED: "unexpected",
}
"""Timings that do not fit. The same said twice does: most sagas hear of the first of many."""
OUTCOMES = frozenset({Role.COMPLETES, Role.FAILS, Role.UNKNOWN, Role.UNDONE, Role.UNDO_FAILS, Role.REOPENS})
"""What is said by whoever is at work on a step."""
OPEN_STATES = frozenset({"waiting", "requested"})
SETTLED = frozenset({"done", "skipped"})
TURNS = {
    "done": "{}",
    "failed": "{} failed",
    "unknown": "{} unknown",
    "skipped": "{} skipped",
    "compensated": "undo {}",
}
"""How a path tells that a step came to a state; other states are none of its stations."""


class Change(NamedTuple):
    """One change of a saga, as its coordinator told it. Times in microseconds."""

    caused_by: bytes
    at: int
    digest: str
    status: str
    reason: str | None
    steps: Mapping[str, str]


class Heard(NamedTuple):
    """An event under the saga's key that its coordinator took. Times in microseconds."""

    event_id: bytes
    event: str
    at: int
    now: int
    cause: bytes | None
    author: Author | None


@dataclass(frozen=True)
class Life:
    """One saga from its start on. `history` is a reason where its inputs can't be told; `specs` has those by digest."""

    key: str
    changes: Sequence[Change]
    heard: Sequence[Heard]
    history: History | str
    specs: Mapping[str, Spec]

    @property
    def spec(self) -> Spec | None:
        """The version that it follows, or followed at last; None where that can't be read here."""
        return self.specs.get(self.changes[-1].digest)


class Misfit(NamedTuple):
    """One thing that does not fit. `event_id` is that of the event, or timer, by which it shows."""

    kind: Kind
    key: str
    step: str
    event_id: bytes | None
    says: str


class Lap(NamedTuple):
    """How long one step was under way (microseconds), and whether that was longer than it may be."""

    step: str
    took: int
    slow: bool


@dataclass
class Judgement:
    """What came of looking at one saga."""

    key: str
    version: int
    end: str
    path: tuple[str, ...] = ()
    misfits: list[Misfit] = field(default_factory=list)
    laps: list[Lap] = field(default_factory=list)
    stations: list[tuple[str, int]] = field(default_factory=list)
    """Where it came to and when: `start`, `step a`, `undo a`, its end; as the picture of its spec calls them."""
    beside: list[tuple[str, str, int]] = field(default_factory=list)
    """Events of its key that the spec does not name, each with the station before it and the microseconds since."""
    follows: list[tuple[str, str, int]] = field(default_factory=list)
    """Which of its events came behind which, directly, with the microseconds between their emissions."""
    again: int = 0
    """Events that said what another had said before."""
    crossed: int = 0
    """Answers of services that were on their way when their step was given up: whoever said them could not know."""
    not_replayed: str = ""
    instance: Instance | None = None
    """As its events leave it, or left it last; None where they can't be folded."""


Emitters = Mapping[str, frozenset[str]]
"""By event, the services that declare that they emit it."""


def judge(life: Life, emitters: Emitters) -> Judgement:
    """Hold one saga against its own version of the spec, which must be known (`life.spec`)."""
    spec, last = life.spec, life.changes[-1]
    assert spec is not None
    found = Judgement(life.key, spec.version, f"{last.status}: {last.reason}" if last.reason else last.status)
    due: dict[str, int] = {}
    if isinstance(life.history, History):
        due = _replayed(life, life.history, found)
    else:
        found.not_replayed = life.history
    _along(life, spec, due, found)
    _settled_in_order(life, spec, found)
    found.misfits += _strangers(life, spec, emitters)
    return found


# -- along the changes -------------------------------------------------------------------------------------------------


def _along(life: Life, spec: Spec, due: Mapping[str, int], found: Judgement) -> None:
    """The path, the stations, how long the steps took, and what lies beside them."""
    path: list[str] = []
    began: dict[str, int] = {}
    before: Mapping[str, str] = {}
    found.stations.append(("start", life.changes[0].at))
    for change in life.changes:
        for step, state in change.steps.items():
            was = before.get(step, "idle")
            if was == state:
                continue
            if whole_in(step) not in spec.by_name and change.digest == spec.digest:
                says = f"{step} is {state}, and version {spec.version} has no such step"
                found.misfits.append(Misfit("step", life.key, step, change.caused_by, says))
            if state in OPEN_STATES and was not in OPEN_STATES:
                began[step] = change.at
            elif was in OPEN_STATES and state not in OPEN_STATES and step in began and _is_asked_for(spec, step):
                found.laps.append(_lap(spec, step, (began.pop(step), change.at), due))
                if found.laps[-1].slow:
                    found.misfits.append(_slow(life, found.laps[-1], step, change))
            _station(step, state, change.at, path, found)
        before = change.steps
    last = life.changes[-1]
    if last.status in ENDED:
        found.stations.append((last.status, last.at))
    found.path = (*path, last.status)
    _beside(life, spec, found)


def _is_asked_for(spec: Spec, step: str) -> bool:
    """Whether it is under way itself, and not by its items."""
    rule = spec.by_name.get(step)
    return rule is None or not rule.fans_out


def _station(step: str, state: str, at: int, path: list[str], found: Judgement) -> None:
    """Of items only their undoing is one, the first for all: how they went otherwise, their step tells."""
    whole = whole_in(step)
    if state not in TURNS or (step != whole and state != "compensated"):
        return
    word = TURNS[state].format(whole)
    if step != whole and word in path:
        return
    path.append(word)
    if state == "done":
        found.stations.append((f"step {step}", at))
    elif state == "compensated":
        found.stations.append((f"undo {whole}", at))


def _lap(spec: Spec, step: str, times: tuple[int, int], due: Mapping[str, int]) -> Lap:
    began, ended = times
    rule = spec.by_name.get(whole_in(step))
    limit = due.get(f"{step}@{began}")
    if limit is None and rule is not None and isinstance(rule.within_us, int):
        limit = began + rule.within_us
    return Lap(whole_in(step), ended - began, limit is not None and ended >= limit)


def _slow(life: Life, lap: Lap, step: str, change: Change) -> Misfit:
    says = f"{step} took {_seconds(lap.took)}, longer than it may"
    return Misfit("slow", life.key, step, change.caused_by, says)


def _beside(life: Life, spec: Spec, found: Judgement) -> None:
    """Events that the spec does not name, and which event followed which."""
    stations = sorted(found.stations, key=lambda one: one[1])
    before: Heard | None = None
    for heard in sorted(life.heard, key=lambda one: (one.now, one.at)):
        if before is not None:
            found.follows.append((before.event, heard.event, heard.at - before.at))
        before = heard
        if heard.event not in spec.parts and heard.event not in spec.emits:
            name, at = next(((n, at) for n, at in reversed(stations) if at <= heard.now), stations[0])
            found.beside.append((name, heard.event, max(0, heard.now - at)))


def _settled_in_order(life: Life, spec: Spec, found: Judgement) -> None:
    """A step that is done before what comes before it is settled: for good, or until later."""
    settled: dict[str, int] = {}
    done: list[tuple[str, int, Change]] = []
    before: Mapping[str, str] = {}
    for number, change in enumerate(life.changes):
        for step, state in change.steps.items():
            if state in SETTLED and before.get(step) not in SETTLED:
                settled.setdefault(step, number)
            if state == "done" and before.get(step) != "done" and step in spec.by_name:
                done.append((step, number, change))
        before = change.steps
    told = set()
    for step, number, change in done:
        rule = spec.by_name[step]
        if rule.enough is not None:
            continue
        for earlier in rule.after:
            if settled.get(earlier, number + 1) > number and step not in told:
                told.add(step)
                kind: Kind = "order" if earlier in settled else "skipped"
                says = (
                    f"{step} was done before {earlier}" if earlier in settled else f"{step} was done, {earlier} never"
                )
                found.misfits.append(Misfit(kind, life.key, step, change.caused_by, says))
    # What is told so is not told once more as an event that came early.
    ids = {one.event_id for one in found.misfits if one.kind in ("order", "skipped")}
    found.misfits = [one for one in found.misfits if one.kind != "early" or one.event_id not in ids]


def _strangers(life: Life, spec: Spec, emitters: Emitters) -> Iterator[Misfit]:
    """Events that say what became of a step and that none of those emitted who declare them."""
    for heard in life.heard:
        parts = [part for part in spec.parts.get(heard.event, ()) if part.role in OUTCOMES]
        expected = emitters.get(heard.event, frozenset())
        if not parts or not expected or (heard.author is not None and heard.author.service in expected):
            continue
        if heard.author is not None:
            whence = f"came from {heard.author}"
        else:
            whence = "came from outside" if heard.cause is None else "has another author"
        says = f"{heard.event} {whence}, not from {' or '.join(sorted(expected))}"
        yield Misfit("emitter", life.key, parts[0].step, heard.event_id, says)


# -- through `decide` once more ----------------------------------------------------------------------------------------


def _replayed(life: Life, history: History, found: Judgement) -> dict[str, int]:
    """Fold its inputs; answers until when each step might wait at first, by `step@since when`."""
    run = Run(life.specs[history.digest])
    run.begin(history, {})
    found.instance = _there(run)
    due: dict[str, int] = {}
    left: dict[str, int] = {}
    answers = {heard.event_id for heard in life.heard if heard.cause is not None}
    _note_due(run, history.start.now, due)
    last, stood = life.changes[-1], _standing(run)
    for past in history.then:
        _judge_input(run, past, left if _id_of(past) in answers else {}, found)
        before = _in_flight(run)
        _take(run, past, life.specs)
        found.instance = _there(run) or found.instance
        left |= dict.fromkeys(before - _in_flight(run), past.now)
        _note_due(run, past.now, due)
        if _id_of(past) == last.caused_by or (isinstance(past, Tick) and past.now == last.at):
            stood = _standing(run)  # what came after the last change is being handled just now
    if stood is not None and stood != (last.status, dict(last.steps)):
        says = f"its events lead to {stood[0]}, and it is {last.status}"
        found.misfits.append(Misfit("diverges", life.key, "", last.caused_by, says))
    return due


def _standing(run: Run) -> tuple[str, dict[str, str]] | None:
    """Status and steps; None where there is no saga, or only a mark of one."""
    stands = _there(run)
    return None if stands is None else (stands.status, {name: one.state.value for name, one in stands.steps.items()})


def _there(run: Run) -> Instance | None:
    return None if run.instance is None or run.instance.forgotten else run.instance


def _in_flight(run: Run) -> set[str]:
    """The steps that may be happening."""
    steps = run.instance.steps.items() if run.instance is not None else ()
    return {name for name, record in steps if record.state in IN_FLIGHT}


def _id_of(past: Past) -> bytes | None:
    """The id of an event or order; timers have one that folding does not need."""
    return None if isinstance(past, Tick) else past.event_id


def _judge_input(run: Run, past: Past, left: Mapping[str, int], found: Judgement) -> None:
    """`left` says when steps were last settled, or given up: what answered before is not late."""
    key = found.key
    if isinstance(past, Command):
        kind: Kind = "skipped" if isinstance(past.order, Skip) else "operator"
        if not isinstance(past.order, Migrate):
            found.misfits.append(Misfit(kind, key, getattr(past.order, "step", ""), past.event_id, saying(past)))
    elif isinstance(past, Received) and run.instance is not None:
        timing = coming(run.spec, run.instance, past)
        found.again += timing is Timing.DUPLICATE
        foreseen = timing is not None and timing in run.spec.policies.get(past.event, {})
        step = next((part.step for part in run.spec.parts.get(past.event, ())), "")
        if timing is Timing.LATE and step and past.at <= left.get(step, past.at - 1):
            found.crossed += 1
        elif timing in TIMINGS and timing is not None and not foreseen:
            found.misfits.append(Misfit(TIMINGS[timing], key, step, past.event_id, f"{past.event} {timing.words}"))


def _take(run: Run, past: Past, specs: Mapping[str, Spec]) -> None:
    if isinstance(past, Tick):
        fired = run.next_timer(past.now)
        if fired is not None:
            run.fire(fired[0], past.now)
    elif isinstance(past, Command) and isinstance(past.order, Migrate):
        run.follow(specs[past.order.digest], past.order)
    else:
        run.take(past)


def _note_due(run: Run, now: int, due: dict[str, int]) -> None:
    """The first timer of a step that has just begun is its limit; a later one is that of a further attempt."""
    for name, record in run.instance.steps.items() if run.instance is not None else ():
        if record.state in IN_FLIGHT and name in run.timers:
            due.setdefault(f"{name}@{now}", run.timers[name])


def _seconds(micros: int) -> str:
    return f"{micros / 1_000_000:,.3f} s"
