"""`choreo replay shadow`: what would other code have done with what this service was given?"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import click
from pydantic import TypeAdapter, ValidationError

from choreo.cli.assembly import Assembly, assemble
from choreo.cli.options import NewFile, command
from choreo.cli.other_code import code_of, expect_code_of
from choreo.cli.output import note
from choreo.cli.points import partitions_of, point_of
from choreo.cli.progress import Progress, Told, untold
from choreo.cli.project import Project
from choreo.cli.sandbox import sandbox_of
from choreo.cli.shadow_page import page_of
from choreo.cli.shadow_rows import Shown, report_lines, report_row
from choreo.cli.store_values import StoreValues
from choreo.cli.targets import SPEC_SUFFIXES
from choreo.config.modules import Modules, import_place
from choreo.errors import ConfigError
from choreo.replay.contrast import Served, served
from choreo.replay.leeway import Stub, away
from choreo.replay.points import Moment
from choreo.replay.sample import EVERY, sample_of
from choreo.replay.shadow import Shadow, Telling, Window
from choreo.service.calls import Asked, result_type
from choreo.service.service import Service

FOUND = 1


@dataclass(frozen=True)
class Asking:
    """How a shadow run is asked for."""

    code: Path
    first: str | None
    last: str | None
    sample: str | None
    answers: str | None
    html: Path | None


@command("shadow")
@click.argument("service")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@click.option("--code", required=True, metavar="PATH", help="A folder, a module below one, or a saga spec.")
@click.option("--from", "first", metavar="POINT", help="Begin there: a time, TOPIC[N]@OFFSET or an event's id.")
@click.option("--to", "last", metavar="POINT", help="End there.")
@click.option("--sample", metavar="N%|N", help="A share of the stories, or the first so many of them.")
@click.option("--answers", metavar="FILE", help="FILE.py:function or FILE.json: answers of calls that are new.")
@click.option(
    "--html", type=NewFile(), metavar="FILE", help="Write a page with the totals and the ten most telling differences."
)
def shadow(project: Project, service: str, targets: Sequence[str], code: str, **said: Any) -> int:
    """Run other code of SERVICE over the recorded log and tell what it does otherwise. Nothing is sent.

    Its inputs come in the order and at the times of the journal; recorded calls are answered from it. TARGET says where
    the service is (none = the whole project). Exit code 1 where anything differs.
    """
    asking = Asking(Path(code).resolve(), **said)
    live = assemble(project, targets, project.past)
    ran, log = _named(live, service), project.past
    if f"{ran.scope}.journal" not in log.topics():
        raise ConfigError(f"{ran.name} has never run on {log.url}", hint="choreo services list --log URL")
    with _new_code(project, asking.code, service, targets) as new:
        report, shown = _run(project, served(ran), _first_spec(live, new, ran.name), (_named(new, service), asking))
    project.output.thing(report_row(report, shown), report_lines(report, shown))
    if asking.html is not None:
        asking.html.write_text(page_of(report, shown), encoding="utf-8")
        note(f"wrote {asking.html}")
    return 0 if report.clean else FOUND


def _run(project: Project, live: Served, first_spec: str | None, wanted: tuple[Service, Asking]) -> tuple[Any, Shown]:
    service, asking = wanted
    sandbox = sandbox_of(project, service, project.past)
    points = [None if text is None else point_of(project, sandbox, text) for text in (asking.first, asking.last)]
    if isinstance(points[0], Moment) and isinstance(points[1], Moment) and points[0].now > points[1].now:
        raise ConfigError(f"--from {asking.first} is not before --to {asking.last}", hint="the earlier one first")
    partitions_of(sandbox, [point for point in points if point is not None])  # two tasks have no order
    window = Window(points[0], points[1], EVERY if asking.sample is None else sample_of(asking.sample))
    answers = Answers(asking.answers)
    stub = answers.answer
    run = Shadow(sandbox, live, window, stub)
    run.first_spec = first_spec
    with _Shown(project.progress, service.name) as telling:
        report = run.run(Telling(telling.checkpoints, telling.records))
    if answers.wrong is not None:
        raise answers.wrong
    return report, Shown(sandbox.codec(), project.registry, sandbox.naming(), StoreValues(service))


def _named(found: Assembly, name: str) -> Service:
    """The service that is called so; of two specs of one saga the one that was named last."""
    for service in reversed(found.services):
        if name in (service.name, service.name.removeprefix("saga.")):
            return service
    known = ", ".join(service.name for service in found.services)
    raise ConfigError(f"there is no service {name}", hint=f"one of {known}" if known else "name a TARGET")


@contextmanager
def _new_code(project: Project, code: Path, service: str, targets: Sequence[str]) -> Iterator[Assembly]:
    """What lies there, loaded for as long as the block lasts. Raises ConfigError, and what `assemble` raises."""
    if code.suffix in SPEC_SUFFIXES:
        yield assemble(project, [*targets, str(code)], project.past)
        return
    place, _, attribute = code.name.partition(":")
    file = code.with_name(place)
    if not file.exists():
        raise ConfigError(f"there is no {code}", hint="--code: a folder, FILE.py[:attr], or spec.yaml")
    root = file if file.is_dir() else import_place(file)
    named = list(targets) if file.is_dir() else [str(file) + (f":{attribute}" if attribute else "")]
    with code_of(root):
        found = assemble(project, named, project.past, replace(project.config, directory=root))
        expect_code_of(_named(found, service), root)
        yield found


def _first_spec(live: Assembly, new: Assembly, name: str) -> str | None:
    """The digest of a coordinator's spec, where it is another one than the project's."""
    if name not in new.specs or name not in live.specs:
        return None
    was, now = live.specs[name][0].digest, new.specs[name][0].digest
    return None if was == now else now


class Answers:
    """Answers from a function `answer(name, *args, **kwargs)`, by name from a JSON object, or from nobody."""

    def __init__(self, place: str | None) -> None:
        """Raises ConfigError for a place where there are none."""
        self.wrong: ConfigError | None = None
        """The first answer that is of another type than its call: the new code took it for a downstream that failed."""
        self.answer: Stub = away
        if place is not None:
            self.answer = _function(place) if place.partition(":")[0].endswith(".py") else self._by_name(place)

    def _by_name(self, place: str) -> Stub:
        try:
            known = json.loads(Path(place).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            why = str(error)
            raise ConfigError(f"--answers {place} can't be read", why=why, hint="an object: name to answer") from error
        if not isinstance(known, dict):
            raise ConfigError(f"--answers {place} is no object", hint='{"NAME": ANSWER}')

        def stub(asked: Asked) -> Any:
            if asked.name not in known:
                return away(asked)
            try:
                return TypeAdapter(result_type(asked.name, asked.fn)).validate_python(known[asked.name])
            except ValidationError as error:
                what = f"--answers {place}: the answer of {asked.name} is of another type"
                self.wrong = self.wrong or ConfigError(what, why=str(error))
                raise self.wrong from error

        return stub


def _function(place: str) -> Stub:
    found = Modules(Path.cwd()).find(place)
    function: Any = found.things[0] if ":" in place else None
    if not callable(function):
        raise ConfigError(f"--answers {place} is no function", hint="FILE.py:function, or FILE.json")
    return lambda asked: function(asked.name, *asked.args, **asked.kwargs)


class _Shown:
    """Shows how far each task is run, and then how far the records that it wrote are read."""

    def __init__(self, progress: Progress, service: str) -> None:
        self._progress, self._service = progress, service
        self._open = ExitStack()
        self._what = ""
        self._told: Told = untold

    def checkpoints(self, partition: int, done: int, total: int, /) -> None:
        """So many checkpoints of a task were run."""
        self._of(f"{self._service}, task {partition}", "checkpoints")(done, total)

    def records(self, done: int, total: int, /) -> None:
        """So many of the records that it may have written were looked at."""
        self._of(f"{self._service}, emissions", "records")(done, total)

    def _of(self, what: str, unit: str) -> Told:
        if what != self._what:
            self._open.close()
            self._what, self._told = what, self._open.enter_context(self._progress.of(what, unit))
        return self._told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()
