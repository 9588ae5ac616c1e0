"""Whether each step of a saga can begin and end: what leads to its events, and what its conditions say."""

import re
from collections.abc import Collection, Iterator

from choreo.checks.choreography import Choreography, SpecFile
from choreo.checks.finding import Finding
from choreo.checks.leads import closure
from choreo.saga.instance import StepState
from choreo.saga.problems import did_you_mean
from choreo.saga.rules import Step

_STATUS = re.compile(r"steps\.(\w+)\.status\s*[=!]=\s*(?:'(\w*)'|\"(\w*)\")")


def find_paths(whole: Choreography) -> Iterator[Finding]:
    """Steps that can never begin, ends that need themselves, undos that lead nowhere."""
    for one in whole.specs:
        for step in one.spec.steps:
            yield from _condition(one, step)
        if whole.services:
            yield from _ends(whole, one)
            yield from _undos(whole, one)


def _condition(one: SpecFile, step: Step) -> Iterator[Finding]:
    """Conditions that say the same whatever happens."""
    if step.when is None:
        return
    spot = one.spot(step.when.text, step.name)
    if not step.when.reads:
        if step.when.evaluate({}).value is False:
            says = f"step {step.name} can never begin: its condition is always false"
            yield Finding("unreachable-step", says, spot, "leave the step out, or let its condition read saga.*")
        else:
            says = f"the condition of step {step.name} is always true"
            yield Finding("constant-condition", says, spot, "leave when: out")
    states = [state.value for state in StepState]
    for name, *words in _STATUS.findall(step.when.text):
        word = "".join(words)
        if word not in states:
            says = f"step {step.name} asks whether step {name} is {word!r}, which no step ever is"
            yield Finding("unknown-status", says, spot, did_you_mean(word, states, f"one of {', '.join(states)}"))


def _ends(whole: Choreography, one: SpecFile) -> Iterator[Finding]:
    """Follows everything that can happen from the start on; what is not reached waits for ever."""
    spec = one.spec
    produced = whole.emitted | whole.requested
    beyond = {name for name in whole.catalogue if name not in produced or whole.is_outside(name)}
    others = {event for other in whole.specs if other is not one for event in other.spec.emits}
    happens, done = beyond | others | set(spec.triggers) | whole.decided, set[str]()
    while True:
        reached = closure(whole.leads, happens)
        begun = [step for step in spec.steps if step.name not in done and _may_begin(step, done)]
        happens = set(reached) | {step.emit.event for step in begun if step.emit}
        reached = closure(whole.leads, happens)
        new = {step.name for step in begun if _may_end(step, reached)}
        if not new:
            break
        done |= new
    waiting = {step.name for step in begun}
    for step in spec.steps:
        if step.name in waiting:
            event = step.completes_on[0]
            says = f"step {step.name} can't end: nothing that has happened by then leads to {event}"
            cure = "let a handler answer what comes before it, or emit: a request that a handler takes"
            yield Finding("cannot-end", says, one.spot(event, step.name), cure)
        elif step.name not in done:
            blocked = next((name for name in step.after if name not in done), next(iter(step.otherwise), ""))
            says = f"step {step.name} can never begin: step {blocked} before it never ends"
            yield Finding("unreachable-step", says, one.spot(step.name, step.name), f"mend step {blocked} first")


def _may_begin(step: Step, done: set[str]) -> bool:
    """Whether enough of what comes before a step can be done."""
    needed = len(step.after) if step.enough is None else step.enough
    return len(done.intersection(step.after)) >= needed


def _may_end(step: Step, reached: Collection[str]) -> bool:
    """Whether a step that has begun can be done or skipped."""
    skippable = step.when is not None or bool(step.otherwise)
    return skippable or any(event in reached for event in (*step.completes_on, *step.skips_on))


def _undos(whole: Choreography, one: SpecFile) -> Iterator[Finding]:
    """A request to undo has to lead to one of its answers."""
    lonely = {name for name in whole.catalogue if name not in whole.handled | whole.awaited}
    for step in one.spec.steps:
        undo = step.compensate
        if undo is None or undo.emit.event not in whole.handled or not whole.emitted.intersection(undo.done_on):
            continue
        reached = closure(whole.leads, [undo.emit.event])
        if any(whole.is_outside(event) or event in lonely for event in reached):
            continue  # others have a part in it: what they do is not known here
        if not reached.intersection(undo.done_on):
            says = f"the undo of step {step.name} can't end: {undo.emit.event} does not lead to {undo.done_on[0]}"
            cure = "done_on: what the handler of the request returns"
            yield Finding("undo-cannot-end", says, one.spot(undo.done_on[0], step.name), cure)
