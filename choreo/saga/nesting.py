"""A step that is a saga: what asks for it, what it waits for and how it is undone come from the other saga's offer.

Filled in before a spec is checked: from there on it is a step like any other, and `decide` knows hardly more of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from choreo.saga.clauses import Cancellation, Nested
from choreo.saga.draft import Draft
from choreo.saga.instance import Instance
from choreo.saga.offers import Offer, Offers, scope_of
from choreo.saga.problems import Place, Problem, Problems, did_you_mean
from choreo.saga.raw import RawCompensation, RawEmission, RawSpec, RawStep
from choreo.saga.rules import Spec, Step
from choreo.saga.shapes import NESTED
from choreo.saga.vocabulary import Vocabulary
from choreo.saga.yaml import Text

ENDS = ("completed", "compensated", "cancelled")
"""What a nested saga has to tell. An operator can cancel any saga, so each of them can end cancelled."""


def fill_in(raw: RawSpec, offers: Offers, words: Vocabulary, problems: Problems) -> RawSpec:
    """The spec with every nested saga as a step of its own kind. Fills `problems`."""
    filler = _Filler(raw, offers, words, problems)
    return replace(raw, steps=tuple(filler.step(step) for step in raw.steps))


@dataclass(frozen=True)
class _Filler:
    """Fills in one spec."""

    raw: RawSpec
    offers: Offers
    words: Vocabulary
    problems: Problems

    def step(self, step: RawStep) -> RawStep:
        if step.saga is None:
            for field, _ in step.hands[:1]:
                said = f"step {step.name.value} has a with: of its own, and is no saga"
                self.problems.add(field.place, "nothing-to-map", said, "emit: {event: EVENT, with: {...}}")
            return step
        for key, place in _twice(step):
            said = f"step {step.name.value} is a saga, which says {key} itself"
            self.problems.add(place, "said-twice", said, f"leave {key} out")
        for key in _again(step):
            said = f"step {step.name.value} is a saga, which starts once only under its key: there is no {key}"
            self.problems.add(step.name.place, "starts-once", said, f"leave {key} out")
        offer = self._offer(step, step.saga)
        if offer is None or not self._fits(step, step.saga, offer):
            return replace(step, says_compensate=True)
        return self._filled(step, step.saga, offer)

    def _offer(self, step: RawStep, written: Text) -> Offer | None:
        if not NESTED.fullmatch(written.value):
            return None  # the reader has said so
        name, _, least = written.value.partition("@")
        offer, saga = self.offers.of(name), self.raw.name.value
        circle = (saga, saga) if name == saga else self.offers.circle(saga, name)
        if circle:
            said = f"saga {circle[0]} would never end: {' nests '.join(circle)}"
            self.problems.add(written.place, "nested-in-itself", said, "let one of them not nest the other")
            return None
        if offer is None and self.offers.is_unreadable(name):
            said = f"the spec of saga {name} can't be read"
            self.problems.add_of_nested(name, Problem(written.place, "unsound-saga", said, "mend that spec first"))
            return None
        if offer is None:
            known = [one for one in self.offers.names() if one != saga]
            otherwise = (
                f"known are {', '.join(sorted(known))}" if known else "is its spec in this folder, or on the log?"
            )
            cure = did_you_mean(name, known, otherwise)
            self.problems.add(written.place, "unknown-saga", f"there is no saga {name}", cure)
            return None
        if least.isdecimal() and offer.version < int(least):
            said = (
                f"step {step.name.value} needs version {least} of saga {name} or a later one, this is {offer.version}"
            )
            cure = f"deploy that version of it, or write {name}@{offer.version} where that will do"
            self.problems.add_of_nested(name, Problem(written.place, "saga-too-old", said, cure))
            return None
        self._check_locks(written, name)
        return offer

    def _check_locks(self, written: Text, name: str) -> None:
        """A saga that waits for one that waits for its lock, or for another of its scope, gets no further."""
        scope = scope_of(self.raw)
        way = self.offers.locked_in(name, scope) if scope else ()
        if way:
            chain = " nests ".join((self.raw.name.value, *way))
            said = f"{chain}, and both take locks of the scope {scope}: the one below may wait for what is held above"
            cure = "give one of them a scope of its own, or leave out the isolate_on below"
            self.problems.add(written.place, "shared-lock", said, cure)

    def _fits(self, step: RawStep, written: Text, offer: Offer) -> bool:
        """Whether the saga says all that a step has to know of it."""
        untold = [moment for moment in ENDS if moment not in offer.tells]
        if untold:
            said = f"saga {offer.saga} does not tell when it is {' or '.join(untold)}"
            cure = f"add tell: {{{', '.join(f'{moment}: EVENT' for moment in untold)}}} to saga {offer.saga}"
            self.problems.add_of_nested(offer.saga, Problem(written.place, "untold-end", said, cure))
        well = offer.tells.get("completed")
        if well and well in (offer.tells.get("compensated"), offer.tells.get("cancelled")):
            said = f"saga {offer.saga} tells its good and its bad end by one event, {well}"
            problem = Problem(written.place, "ambiguous", said, "two outcomes need two events")
            self.problems.add_of_nested(offer.saga, problem)
            return False
        strange = [event for event in _spoken(step, offer) if event not in self.words.catalogue]
        for event in strange:
            said = f"saga {offer.saga} speaks of {event}, and there is no such event here"
            self.problems.add_of_nested(offer.saga, Problem(written.place, "unsound-saga", said, "mend its spec first"))
        return not untold and not strange

    def _filled(self, step: RawStep, written: Text, offer: Offer) -> RawStep:
        def at(event: str) -> Text:
            return Text(event, written.place)

        bad = tuple(dict.fromkeys(offer.tells[moment] for moment in ENDS[1:]))
        undo = None
        if offer.compensates_on and _is_taken_back(step, offer):
            asks = RawEmission(at(offer.compensates_on), tuple(self._known(step, offer.compensates_on)))
            undo = RawCompensation(asks, tuple(map(at, bad)), (at(offer.kept),) if offer.kept else ())
        return replace(
            step,
            emit=RawEmission(at(offer.starts_on), step.hands),
            completes_on=(at(offer.tells["completed"]),),
            fails_on=tuple(map(at, bad)),
            compensate=undo,
            nested=Nested(offer.saga, offer.key),
        )

    def _known(self, step: RawStep, event: str) -> Iterator[tuple[Text, Text]]:
        """The mappings of the step for those fields that this event has, too."""
        fields = self.words.fields(event) if event in self.words.catalogue else {}
        return ((key, value) for key, value in step.hands if key.value in fields)


def _spoken(step: RawStep, offer: Offer) -> Iterator[str]:
    """The events by which a saga and the one that this step of it is speak with each other, each once."""
    ends = (offer.tells.get(moment) for moment in ENDS)
    back = (offer.compensates_on, offer.kept) if _is_taken_back(step, offer) else ()
    yield from dict.fromkeys(filter(None, (offer.starts_on, *ends, *back)))


def _is_taken_back(step: RawStep, offer: Offer) -> bool:
    """Whether the step is undone by what the saga offers for that."""
    return offer.compensates_on is not None and not step.says_compensate and not step.pivot


def _twice(step: RawStep) -> Iterator[tuple[str, Place]]:
    """Keys that can't stand beside `saga`, for it says so itself; and where they stand."""
    undo = step.compensate.emit if step.compensate else None
    for key, emission in (("emit", step.emit), ("compensate", undo)):
        if emission:
            yield key, emission.event.place
    ends = (("completes_on", step.completes_on), ("fails_on", step.fails_on), ("unknown_on", step.unknown_on))
    for key, events in ends:
        if events:
            yield key, events[0].place


def _again(step: RawStep) -> Iterator[str]:
    """Keys by which a step is asked for a second time."""
    again = {"repeat": step.repeat, "reopens_on": step.reopens_on, "retry": step.on_timeout.kind == "retry"}
    return (key for key, value in again.items() if value)


def undo_cure(step: RawStep) -> str:
    """What to do about a step that nothing undoes."""
    if step.nested is None:
        return "add compensate: {emit: ..., done_on: ...}, or compensate: none to say so on purpose"
    return f"add compensates_on: EVENT to saga {step.nested.saga}, or compensate: none to say so on purpose"


def check_taken_back(
    raw: RawSpec, starts_on: str, cancels: Cancellation | None, compensates: Cancellation | None, problems: Problems
) -> None:
    """An event that takes the saga back can't start or cancel it besides."""
    if raw.compensates_on is None or compensates is None:
        return
    for other, verb in ((starts_on, "starts"), (cancels.event if cancels else None, "cancels")):
        if other == compensates.event:
            said = f"{other} {verb} the saga, so it can't take it back besides"
            problems.add(raw.compensates_on.place, "ambiguous", said, "two meanings need two events")


def nested_key(spec: Spec, instance: Instance, step: Step) -> str | None:
    """The key of the saga that a step is; None where the step is none, or it can't be told yet."""
    if step.nested is None or step.emit is None:
        return None
    fields, problem = Draft(spec, instance, 0).fill(step.emit)
    found = fields.get(step.nested.key)
    return None if problem is not None or found is None else str(found)
