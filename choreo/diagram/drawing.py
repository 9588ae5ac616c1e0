"""What is drawn of a spec, and of the whole choreography: values in, a graph out."""

from collections.abc import Iterable, Iterator, Mapping

from choreo.diagram.graph import Arrow, Box, Graph
from choreo.diagram.parts import Parts
from choreo.events.event import Event
from choreo.saga.clauses import FanOut
from choreo.saga.rules import Spec, Step

OUTSIDE = "outside"


def graph_of_spec(spec: Spec) -> Graph:
    """Its steps in their order, what each waits for, how each is undone, where there is no way back."""
    start = Box("start", (_short(spec.starts_on),), "event")
    boxes, arrows = [start], list[Arrow]()
    ends = [step.name for step in spec.steps if not any(step.name in other.after for other in spec.steps)]
    for step in spec.steps:
        boxes.append(Box(f"step {step.name}", tuple(_of_step(step)), "pivot" if step.pivot else "step"))
        befores = [f"step {name}" for name in step.after] or ["start"]
        arrows += [Arrow(before, f"step {step.name}", _condition(step)) for before in befores]
        undo = step.compensate
        if undo is not None:
            says = (f"undo {step.name}", f"asks {_short(undo.emit.event)}", f"done on {_names(undo.done_on)}")
            fails = (f"fails on {_names(undo.fails_on)}",) if undo.fails_on else ()
            boxes.append(Box(f"undo {step.name}", says + fails, "undo"))
            arrows.append(Arrow(f"step {step.name}", f"undo {step.name}", (), "undo"))
    boxes.append(Box("completed", ("completed",), "end"))
    arrows += [Arrow(f"step {name}", "completed") for name in ends]
    if spec.cancels_on is not None:
        boxes.append(Box("cancel", (_short(spec.cancels_on.event),), "event"))
        boxes.append(Box("cancelled", ("cancelled", "what was done is undone"), "end"))
        arrows.append(Arrow("cancel", "cancelled", (), "cancel"))
    if spec.compensates_on is not None:
        boxes.append(Box("take back", (_short(spec.compensates_on.event),), "event"))
        boxes.append(Box("compensated", ("compensated", "also what was complete"), "end"))
        arrows.append(Arrow("take back", "compensated", (), "cancel"))
    return Graph(f"saga {spec.name}, version {spec.version}", tuple(boxes), tuple(arrows))


def _of_step(step: Step) -> Iterator[str]:
    yield f"{step.name} (pivot)" if step.pivot else step.name
    if step.enough is not None:
        yield f"once {step.enough} of {len(step.after)} are done"
    if step.for_each is not None:
        yield f"for each of {_list(step.for_each)}: {_share(step.for_each)}"
    if step.nested is not None:
        yield f"is saga {step.nested.saga}"
    if step.emit is not None:
        yield f"asks {_short(step.emit.event)}"
    if step.human is not None:
        then = f", then {step.human.escalate_to}" if step.human.escalate_to else ""
        yield f"decided by {step.human.role}{then}"
    for word, events in (
        ("done on", step.completes_on),
        ("fails on", step.fails_on),
        ("may have happened on", step.unknown_on),
        ("taken out on", step.skips_on),
        ("taken back on", step.reopens_on),
    ):
        if events:
            yield f"{word} {_names(events)}"
    if step.repeat is not None:
        yield f"again until {step.repeat.until.text}"


def _list(rule: FanOut) -> str:
    return f"saga.{rule.items.field}" if rule.items.step is None else f"steps.{rule.items.step}.{rule.items.field}"


def _share(rule: FanOut) -> str:
    if rule.at_least is not None:
        return "any" if rule.at_least == 1 else f"{rule.at_least} of them"
    return "all" if rule.percent == 100 else f"{rule.percent}% of them"


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
            names = sorted({_short(event.contract.full_name) for event in events if event.contract.topic == topic})
            yield box, topic, tuple(names)


def _names(events: tuple[str, ...]) -> str:
    return " or ".join(_short(event) for event in events)


def _short(event: str) -> str:
    return event.rpartition(".")[2]
