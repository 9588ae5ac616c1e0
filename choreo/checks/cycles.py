"""Cycles of services: an event that leads to itself again. A saga's own requests and their answers are set aside."""

from collections.abc import Iterator, Mapping, Sequence

from choreo.checks.choreography import Choreography
from choreo.checks.finding import Finding, spot_of_class
from choreo.checks.leads import Lead


def find_cycles(whole: Choreography) -> Iterator[Finding]:
    """The shortest circle through each event that is on one, each circle once."""
    aside = set(_answers(whole))
    ways: dict[str, list[Lead]] = {}
    for lead in whole.leads:
        if (lead.cause, lead.effect) not in aside:
            ways.setdefault(lead.cause, []).append(lead)
    told: set[str] = set()
    for event in sorted(ways):
        circle = () if event in told else _shortest(ways, event)
        if circle:
            told |= {lead.cause for lead in circle}
            way = "".join(f" -> {lead.by} -> {lead.effect}" for lead in circle)
            cure = "name request and answer as emit: and completes_on: of a step, or end it by an event of its own"
            yield Finding(
                "cycle-of-services",
                f"{event} leads to itself: {event}{way}",
                spot_of_class(whole.catalogue[event]) if event in whole.catalogue else None,
                cure,
            )


def _answers(whole: Choreography) -> Iterator[tuple[str, str]]:
    """Request and answer, as the specs name them."""
    for step in (step for one in whole.specs for step in one.spec.steps):
        if step.emit:
            yield from ((step.emit.event, answer) for answer in (*step.completes_on, *step.fails_on, *step.unknown_on))
        if step.compensate:
            undo = step.compensate
            yield from ((undo.emit.event, answer) for answer in (*undo.done_on, *undo.fails_on))


def _shortest(ways: Mapping[str, Sequence[Lead]], event: str) -> tuple[Lead, ...]:
    """The shortest way from an event back to it; () where there is none."""
    seen = {event}
    paths: list[tuple[Lead, ...]] = [(lead,) for lead in ways[event]]
    while paths:
        longer: list[tuple[Lead, ...]] = []
        for path in paths:
            here = path[-1].effect
            if here == event:
                return path
            if here not in seen:
                seen.add(here)
                longer += [(*path, lead) for lead in ways.get(here, ())]
        paths = longer
    return ()
