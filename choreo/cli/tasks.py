"""`choreo sagas tasks`, `choreo sagas form`: what waits for people, and what they fill in when they answer."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from choreo.cli.options import command
from choreo.cli.output import as_text, note
from choreo.cli.project import Project
from choreo.cli.saga_privacy import EventSchemas, shown_fields, shown_instance
from choreo.cli.saga_rows import lifecycle_topics, moment_text, one_instance, saga_of, short_names
from choreo.cli.saga_specs import KnownSpecs
from choreo.cli.saga_view import SagaView
from choreo.clock import SystemClock, to_datetime
from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.saga.draft import Draft
from choreo.saga.form import Entry, fault_of, form_of, schema_of
from choreo.saga.instance import IN_FLIGHT, Instance
from choreo.saga.items import with_items
from choreo.saga.people import Question, filled, question_text, questions_of
from choreo.saga.rules import Spec, Step

COLUMNS = ["saga", "key", "step", "role", "question", "since", "due", "decisions"]


@dataclass(frozen=True)
class Asking:
    """An instance, what it follows, and the events of that, by full name."""

    spec: Spec
    instance: Instance
    catalogue: Mapping[str, type[Event]]

    @property
    def steps(self) -> Mapping[str, Step]:
        """By name, with one for each item of those that are done for each."""
        return with_items(self.spec, self.instance.steps).by_name

    def filled(self, step: str, event: str) -> dict[str, Any]:
        """What of a decision is no matter of people: its key, and what the saga fills by itself."""
        draft = Draft(self.spec, self.instance, SystemClock().now())
        key = {self.spec.correlate_by[event]: self.instance.key} if event in self.spec.correlate_by else {}
        return {**key, **filled(draft, self.steps[step], event)}


@command("tasks")
@click.argument("sagas", nargs=-1, metavar="[SAGA...]")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="Only what waits for this role.")
@click.option("--overdue", is_flag=True, help="Only what should have been answered by now.")
def list_tasks(project: Project, sagas: Sequence[str], roles: Sequence[str], overdue: bool) -> None:
    """What waits for people: the question, who may answer it, since when, until when. The most urgent comes first."""
    found = [
        one for one in _questions(project, sagas) if one.role in (roles or [one.role]) and (one.overdue or not overdue)
    ]
    found.sort(key=lambda one: (one.due is None, one.due or 0, one.since, one.saga, one.key))
    rows = [_row(one) for one in found]
    if not project.output.as_json:
        rows = [row | _words(row) for row in rows]
    project.output.listing(rows, COLUMNS, empty="nothing waits for people" + (" like this" if roles or overdue else ""))


@command("form")
@click.argument("step")
@click.argument("instance_id", metavar="ID")
@click.option("--saga", help="Which saga, where several have this key.")
def show_form(project: Project, step: str, instance_id: str, saga: str | None) -> None:
    """What a person is asked at STEP, and what there is to fill in for each decision; --json has it as JSON Schema.

    ID is the key, or the beginning of it.
    """
    row, _ = one_instance(project, instance_id, saga)
    asking = _asking(project, row["saga"], row["key"])
    if asking is None:
        raise ConfigError(
            f"the spec of saga {row['saga']} {row['key']} can't be read here",
            hint="run it in the directory of the project, with sagas = ... in choreo.toml",
        )
    schemas = EventSchemas(project.registry, asking.catalogue)
    questions = _shown(asking.spec, asking.instance, schemas)
    question = next((one for one in questions if one.step == step), None)
    if question is None:
        raise _not_asked(asking, step)
    lines = [f"{question.saga} {question.key}, step {step}: {question.role}", f"  {question.text}"]
    lines.append(f"  since {moment_text(to_datetime(question.since))}, {_until(question)}")
    decisions: list[dict[str, Any]] = []
    for event in question.decisions:
        own = shown_fields(schemas, [event], asking.filled(step, event))
        lines += _form_lines(asking.catalogue[event], own)
        decisions.append({"event": event, "filled": own, "schema": schema_of(asking.catalogue[event], own)})
    lines.append(f'choreo sagas answer {step} EVENT {question.key} --role {question.role} --why "..." FIELD=VALUE ...')
    project.output.thing(_row(question) | {"decisions": decisions}, lines)


def ask_missing(
    project: Project, meant: tuple[str, str], step: str, event: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields that an answer to a saga (name and key) needs and that are not `given`, asked for one by one.

    None for a step or event that is not there: the decision will refuse it.
    """
    asking = _asking(project, *meant)
    for full in asking.spec.parts if asking else ():
        if asking and event in (full, full.rpartition(".")[2]) and step in asking.steps:
            form = form_of(asking.catalogue[full], asking.filled(step, full))
            wanted = [entry for entry in form if entry.required and entry.name not in given]
            return {entry.name: _asked(asking.catalogue[full], entry) for entry in wanted}
    return {}


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _asked(event: type[Event], entry: Entry) -> Any:
    def read(text: str) -> Any:
        value = value_in(text)
        fault = fault_of(event, entry.name, value)
        if fault is not None:
            raise click.UsageError(f"{entry.name}: {fault}")
        return value

    says = f"{entry.says}\n" if entry.says else ""
    return click.prompt(f"{says}{entry.name} ({entry.hint})", value_proc=read, err=True)


def value_in(text: str) -> Any:
    """A text, or JSON where it begins with [ or {, as `choreo emit` takes it. Raises ConfigError."""
    if text[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{text} is not JSON: {error}") from None


def _questions(project: Project, sagas: Sequence[str]) -> Iterator[Question]:
    """All that waits for people. What can't be read here is left out, and said so."""
    known, left_out = KnownSpecs(project), 0
    for topic in lifecycle_topics(project, sagas):
        with SagaView(project, saga_of(topic)) as seen:
            for instance in seen.instances():
                spec = None if instance.ended else known.of(instance.digest)
                if spec is not None:
                    yield from _shown(spec, instance, known.schemas(spec))
                elif not instance.ended:
                    left_out += 1
    if left_out:
        note(f"left out {left_out} sagas whose specs can't be read here: run it in the directory of the project")


def _shown(spec: Spec, instance: Instance, schemas: EventSchemas) -> Iterator[Question]:
    """What people are asked, without what is personal."""
    shown = shown_instance(instance, spec, schemas)
    steps = with_items(spec, shown.steps).by_name
    for one in questions_of(spec, instance):
        yield one._replace(key=shown.key, text=question_text(Draft(spec, shown, one.since), steps[one.step]))


def _asking(project: Project, saga: str, key: str) -> Asking | None:
    """An instance by its exact name; None where it, or its spec, can't be read here."""
    with SagaView(project, saga) as seen:
        instance = seen.instance(key)
    known = KnownSpecs(project)
    spec = known.of(instance.digest) if instance else None
    return Asking(spec, instance, known.catalogue(spec)) if instance and spec else None


def _not_asked(asking: Asking, name: str) -> ConfigError:
    """Why there is no form of a step."""
    instance, step = asking.instance, asking.spec.by_name.get(name)
    whose = f"saga {instance.saga} {instance.key}"
    if step is None:
        return ConfigError(f"there is no step {name} in {whose}", hint=f"its steps: {', '.join(asking.spec.by_name)}")
    if step.human is None:
        hint = "choreo sagas why tells who should answer it"
        return ConfigError(f"step {name} of {whose} is not for people to decide", hint=hint)
    record = instance.steps.get(name)
    if record is not None and record.question is not None and record.question.by and record.state in IN_FLIGHT:
        why = f"{record.question.by} has answered it: {short_names([record.question.event])[0]}"
    else:
        why = f"it is {record.state if record else instance.status}"
    return ConfigError(f"step {name} of {whose} waits for nobody", why=why)


def _row(one: Question) -> dict[str, Any]:
    """As programs get it."""
    return {
        "saga": one.saga,
        "key": one.key,
        "step": one.step,
        "role": one.role,
        "question": one.text,
        "since": to_datetime(one.since),
        "due": None if one.due is None else to_datetime(one.due),
        "overdue": one.overdue,
        "decisions": list(one.decisions),
    }


def _words(row: Mapping[str, Any]) -> dict[str, Any]:
    """What people read in place of it."""
    due = None if row["due"] is None else moment_text(row["due"])
    return {
        "since": moment_text(row["since"]),
        "due": f"overdue since {due}" if row["overdue"] and due else "overdue" if row["overdue"] else due,
        "decisions": short_names(row["decisions"]),
    }


def _until(one: Question) -> str:
    if one.due is None:
        return "overdue" if one.overdue else "without a limit"
    return f"{'overdue since' if one.overdue else 'until'} {moment_text(to_datetime(one.due))}"


def _form_lines(event: type[Event], own: Mapping[str, Any]) -> Iterator[str]:
    """A decision and its fields, one a line."""
    yield event.contract.name
    for entry in form_of(event, own):
        wanted = "required" if entry.required else f"default {as_text(entry.default) or 'empty'}"
        says = f"  {entry.says}" if entry.says else ""
        yield f"  {entry.name:<20} {entry.hint}; {wanted}{says}"
    told = ", ".join(f"{name}={as_text(value)}" for name, value in own.items())
    yield f"  filled by the saga: {told}"
