"""`choreo sagas migrate`: takes sagas under way over to another version of their spec, where their events allow it."""

import getpass
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from choreo.cli.mend import confirm, send_orders
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.saga_answers import MappingFile, read_mapping
from choreo.cli.saga_filters import OPEN, Filters, filtered, select
from choreo.cli.saga_past import Pasts
from choreo.cli.saga_specs import project_parts
from choreo.cli.saga_view import SagaView
from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.saga.coordinator import Coordinator
from choreo.saga.instance import Instance
from choreo.saga.migration import Answers, Question, Verdict, Versions, classify
from choreo.saga.refold import History
from choreo.saga.rules import Spec
from choreo.saga.shelf import shelf
from choreo.service.service import Service

FOUND = 1
COLUMNS = ["key", "version", "outcome", "reasons"]


@dataclass(frozen=True)
class Known:
    """The coordinator of a saga as the project here knows it: its specs by digest, and the classes of its events."""

    service: Service
    specs: Mapping[str, Spec]
    events: Mapping[str, type[Event]]


@dataclass(frozen=True)
class Judged:
    """One instance, and what a migration would mean to it."""

    instance: Instance
    verdict: Verdict

    def row(self) -> dict[str, Any]:
        """As listings show it."""
        order = self.verdict.order
        return {
            "saga": self.instance.saga,
            "key": self.instance.key,
            "version": self.instance.version,
            "outcome": self.verdict.outcome,
            "reasons": list(self.verdict.reasons),
            "steps": {name: record.state.value for name, record in order.instance.steps.items()} if order else None,
        }


@command("migrate")
@click.argument("saga")
@click.option("--to", "version", type=int, required=True, help="The version to go on with; it must be deployed.")
@click.option("--mapping", "file", type=click.Path(path_type=Path), help="The answers to what a first run asked.")
@click.option("--why", metavar="TEXT", help="Why; it is kept on the log with each order.")
@click.option("--who", help="Who gives the order. Default: the user of this machine.")
@click.option("--dry-run", is_flag=True, help="Only say what would become of each.")
@click.option("--yes", is_flag=True, help="Do not ask, also for several.")
@filtered
def migrate_sagas(
    project: Project,
    saga: str,
    version: int,
    file: Path | None,
    filters: Filters,
    **said: Any,
) -> int:
    """Take sagas under way over to another version of their spec.

    Each one's own events are folded under both versions. Safe are those that stand alike under both: only they are
    taken over. Some need a mapping: a file is written with the questions to fill in. The others stay, and why is said.
    """
    if not said["why"] and not said["dry_run"]:
        raise ConfigError(
            "an order needs a reason", why="it is kept on the log", hint='--why "version 1 asks too early"'
        )
    known = _known(project, saga)
    to = _deployed(project, saga, version, known)
    mapping = read_mapping(file) if file else MappingFile()
    judged = _judged(project, known, to, mapping, _meant(project, saga, to, filters))
    safe = [one for one in judged if one.verdict.order is not None]
    _tell(project, judged, f"no sagas {saga} under way that follow another version than {version}")
    _ask(judged, mapping, file, to)
    if safe and not said["dry_run"]:
        if len(safe) > 1 and not said["yes"]:
            confirm(project, [(saga, one.instance.key) for one in safe])
        orders = [(saga, one.instance.key, one.verdict.order) for one in safe if one.verdict.order]
        send_orders(project, orders, said["who"] or getpass.getuser(), said["why"])
        if not project.output.quiet:
            note("a coordinator takes up what is safe when it runs; choreo sagas show ID tells what came of it")
    return FOUND if judged and not safe else 0


def _known(project: Project, saga: str) -> Known:
    """Raises ConfigError where the project here has no such saga."""
    last = next((one.digest for one in reversed(shelf(project.log, saga))), "")
    parts = project_parts(project, last)
    for service in parts.services if parts else ():
        coordinators = [one for one in service.handlers if issubclass(one, Coordinator)]
        if service.name == f"saga.{saga}" and coordinators:
            return Known(service, coordinators[0].specs, coordinators[0].catalogue)
    raise ConfigError(
        f"the project here has no saga {saga}",
        why="where a saga stands is worked out by its specs and events",
        hint="run it in the directory of the project, with sagas = ... in choreo.toml",
    )


def _deployed(project: Project, saga: str, version: int, known: Known) -> Spec:
    """The spec of a version. Raises ConfigError where it is not on the log, or can't be read here."""
    versions = {one.version: one.digest for one in shelf(project.log, saga)}
    if version not in versions:
        told = ", ".join(map(str, sorted(versions))) or "none"
        raise ConfigError(f"version {version} of saga {saga} is not deployed ({told})", hint="choreo sagas deploy")
    spec = known.specs.get(versions[version])
    if spec is None:
        raise ConfigError(
            f"version {version} of saga {saga} can't be read here",
            why="it speaks of events that the project does not have like this",
            hint="choreo check says what is lacking",
        )
    return spec


def _meant(project: Project, saga: str, to: Spec, filters: Filters) -> list[str]:
    """The keys of those under way that follow another version."""
    rows = select(project, [saga], filters)
    return [row["key"] for row in rows if row["status"] in OPEN and row["digest"] != to.digest]


def _judged(project: Project, known: Known, to: Spec, mapping: MappingFile, keys: Sequence[str]) -> list[Judged]:
    # The stores are read first: what comes in between makes a history that leads elsewhere, never a wrong order.
    with SagaView(project, to.name) as seen:
        instances = [instance for key in keys if (instance := seen.instance(key)) is not None]
    pasts = Pasts(project, known.service).of([one.key for one in instances]) if instances else {}
    answers = mapping.answers(to)
    return [Judged(one, _verdict(one, pasts[one.key], known, to, (mapping, answers))) for one in instances]


def _verdict(
    instance: Instance, past: History | str, known: Known, to: Spec, said: tuple[MappingFile, Answers]
) -> Verdict:
    follows = known.specs.get(instance.digest)
    if isinstance(past, str):
        return Verdict("stays", (past,))
    if follows is None or past.digest not in known.specs:
        return Verdict("stays", (f"version {instance.version}, which it follows, can't be read here",))
    mapping, answers = said
    values = mapping.values(instance, (follows, to), known.events)
    return classify(instance, past, Versions(known.specs, to), answers, values)


def _tell(project: Project, judged: Sequence[Judged], none: str) -> None:
    project.output.listing([one.row() for one in judged], COLUMNS, empty=none)
    if judged and not project.output.as_json and not project.output.quiet:
        counted = Counter(one.verdict.outcome for one in judged)
        note(", ".join(f"{count} {outcome}" for outcome, count in sorted(counted.items())))


def _ask(judged: Sequence[Judged], mapping: MappingFile, read: Path | None, to: Spec) -> None:
    """Write down the questions that are open. A file that was not `read` is never written over."""
    asked = [question for one in judged for question in one.verdict.questions]
    questions = list({(one.about, one.name): one for one in asked}.values())
    if not questions:
        return
    file = read or Path(f"{to.name}-to-{to.version}.yaml")
    if read is None and file.exists():
        raise ConfigError(f"{file} is there already", hint=f"--mapping {file} to go on with it, or move it away")
    file.write_text(mapping.with_questions(questions).text(to, _counted(questions, judged)), encoding="utf-8")
    note(f"fill in {file}, then run it again with --mapping {file}")


def _counted(questions: Sequence[Question], judged: Sequence[Judged]) -> list[Question]:
    """Each question with how many sagas ask it."""
    found = []
    for one in questions:
        same = [each for each in judged for its in each.verdict.questions if its[:2] == one[:2]]
        keys = same[0].instance.key + (f" and {len(same) - 1} more" if len(same) > 1 else "")
        found.append(one._replace(why=f"{keys}: {one.why}"))
    return found
