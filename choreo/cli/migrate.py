"""`choreo sagas migrate`: takes sagas under way over to another version of their spec, where their events allow it."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from choreo.cli.desk import Ordered, ordered
from choreo.cli.judged import Judged, Known, judged_by, known_here
from choreo.cli.mend import confirm, send_orders
from choreo.cli.migrated import Given, Taken, see_through
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.saga_answers import MappingFile, read_mapping
from choreo.cli.saga_filters import OPEN, Filters, filtered, micros_of, select
from choreo.cli.saga_rows import lifecycle_topic
from choreo.errors import ConfigError
from choreo.saga.migration import Question
from choreo.saga.rules import Spec
from choreo.saga.shelf import shelf

FOUND = 1
COLUMNS = ["key", "version", "outcome", "reasons"]


@command("migrate")
@click.argument("saga")
@click.option("--to", "version", type=int, required=True, help="The version to go on with; it must be deployed.")
@click.option("--mapping", "file", type=click.Path(path_type=Path), help="The answers to what a first run asked.")
@click.option("--wait", "wait", metavar="DURATION", help="See what the coordinator says: 30s. What went on is retried.")
@ordered
@filtered
def migrate_sagas(
    project: Project,
    saga: str,
    version: int,
    filters: Filters,
    desk: Ordered,
    **said: Any,
) -> int:
    """Take sagas under way over to another version of their spec.

    Each one's own events are folded under both versions. Safe are those that stand alike under both: only they are
    taken over. Some need a mapping: a file is written with the questions to fill in. The others stay, and why is said.
    """
    desk.expect_reason()
    file: Path | None = said["file"]
    known = _known(project, saga)
    to = _deployed(project, saga, version, known)
    mapping = read_mapping(file) if file else MappingFile()
    wait_us = micros_of(said["wait"]) if said["wait"] else 0

    def judge(keys: Sequence[str]) -> list[Judged]:
        return judged_by(project, known, to, mapping, keys)

    judged = judge(_meant(project, saga, to, filters))
    safe = [one for one in judged if one.verdict.order is not None]
    _tell(project, judged, f"no sagas {saga} under way that follow another version than {version}")
    _ask(judged, mapping, file, to)
    if safe and not desk.dry_run:
        confirm(project, [(saga, one.shown) for one in safe], desk)

        def give(found: Sequence[Judged]) -> list[Given]:
            return _give(project, found, *desk.by)

        if wait_us:
            return _seen_through(project, to, safe, (give, judge), wait_us)
        give(safe)
        if not project.output.quiet:
            note("a coordinator takes up what is safe when it runs; run this again then, for what went on in between")
    return FOUND if judged and not safe else 0


def _give(project: Project, safe: Sequence[Judged], who: str, why: str) -> list[Given]:
    orders = [(one.instance.saga, one.instance.key, one.verdict.order) for one in safe if one.verdict.order]
    ids = send_orders(project, orders, who, why)
    return [Given(event_id, key) for event_id, (_, key, _) in zip(ids, orders, strict=True)]


def _seen_through(
    project: Project,
    to: Spec,
    safe: Sequence[Judged],
    means: tuple[Callable[[Sequence[Judged]], list[Given]], Callable[[Sequence[str]], list[Judged]]],
    wait_us: int,
) -> int:
    """Give the orders and wait for what becomes of them. Exit code 1 where some were not taken over."""
    give, judge = means
    last = {one.instance.key: one for one in safe}

    def again(keys: Sequence[str]) -> list[Given]:
        found = judge(keys)
        last.update({one.instance.key: one for one in found})
        sound = [one for one in found if one.verdict.order]
        return give(sound) if sound else []

    with Taken(project, to.name, to.digest) as taken:
        said = see_through(taken, give(safe), again, wait_us)
    rows = [last[key].row() | ({"outcome": word} if last[key].verdict.order else {}) for key, word in said.items()]
    project.output.listing(rows, COLUMNS, empty="")
    return 0 if all(row["outcome"] == "taken over" for row in rows) else FOUND


def _known(project: Project, saga: str) -> Known:
    """Raises ConfigError where the project here has no such saga."""
    last = next((one.digest for one in reversed(shelf(project.log, saga))), "")
    if not last and lifecycle_topic(saga) in project.log.topics():
        raise ConfigError(f"no version of saga {saga} is deployed", at=project.log.url, hint="choreo sagas deploy")
    return known_here(project, saga, last)


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
        keys = same[0].shown + (f" and {len(same) - 1} more" if len(same) > 1 else "")
        found.append(one._replace(why=f"{keys}: {one.why}"))
    return found
