"""What is drawn of a spec, and of the whole choreography: values in, a graph out."""

from collections.abc import Iterable, Iterator, Mapping

from choreo.diagram.graph import Arrow, Box, Graph
from choreo.diagram.parts import Parts
from choreo.diagram.words import (
    again_of,
    decided_by,
    gives_back,
    items_of,
    lock_of,
    names,
    short,
    time_of,
    told,
    too_late,
    turn_of,
    undo_of,
)
from choreo.events.event import Event
from choreo.saga.clauses import Cancellation, Telling
from choreo.saga.rules import Spec, Step

OUTSIDE = "outside"


def graph_of_spec(spec: Spec) -> Graph:
    """Its steps in their order, what each waits for and how long, how each is undone, where there is no way back."""
    tells = [one for one in spec.tells if not gives_back(spec, one)]
    begun = (*told(tells, "started"), *_told_elsewhere(spec, tells))
    boxes, arrows = [Box("start", (short(spec.starts_on), *begun), "event")], list[Arrow]()
    ends = [step.name for step in spec.steps if not any(step.name in other.after for other in spec.steps)]
    for step in spec.steps:
        boxes.append(Box(f"step {step.name}", tuple(_of_step(spec, step)), "pivot" if step.pivot else "step"))
        befores = [f"step {name}" for name in step.after] or ["start"]
        arrows += [Arrow(before, f"step {step.name}", _condition(step)) for before in befores]
        if step.compensate is not None:
            boxes.append(Box(f"undo {step.name}", (f"undo {step.name}", *undo_of(step.compensate)), "undo"))
            arrows.append(Arrow(f"step {step.name}", f"undo {step.name}", (), "undo"))
    boxes.append(Box("completed", ("completed", *told(tells, "completed")), "end"))
    arrows += [Arrow(f"step {name}", "completed") for name in ends]
    if spec.cancels_on is not None:
        says = ("cancelled", "what was done is undone", *told(tells, "cancelled"))
        boxes += [Box("cancel", (short(spec.cancels_on.event),), "event"), Box("cancelled", says, "end")]
        until = (*too_late(spec, pivots_only=False), *_refused(spec.cancels_on))
        arrows.append(Arrow("cancel", "cancelled", until, "cancel"))
    if spec.compensates_on is not None:
        says = ("compensated", "also what was complete", *told(tells, "compensated"))
        boxes += [Box("take back", (short(spec.compensates_on.event),), "event"), Box("compensated", says, "end")]
        until = (*too_late(spec, pivots_only=True), *_refused(spec.compensates_on))
        arrows.append(Arrow("take back", "compensated", until, "cancel"))
    return Graph(f"saga {spec.name}, version {spec.version}", tuple(boxes), tuple(arrows))


def _told_elsewhere(spec: Spec, tells: Iterable[Telling]) -> Iterator[str]:
    """What is told at ends that have no box: a saga may come to them from anywhere."""
    drawn = {"started", "completed"} | ({"cancelled"} if spec.cancels_on else set())
    drawn |= {"compensated"} if spec.compensates_on else set()
    return told(one for one in tells if one.moment not in drawn)


def _refused(asked: Cancellation) -> Iterator[str]:
    if asked.refused is not None:
        yield f"later {short(asked.refused.event)}"


def _of_step(spec: Spec, step: Step) -> Iterator[str]:
    yield f"{step.name} (pivot)" if step.pivot else step.name
    yield from turn_of(step)
    if step.for_each is not None:
        yield from items_of(step.for_each)
    if step.nested is not None:
        yield f"is saga {step.nested.saga}"
    yield from lock_of(spec, step)
    if step.emit is not None:
        yield f"asks {short(step.emit.event)}"
    yield from decided_by(step)
    for word, events in (
        ("done on", step.completes_on),
        ("fails on", step.fails_on),
        ("may have happened on", step.unknown_on),
    ):
        if events:
            yield f"{word} {names(events)}"
    yield from time_of(spec, step)
    yield from again_of(spec, step)
    yield from told(step.tells)


def _condition(step: Step) -> tuple[str, ...]:
    other_way = (f"else {', '.join(step.otherwise)}",) if step.otherwise else ()
    return other_way if step.when is None else (*other_way, f"when {step.when.text}")


def graph_of_project(parts: Parts) -> Graph:
    """Services and sagas, and the topics between them; on each arrow the events that go that way."""
    boxes = [Box(f"service {one.name}", (one.name,), "service") for one in parts.services]
    boxes += [Box(f"saga {one.name}", (f"saga {one.name}",), "saga") for one in parts.specs]
    emits: dict[str, list[type[Event]]] = {f"service {one.name}": list(one.emitted) for one in parts.services}
    takes: dict[str, list[type[Event]]] = {f"service {one.name}": list(one.handled) for one in parts.services}
    for spec in parts.specs:
        emits[f"saga {spec.name}"] = _classes(parts, spec.emits)
        takes[f"saga {spec.name}"] = _classes(parts, spec.parts)
    said = {event for events in emits.values() for event in events}
    unsaid = [event for events in takes.values() for event in events if event not in said]
    if unsaid:
        boxes.append(Box(OUTSIDE, (OUTSIDE,), "event"))
        emits[OUTSIDE] = list(dict.fromkeys(unsaid))
    used = {event.contract.topic for events in (*emits.values(), *takes.values()) for event in events}
    boxes += [Box(f"topic {topic}", (topic,), "topic") for topic in sorted(used)]
    arrows = [Arrow(source, f"topic {topic}", names) for source, topic, names in _by_topic(emits)]
    arrows += [Arrow(f"topic {topic}", to, names) for to, topic, names in _by_topic(takes)]
    return Graph("choreography", tuple(boxes), tuple(arrows))


def _classes(parts: Parts, names: Iterable[str]) -> list[type[Event]]:
    return [parts.catalogue[name] for name in names if name in parts.catalogue]


def _by_topic(ways: Mapping[str, list[type[Event]]]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for box, events in ways.items():
        for topic in sorted({event.contract.topic for event in events}):
            names = sorted({short(event.contract.full_name) for event in events if event.contract.topic == topic})
            yield box, topic, tuple(names)
