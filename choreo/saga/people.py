"""Human steps at work: who is asked now and what, and whether somebody's answer is one. Values in, values out."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from choreo.saga.clauses import Emission, Human, Item, Reference, SagaKey, Source
from choreo.saga.decision import Answer
from choreo.saga.draft import NOTHING, Draft
from choreo.saga.instance import IN_FLIGHT, Asked, Instance, StepRecord
from choreo.saga.items import with_items
from choreo.saga.rules import Spec, Step


class Question(NamedTuple):
    """What waits for a person. `role` is who may answer now; times are microseconds since 1970, `due` None: never."""

    saga: str
    key: str
    step: str
    role: str
    text: str
    decisions: tuple[str, ...]
    since: int
    due: int | None
    overdue: bool


def questions_of(spec: Spec, instance: Instance) -> Iterator[Question]:
    """What an instance waits for people to decide; what has been answered is left out at once."""
    if instance.ended or instance.forgotten or instance.cause is not None:
        return
    for step in with_items(spec, instance.steps).steps:
        record = instance.steps.get(step.name)
        if step.human and record and record.state in IN_FLIGHT and record.question and not record.question.by:
            draft = Draft(spec, instance, record.question.since)
            yield Question(
                saga=instance.saga,
                key=instance.key,
                step=step.name,
                role=asked_role(step.human, record),
                text=question_text(draft, step),
                decisions=tuple(decision.event for decision in step.human.decisions),
                since=record.question.since,
                due=_due(draft, step, record),
                overdue=record.overdue,
            )


def asked_role(human: Human, record: StepRecord) -> str:
    """Who may answer: once the step is overdue, those to whom it is escalated."""
    return human.escalate_to if record.overdue and human.escalate_to else human.role


def question_text(draft: Draft, step: Step) -> str:
    """The question of a human step with its values; `?` stands for one that there is not."""
    parts, item = (step.human.asks if step.human else ()), draft.item_of(step)
    return "".join(part if isinstance(part, str) else _shown(draft, part, item) for part in parts)


def filled(draft: Draft, step: Step, event: str) -> Mapping[str, Any]:
    """What the saga fills in a decision by itself, as JSON has it; nothing for an event that is none."""
    decision = _decision(step, event)
    return draft.fill(decision, step.name)[0] if decision else {}


def no_decision(draft: Draft, step: Step, order: Answer) -> str | None:
    """Why somebody can't decide a human step by this answer; None where they can, and where it is no decision."""
    record, human = draft.steps[step.name], step.human
    if human is None or _decision(step, order.event) is None:
        return None
    if record.state in IN_FLIGHT and record.question and record.question.by:
        said = record.question.event.rpartition(".")[2]
        return f"step {step.name} has been answered already: {said}, by {record.question.by}"
    role = asked_role(human, record)
    if order.role != role:
        mine = f"not by {order.role}" if order.role else f"say so: --role {role}"
        over = ", to whom it was escalated" if role != human.role else ""
        return f"step {step.name} is decided by {role}{over}; {mine}"
    known = filled(draft, step, order.event)
    taken = [f"{name} ({known[name]})" for name in order.fields if name in known]
    return f"the saga fills {', '.join(taken)} by itself: leave it out" if taken else None


def take_answer(draft: Draft, step: Step, order: Answer, who: str) -> Mapping[str, Any]:
    """What the saga adds to an answer. A question that waits has been answered from now on, though its event is still
    to come: of two people who answer at the same time one is told so.
    """
    record = draft.steps[step.name]
    if record.question is not None and record.state in IN_FLIGHT and _decision(step, order.event):
        draft.put(step, question=record.question.model_copy(update={"by": who, "event": order.event}))
    return filled(draft, step, order.event)


def ask_anew(draft: Draft, step: Step) -> None:
    """An operator has a step asked for once more: whoever answered before is asked again."""
    if step.human is not None and draft.state(step) in IN_FLIGHT:
        draft.put(step, question=Asked(since=draft.now))


def _decision(step: Step, event: str) -> Emission | None:
    return next((one for one in step.human.decisions if one.event == event), None) if step.human else None


def _due(draft: Draft, step: Step, record: StepRecord) -> int | None:
    """When it has, or had, to be decided: an overdue step has no timer any more. `draft` is of when it was asked."""
    if record.due is not None and not record.overdue:
        return record.due
    try:
        times = (draft.time(step.within_us, draft.now), draft.deadline(step))
    except ValueError:
        return record.due
    return min((time for time in times if time is not None), default=None)


def _shown(draft: Draft, source: Source, item: Mapping[str, Any]) -> str:
    if isinstance(source, SagaKey):
        return draft.before.key
    if isinstance(source, Reference):
        value = draft.value(source)
    elif isinstance(source, Item):
        value = item.get(source.field, NOTHING)
    else:
        answer = source.expression.evaluate(draft.values(source.expression.reads, item))
        value = answer.value if answer.problem is None else NOTHING
    if value is NOTHING or value is None:
        return "?"
    if isinstance(value, float):
        return format(value, ".12g")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
