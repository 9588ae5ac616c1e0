"""From a `RawSpec` to a `Spec`: every name looked up, every expression typed, every gap a problem of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from choreo.saga.almanac import Almanac, Shared
from choreo.saga.calendars import Span
from choreo.saga.clauses import (
    Cancellation,
    Compensation,
    Emission,
    FanOut,
    Human,
    OnTimeout,
    Reference,
    Reminder,
    Repetition,
    Telling,
)
from choreo.saga.conditions import Expression
from choreo.saga.human import human_of
from choreo.saga.isolation import check_isolation, isolated
from choreo.saga.item_words import read_items
from choreo.saga.kinds import Kind
from choreo.saga.mapping import Mapper, fields_of_items, references_in, references_to
from choreo.saga.meanwhile import check_meanwhile, excluded
from choreo.saga.nesting import check_taken_back, undo_cure
from choreo.saga.order import Order
from choreo.saga.policy_reading import check_policies
from choreo.saga.problems import Place, Problems, did_you_mean
from choreo.saga.raw import Limit, RawEmission, RawSpec, RawStep, RawTellings
from choreo.saga.reading import EVERY_EVENT
from choreo.saga.rules import Spec, Step
from choreo.saga.shapes import OPENS
from choreo.saga.vocabulary import Vocabulary
from choreo.saga.yaml import Text

DAY = 86_400_000_000
MAY_BE_NULL = "a condition is true or false, and this may be null"


def check_spec(raw: RawSpec, words: Vocabulary, shared: Shared, problems: Problems) -> Spec | None:
    """The finished spec, which may go by `shared` calendars; None where problems were found. Fills `problems`."""
    starts_on = words.event(raw.starts_on)
    words.learn_variables(raw, starts_on)
    order = Order.of(raw.steps, problems)
    _check_names(raw, problems)
    keys = _correlation(raw, words, problems)
    if starts_on is None:
        for step in raw.steps:
            words.events((*step.completes_on, *step.fails_on, *step.unknown_on))
        return None
    for text in raw.remember:
        words.has_field(starts_on, text)
    almanac = Almanac.of(raw, shared, problems)
    checker = _Steps(raw, words, problems, order, Mapper(words, problems, starts_on, keys), almanac)
    steps = tuple(checker.for_items(step).step(step) for step in raw.steps)
    cancels_on = checker.cancellation(raw.cancels_on, raw.refused)
    compensates_on = checker.cancellation(raw.compensates_on, raw.kept)
    tells = checker.tellings(raw.tells, {"completed": order.at_end})
    _check_undo_order(raw, steps, problems)
    _check_roles(raw, starts_on, steps, problems)
    check_taken_back(raw, starts_on, cancels_on, compensates_on, problems)
    _check_cancellable(raw, problems)
    check_meanwhile(raw.steps, order, problems)
    isolation = check_isolation(raw, words, starts_on, problems)
    spec = Spec(
        name=raw.name.value,
        version=raw.version,
        starts_on=starts_on,
        correlate_by=keys,
        steps=steps,
        cancels_on=cancels_on,
        compensates_on=compensates_on,
        keep_early_us=_micros(raw.keep_early, DAY),
        keep_ended_us=_micros(raw.keep_ended, 30 * DAY),
        refuse_again_us=_micros(raw.refuse_again, 365 * DAY),
        tells=tells,
        cancellable_until=raw.cancellable_until.value if raw.cancellable_until else None,
    )
    spec = replace(spec, events=check_policies(raw.policies, spec, words, problems))
    if problems.found:
        return None
    return _with_kept_fields(isolated(spec, isolation), [text.value for text in raw.remember])


@dataclass(frozen=True)
class _Steps:
    """Checks steps one by one."""

    raw: RawSpec
    words: Vocabulary
    problems: Problems
    order: Order
    mapper: Mapper
    almanac: Almanac
    for_each: FanOut | None = None

    def for_items(self, raw: RawStep) -> "_Steps":
        """The same for a step that is done for each item of a list: it knows the item at hand."""
        rule, item = read_items(raw, self.raw, self.words, self.problems)
        if rule is None or item is None:
            return self
        words = self.words.with_variables(item.variables)
        return replace(self, words=words, mapper=replace(self.mapper, words=words, item=item), for_each=rule)

    def step(self, raw: RawStep) -> Step:
        words, before = self.words, self.order.before.get(raw.name.value, frozenset())
        when = self._condition(raw, raw.when, before)
        sure = self.order.sure.get(raw.name.value, frozenset())
        emits = words.event(raw.emit.event) if raw.emit else None
        emit = self.mapper.emission(raw.emit, emits, sure & self._answered_by_one()) if raw.emit and emits else None
        if raw.emit is None and raw.on_timeout.kind == "retry":
            said = f"step {raw.name.value} has no emit, so there is no request to make again"
            self.problems.add(raw.name.place, "nothing-to-retry", said, "on_timeout: fail or escalate")
        within, deadline = raw.within or self.raw.within, raw.deadline or self.raw.deadline
        if raw.not_before and not raw.emit:
            said = f"step {raw.name.value} has no emit, so nothing can be put off"
            self.problems.add(raw.name.place, "nothing-to-hold", said, "add emit: the event that asks for the step")
        if within is None and deadline is None:
            cure = "add within: 1h to the step or the saga, or within: none to say so on purpose"
            self.problems.add(raw.name.place, "no-time-limit", f"step {raw.name.value} may wait for ever", cure)
        return Step(
            name=raw.name.value,
            after=tuple(dict.fromkeys(text.value for text in raw.after.steps)),
            enough=raw.after.enough,
            when=when,
            during=raw.during.value if raw.during else None,
            excludes=excluded(raw, self.raw.steps),
            otherwise=tuple(dict.fromkeys(text.value for text in raw.otherwise)),
            emit=emit,
            nested=raw.nested,
            completes_on=words.events(raw.completes_on),
            fails_on=words.events(raw.fails_on),
            unknown_on=words.events(raw.unknown_on),
            within_us=self._time(raw, within, before),
            deadline_us=self._time(raw, deadline, frozenset()),
            not_before_us=self._time(raw, raw.not_before, before),
            on_timeout=self._on_timeout(raw),
            remind=self._reminder(raw),
            human=self._human(raw, before),
            skips_on=words.events(raw.skips_on),
            reopens_on=words.events(raw.reopens_on),
            repeat=self._repetition(raw, before),
            compensate=self._compensation(raw, before),
            pivot=raw.pivot,
            for_each=self.for_each,
            tells=self.tellings(raw.tells, {"done": sure | {raw.name.value}}),
        )

    def _time(self, raw: RawStep, written: Limit | Text | None, before: frozenset[str]) -> Span | Expression | None:
        """A duration, or the expression of a point in time, over steps that come `before`."""
        if not isinstance(written, Text) or written.value == OPENS:
            return self.almanac.span(raw, written)
        time = self.words.expression(written)
        if time is None:
            return None
        if not time.present.fits(Kind.TIMESTAMP):
            said = f"a point in time is wanted, this gives {time.one}"
            self.problems.add(written.place, "wrong-type", said, "a duration, or a field that is a datetime")
        self._check_read(raw, time, written, before)
        return time

    def _on_timeout(self, step: RawStep) -> OnTimeout:
        raw = step.on_timeout
        asks = self.words.event(raw.ask.event) if raw.ask else None
        ask = self.mapper.emission(raw.ask, asks) if raw.ask and asks else None
        wait = self.almanac.span(step, raw.wait) if raw.kind == "ask" else _micros(raw.wait, 0)
        return OnTimeout(raw.kind, raw.attempts, wait or 0, ask, raw.backoff, _micros(raw.longest, None))

    def _reminder(self, step: RawStep) -> Reminder | None:
        raw = step.remind
        event = self.words.event(raw.emit.event) if raw else None
        if raw is None or event is None:
            return None
        return Reminder(self.mapper.emission(raw.emit, event), self.almanac.span(step, raw.every) or 0, raw.at_most)

    def _human(self, raw: RawStep, before: frozenset[str]) -> Human | None:
        if raw.human is None:
            return None
        human = human_of(raw, raw.human, self.mapper)
        for reference in references_to(part for part in human.asks if not isinstance(part, str)):
            self._check_reference(raw, reference, raw.human.asks, before)
        return human

    def tellings(self, raw: RawTellings, sure: Mapping[str, frozenset[str]]) -> tuple[Telling, ...]:
        """What is told; `sure` are, for a moment, the steps that are certainly done by then."""
        found = []
        for moment, emission in raw:
            if event := self.words.event(emission.event):
                certain = sure.get(moment, frozenset()) & self._answered_by_one()
                found.append(Telling(moment, self.mapper.emission(emission, event, certain)))
        return tuple(found)

    def _answered_by_one(self) -> frozenset[str]:
        """The steps that one event alone completes: all its fields are there once they are done."""
        return frozenset(step.name.value for step in self.raw.steps if len(step.completes_on) == 1)

    def _repetition(self, raw: RawStep, before: frozenset[str]) -> Repetition | None:
        if raw.repeat is None:
            return None
        until = self._condition(raw, raw.repeat.until, before | {raw.name.value})
        return Repetition(until, raw.repeat.at_most) if until else None

    def _condition(self, raw: RawStep, written: Text | None, before: frozenset[str]) -> Expression | None:
        if written is None:
            return None
        when = self.words.expression(written)
        if when is None:
            return None
        if when.kind is not Kind.BOOL:
            said = f"a condition is true or false, this gives {when.one}"
            cure = f"compare it: {when.text} > 0" if when.gives and when.gives.is_decimal else ""
            if when.kind is Kind.DYN:
                said, cure = MAY_BE_NULL, f"compare it: {when.text} == true"
                cure = "ask whether it is null: saga.x != null" if "has(" in when.text else cure
            self.problems.add(written.place, "not-a-condition", said, cure)
        self._check_read(raw, when, written, before)
        return when

    def _check_read(self, raw: RawStep, read: Expression, written: Text, before: frozenset[str]) -> None:
        for reference in references_in(read):
            self._check_reference(raw, reference, written, before)

    def _check_reference(self, raw: RawStep, read: Reference, written: Text, before: frozenset[str]) -> None:
        if read.step and read.step not in before and raw.name.value not in self.order.lost:
            said = f"step {raw.name.value} reads step {read.step}, but does not come after it"
            self.problems.add(written.place, "not-before", said, f"add after: {read.step}")

    def _compensation(self, raw: RawStep, before: frozenset[str]) -> Compensation | None:
        undo = raw.compensate
        if undo is None:
            lost = raw.name.value in self.order.lost
            beyond = any(step.pivot for step in self.raw.steps if lost or step.name.value in before)
            if not (raw.says_compensate or raw.pivot or beyond):
                said = f"nothing undoes step {raw.name.value}"
                self.problems.add(raw.name.place, "no-compensation", said, undo_cure(raw))
            return None
        event = self.words.event(undo.emit.event)
        # A nested saga was started by `emit` and nothing else: what had to be done before it is sure to be known.
        certain = self.order.sure.get(raw.name.value, frozenset()) if raw.nested else frozenset[str]()
        emit = self.mapper.emission(undo.emit, event, certain & self._answered_by_one()) if event else Emission("")
        return Compensation(
            emit=emit,
            done_on=self.words.events(undo.done_on),
            fails_on=self.words.events(undo.fails_on),
            within_us=self.almanac.span(raw, undo.within or self.raw.within),
            attempts=undo.attempts,
            wait_us=_micros(undo.wait, 30_000_000) or 0,
            backoff=undo.backoff,
            longest_us=_micros(undo.longest, None),
            after=None if undo.after is None else tuple(text.value for text in undo.after),
        )

    def cancellation(self, asks: Text | None, refused: RawEmission | None) -> Cancellation | None:
        """What `cancels_on` or `compensates_on` says."""
        if asks is None:
            return None
        event = self.words.event(asks)
        answer = self.words.event(refused.event) if refused else None
        emission = self.mapper.emission(refused, answer) if refused and answer else None
        return Cancellation(event, emission) if event else None


def _check_names(raw: RawSpec, problems: Problems) -> None:
    seen: dict[str, Place] = {}
    for step in raw.steps:
        name, place = step.name.value, step.name.place
        if not (name.isascii() and name.isidentifier()):
            better = name.replace("-", "_")
            cure = f"write {better}" if better.isidentifier() else "letters, digits and _ only"
            said = f"{name} is not an identifier, and conditions name steps"
            problems.add(place, "not-an-identifier", said, cure)
        if name in seen:
            cure = f"the first is in line {seen[name].line}"
            problems.add(place, "duplicate-step", f"there are two steps {name}", cure)
        seen.setdefault(name, place)


def _correlation(raw: RawSpec, words: Vocabulary, problems: Problems) -> dict[str, str]:
    """The correlating field of each event that has one. An event without it is a problem, once."""
    quiet = words.quiet()
    keys: dict[str, str] = {}
    named = {full: text for text in reversed(raw.events) if (full := quiet.event(text))}
    for event, field in raw.correlate_by:
        start = quiet.event(raw.starts_on)
        if event.value == EVERY_EVENT and start and field.value not in words.fields(start):
            words.has_field(start, field)
        elif event.value == EVERY_EVENT:
            for full, text in named.items():
                known = words.fields(full)
                if field.value in known:
                    keys[full] = field.value
                else:
                    near = did_you_mean(field.value, known)
                    cure = f"{near} or " if near else ""
                    cure += f"correlate_by: {{{text.value}: FIELD, ...}} names a field for each event"
                    said = f"{full} has no field {field.value}, by which the saga is found"
                    problems.add(text.place, "no-correlation", said, cure)
        elif (full_name := words.event(event)) and words.has_field(full_name, field):
            keys[full_name] = field.value
    if raw.correlate_by and raw.correlate_by[0][0].value != EVERY_EVENT:
        for full, text in named.items():
            if full not in keys:
                said = f"correlate_by names no field of {full}"
                problems.add(text.place, "no-correlation", said, f"add {text.value}: FIELD to correlate_by")
    return keys


def _check_cancellable(raw: RawSpec, problems: Problems) -> None:
    until = raw.cancellable_until
    names = [step.name.value for step in raw.steps]
    if until is None:
        return
    if until.value not in names:
        cure = did_you_mean(until.value, names, f"the steps are {', '.join(names)}")
        problems.add(until.place, "unknown-step", f"there is no step {until.value}", cure)
    if raw.cancels_on is None:
        said = "nothing cancels this saga, so nothing is refused"
        problems.add(until.place, "nothing-to-refuse", said, "add cancels_on: the event that cancels it")


def _check_undo_order(raw: RawSpec, steps: tuple[Step, ...], problems: Problems) -> None:
    """That `compensate: {after: ...}` names steps that are undone, and that no two undos wait for each other."""
    undone = {step.name: step for step in steps if step.compensate}
    written = [(step.name.value, text) for step in raw.steps if step.compensate for text in step.compensate.after or ()]
    for _, text in written:
        if text.value not in undone:
            cure = did_you_mean(text.value, undone, f"the steps that are undone are {', '.join(undone)}")
            problems.add(text.place, "unknown-step", f"there is no step {text.value} that is undone", cure)
    if problems.found:
        return
    first = Spec(name="", version=1, starts_on="", correlate_by={}, steps=steps).undone_first
    for name, text in written:
        seen, ahead = set[str](), [text.value]
        while ahead:
            one = ahead.pop()
            if one not in seen:
                seen.add(one)
                ahead += [other for other in first[one] if other in undone]
        if name in seen:
            said = f"the undo of {name} waits for that of {text.value}, which waits for that of {name}"
            cure = f"say after: in the compensation of {text.value} too, without {name}: after: []"
            problems.add(text.place, "cycle", said, cure)


def _check_roles(raw: RawSpec, starts_on: str, steps: tuple[Step, ...], problems: Problems) -> None:
    """An event that means two things at once to one step, or starts a saga and ends a step, can't be told apart."""
    for written, step in zip(raw.steps, steps, strict=True):
        undo = step.compensate
        ends = [*step.completes_on, *step.fails_on, *step.unknown_on, *step.reopens_on, *step.skips_on]
        undone = [*undo.done_on, *undo.fails_on] if undo and not step.nested else []
        for event in dict.fromkeys(ends + undone):
            if (ends + undone).count(event) > 1:
                said = f"{event} means two things to step {step.name}"
                problems.add(written.name.place, "ambiguous", said, "two outcomes need two events")
            if event == starts_on:
                said = f"{event} starts the saga, so it can't end step {step.name}"
                problems.add(written.name.place, "ambiguous", said)


def _with_kept_fields(spec: Spec, remember: list[str]) -> Spec:
    """The spec that says what instances have to remember: what is asked for, what expressions and mappings read."""
    emissions = (*spec.emissions, *(emission for step in spec.steps for emission in step.emissions))
    read = [one for emission in emissions for one in references_to(emission.fields.values())]
    for step in spec.steps:
        read += references_to(step.human.sources if step.human else ())
        times = (step.not_before_us, step.within_us, step.deadline_us)
        read += [step.for_each.items] if step.for_each else []
        expressions = (step.when, step.repeat.until if step.repeat else None, *times)
        read += [one for found in expressions if isinstance(found, Expression) for one in references_in(found)]
    kept: dict[str | None, set[str]] = {None: set(remember)}
    for one in read:
        if one.step is None or one.field != "status":
            kept.setdefault(one.step, set()).add(one.field)
    steps = tuple(_with_kept_items(step, tuple(sorted(kept.get(step.name, ())))) for step in spec.steps)
    return replace(spec, steps=steps, remembers=tuple(sorted(kept[None])))


def _with_kept_items(step: Step, keeps: tuple[str, ...]) -> Step:
    if step.for_each is None:
        return replace(step, keeps=keeps)
    sources = [source for emission in step.emissions for source in emission.fields.values()]
    sources += step.human.sources if step.human else ()
    read = sorted(name for name in set(fields_of_items(sources)) if name)
    return replace(step, keeps=keeps, for_each=replace(step.for_each, keeps=tuple(read)))


def _micros(limit: Limit | None, default: int | None) -> int | None:
    return limit.micros if limit else default
