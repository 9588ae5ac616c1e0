"""Who emits an event and who takes it: sagas that would wait or ask for ever, events that nobody wants."""

from collections.abc import Iterator

from choreo.checks.choreography import Choreography, SpecFile
from choreo.checks.finding import Finding, spot_of_class
from choreo.config.sections import did_you_mean
from choreo.saga.rules import Role

TURNS = {Role.REOPENS: "is taken back by", Role.SKIPS: "is taken out by", Role.ADDS: "gets items by"}
"""What an event does to a step that does not wait for it."""


def find_partners(whole: Choreography) -> Iterator[Finding]:
    """Events that lack one of their two sides."""
    yield from _unknown_outside(whole)
    if whole.services:
        for one in whole.specs:
            yield from _unanswered(whole, one)
    if whole.whole:
        yield from _lonely(whole)


def _unanswered(whole: Choreography, one: SpecFile) -> Iterator[Finding]:
    """Events that a saga waits for and nobody emits, and requests that nobody handles."""
    spec = one.spec
    for event in whole.unsaid(spec):
        part = next((part for part in spec.parts[event] if part.step), spec.parts[event][0])
        turn, step = TURNS.get(part.role), part.step
        says = f"step {step} {turn or 'waits for'} {event}, which no handler returns"
        cure = "name it in a handler's return annotation"
        if turn:  # mostly a word of the world: a chargeback, a change of mind
            cure += f', or outside = ["{event}"] in [project], where others emit it'
        yield Finding("nobody-emits", says, one.spot(event, step), cure)
    for event in whole.unheard(spec):
        says = f"saga {spec.name} emits {event}, which no handler takes"
        yield Finding("nobody-handles", says, one.spot(event), "a handle or compensate method that takes it")


def _lonely(whole: Choreography) -> Iterator[Finding]:
    triggers = {event for one in whole.specs for event in one.spec.triggers}
    produced, taken = whole.emitted | whole.requested | whole.decided | triggers, whole.handled | whole.awaited
    for name, event in sorted(whole.catalogue.items()):
        if whole.is_outside(name):
            continue
        cure = f'outside = ["{name}"] in [project], where others do'
        if name in whole.handled and name not in produced:
            takers = sorted(
                f"{s.name}.{m.name}"
                for one in whole.services
                for s in one.signatures
                for m in s.methods()
                if event in m.takes
            )
            says = f"{takers[0]} takes {name}, which nobody in this project emits"
            yield Finding("nobody-produces", says, spot_of_class(event), cure)
        elif name in produced and name not in taken:
            yield Finding(
                "nobody-takes", f"{name} is emitted, and nobody in this project takes it", spot_of_class(event), cure
            )
        elif name not in produced | taken:
            yield Finding(
                "unused-event",
                f"nobody emits {name}, and nobody takes it",
                spot_of_class(event),
                f"delete it, or {cure}",
            )


def _unknown_outside(whole: Choreography) -> Iterator[Finding]:
    for name, spot in whole.outside.items():
        if name not in whole.catalogue and whole.whole:
            says = f"[project] outside names {name}, and there is no such event"
            yield Finding("unknown-outside", says, spot, did_you_mean(name, whole.catalogue))
