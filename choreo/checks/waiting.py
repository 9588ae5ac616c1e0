"""How long a saga waits: an undo without a limit, answers to timeouts that never come, open time that hardly passes."""

from collections.abc import Iterator

from choreo.checks.choreography import Choreography, SpecFile
from choreo.checks.finding import Finding
from choreo.saga.calendars import OpenTime
from choreo.saga.rules import Step
from choreo.saga.yaml import Table


def find_waiting(whole: Choreography) -> Iterator[Finding]:
    """Waits that nobody limited, unless `within: none` says so on purpose."""
    for one in whole.specs:
        for step in one.spec.steps:
            yield from _undo(one, step)
            if step.on_timeout.kind != "fail" and step.within_us is None and step.deadline_us is None:
                says = f"step {step.name} says what a timeout means, and has no time limit"
                cure = "add within: 1h to the step, or leave on_timeout: out"
                yield Finding("timeout-never", says, one.spot(step.name, step.name), cure)
        yield from _single_minutes(one)


def _undo(one: SpecFile, step: Step) -> Iterator[Finding]:
    if step.compensate is None or step.compensate.within_us is not None or one.says("within"):
        return
    written = one.step(step.name)
    undo = written.entries["compensate"][1] if written and "compensate" in written.entries else None
    if isinstance(undo, Table) and "within" not in undo.entries:
        says = f"the undo of step {step.name} may wait for ever"
        cure = "add within: 1h to compensate or to the saga, or within: none to say so on purpose"
        yield Finding("undo-no-time-limit", says, one.spot(step.compensate.emit.event, step.name), cure)


def _single_minutes(one: SpecFile) -> Iterator[Finding]:
    """Windows as they are written for jobs that begin at a minute, where a duration counts their open time."""
    spans = (span for step in one.spec.steps for span in step.spans if isinstance(span, OpenTime))
    for text in dict.fromkeys(text for span in spans for text in span.calendar.single_minutes):
        says = f"the window {text} is open for single minutes, and durations count only these"
        hint = " ".join(("*", *text.split()[1:]))
        yield Finding("single-minutes", says, one.spot(text), f"'{hint}' is open for the whole hour")
