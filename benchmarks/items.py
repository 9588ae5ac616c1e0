"""A step that is done for each item: CPU of the coordinator's decision and of its lifecycle event, an answer each."""

from collections.abc import Callable, Iterator
from time import process_time
from uuid import UUID

from benchmarks.figure import Figure, Size
from choreo.events.event import Event
from choreo.saga.decide import begin, decide
from choreo.saga.decision import Decision, Received
from choreo.saga.lifecycle import changed
from choreo.saga.rules import Spec
from choreo.saga.spec import parse_spec

FULL, QUICK = Size(300, repeats=3), Size(10)
SPEC = """\
saga: items
version: 1
namespace: items
starts_on: Started
cancels_on: Cancelled
correlate_by: case
within: 1h
steps:
  - name: ask
    for_each: saga.items
    item_key: item
    emit: Ask
    completes_on: Done
    compensate: {emit: Undo, done_on: Undone, within: 1h}
"""


class ItemEvent(Event, namespace="items", topic="items", key="case", abstract=True):
    case: str
    item: str = ""


class Started(ItemEvent):
    items: tuple[str, ...]


class Ask(ItemEvent): ...


class Done(ItemEvent): ...


class Undo(ItemEvent): ...


class Undone(ItemEvent): ...


class Cancelled(ItemEvent): ...


def figures(size: Size) -> Iterator[Figure]:
    """`items.done` while all items are done one after the other, `items.undone` while all are undone."""
    spec = parse_spec(SPEC, "items.yaml", {one.contract.full_name: one for one in ItemEvent.__subclasses__()})
    keys = [f"i{number}" for number in range(size.count)]
    terms = {"n": size.count, "repeats": size.repeats}
    for name, answers in (("done", _done), ("undone", _undone)):
        taken = min(_ms_an_event(spec, keys, answers) for _ in range(size.repeats))
        yield Figure(f"items.{name}", taken, "ms CPU/event", terms=terms)


Answers = Callable[[Spec, Decision, list[str]], int]
"""Has all items answered; says how many events that were."""


def _ms_an_event(spec: Spec, keys: list[str], answers: Answers) -> float:
    started = begin(spec, _received("Started", 1, items=keys), [])
    used = process_time()
    count = answers(spec, started, keys)
    return (process_time() - used) / count * 1e3


def _done(spec: Spec, started: Decision, keys: list[str]) -> int:
    return _answered(spec, started, "Done", keys, "completed")


def _undone(spec: Spec, started: Decision, keys: list[str]) -> int:
    cancelled = decide(spec, started.instance, _received("Cancelled", 2))
    return _answered(spec, cancelled, "Undone", keys, "cancelled")


def _answered(spec: Spec, before: Decision, event: str, keys: list[str], end: str) -> int:
    decision, told = before, None
    for number, key in enumerate(keys, start=3):
        decision = decide(spec, decision.instance, _received(event, number, item=key))
        told = changed(spec, decision, UUID(int=number), number)
    assert told is None or told.status == end, told
    return len(keys)


def _received(event: str, number: int, **fields: object) -> Received:
    event_id = number.to_bytes(8, "big") + bytes(8)
    return Received(f"items.{event}", "c1", event_id, number, number, fields, "story")
