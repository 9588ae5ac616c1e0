"""Every code that a finding may have: how grave it is and what it says. docs/check.md has an example of each."""

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Code(NamedTuple):
    """How grave a finding is, and what it says in general."""

    severity: Literal["error", "warning"]
    says: str


CODES: Mapping[str, Code] = {
    "cannot-load": Code("error", "A service, module or spec that can't be loaded."),
    "cannot-run": Code("error", "A service that breaks a rule of the runtime."),
    "unused-handler": Code("error", "A handler that is in no service."),
    "undeclared-emission": Code("error", "A method returns an event that its annotation does not name."),
    "never-returned": Code("warning", "An annotation names an event that no return gives."),
    "nobody-emits": Code("error", "A saga waits for an event that nobody emits."),
    "nobody-handles": Code("error", "A saga asks by an event that nobody handles."),
    "nobody-produces": Code("warning", "A handler takes an event that nobody in the project emits."),
    "nobody-takes": Code("warning", "An event is emitted that nobody in the project takes."),
    "unused-event": Code("warning", "An event class that nobody emits and nobody takes."),
    "unknown-outside": Code("error", "[project] outside names an event that is not there."),
    "unreachable-step": Code("error", "A step that can never begin."),
    "cannot-end": Code("error", "A step whose end depends on what comes after it."),
    "undo-cannot-end": Code("error", "A request to undo that does not lead to its answer."),
    "constant-condition": Code("warning", "A condition that is always true."),
    "skipped-silently": Code("warning", "A step that too few others lead to, and nobody says what happens then."),
    "unknown-status": Code("error", "A condition compares a step's status with a word that is none."),
    "unknown-value": Code("error", "A condition compares a field with a text that it never holds."),
    "unfit-value": Code("error", "A constant of a mapping is nothing that the field takes."),
    "undo-no-time-limit": Code("warning", "An undo that may wait for ever."),
    "timeout-never": Code("warning", "An answer to a timeout, and no time limit."),
    "single-minutes": Code("warning", "A duration counts windows that are open for single minutes."),
    "correlation-types": Code("error", "The fields that correlate have different types."),
    "correlation-empty": Code("error", "The field that correlates may be null."),
    "correlation-impossible": Code("error", "A field that correlates is of a type that no key can hold."),
    "correlation-replaced": Code("error", "A mapping gives a request another key than its saga's."),
    "not-co-partitioned": Code("error", "Inputs of one service have different numbers of partitions."),
    "cycle-of-services": Code("warning", "An event that leads to itself again."),
    "version-taken": Code("error", "The spec differs from the one that was deployed under its version."),
    "strands-instances": Code("error", "Instances under way could not go on."),
    "unknown-downstream": Code("error", "[downstreams.NAME] names a downstream that no handler declares."),
    "unknown-topic": Code("warning", "[topics.NAME] names a topic that no service uses."),
    "unknown-settings": Code("error", "[settings.NAME] names no service that has settings."),
    "contract-drift": Code("error", "A class differs from its published contract."),
    "contract-breaks": Code("error", "Readers of today can't read what the published contract wrote."),
}
"""Codes of the whole project. Those of one spec are errors: choreo/saga names them where they are found."""


def severity_of(code: str) -> Literal["error", "warning"]:
    """How grave it is."""
    return CODES[code].severity if code in CODES else "error"


def meaning_of(code: str) -> str:
    """What it says in general."""
    return CODES[code].says if code in CODES else f"A mistake in a saga spec: {code.replace('-', ' ')}."
