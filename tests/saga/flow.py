"""Sagas of nameless work: step `a` is asked for by AskA, ends with ADone or AFailed, is undone by UndoA, which AUndone
answers. For the language itself, where a shop would say too much.
"""

from datetime import UTC, datetime
from types import new_class
from typing import Any

from choreo.events.event import Event
from choreo.saga.spec import Spec, parse_spec


class FlowEvent(Event, namespace="flow", topic="flow.work", key="case", abstract=True):
    """Any event of a flow; `n` is a number that conditions read, `items` a list and `item` one of it, `at` a time."""

    case: str
    item: str = ""
    items: tuple[str, ...] = ()
    n: int = 0
    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)


def _event(name: str) -> type[Event]:
    def body(namespace: dict[str, Any]) -> None:
        namespace["__module__"] = __name__

    return new_class(name, (FlowEvent,), {}, body)


class Told(FlowEvent):
    """It can't be emitted without `m`."""

    m: int


STEPS = "abcdef"
TOLD = [f"Told{number}" for number in range(1, 7)]
FORMS = ("Ask{}", "{}Done", "{}Failed", "Undo{}", "{}Undone")
NAMES = ("Started", "Cancelled", "Refused", *TOLD, *(form.format(step.upper()) for step in STEPS for form in FORMS))
CATALOGUE: dict[str, type[Event]] = {"flow.Told": Told} | {f"flow.{name}": _event(name) for name in NAMES}


def step(name: str, *more: str, undone: bool = True) -> str:
    """A step as YAML in braces; `more` are further keys, such as `after: a`."""
    upper = name.upper()
    undo = f"{{emit: Undo{upper}, done_on: {upper}Undone}}" if undone else "none"
    keys = (f"name: {name}", f"completes_on: {upper}Done", f"fails_on: {upper}Failed", f"compensate: {undo}", *more)
    return "{" + ", ".join(keys) + "}"


def source(*steps: str, **keys: str) -> str:
    """A spec with these steps as YAML; `keys` are further keys of the saga, or other values of its keys."""
    head = {"saga": "flow", "version": "1", "namespace": "flow", "starts_on": "Started", "correlate_by": "case"}
    head |= {"within": "none", "cancels_on": "{event: Cancelled, refused: Refused}"} | keys
    lines = [f"{key}: {value}" for key, value in head.items()]
    return "\n".join((*lines, "steps:", *(f"  - {one}" for one in steps))) + "\n"


def flow(*steps: str, **keys: str) -> Spec:
    """The spec of `source`."""
    return parse_spec(source(*steps, **keys), "flow.yaml", CATALOGUE)
