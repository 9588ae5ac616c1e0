"""`choreo check`: reads services, specs and contracts together and says what does not fit, all of it at once."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.targets import Finder
from choreo.diagram.parts import Parts
from choreo.errors import ChoreoError
from choreo.events.avro import schema_of
from choreo.events.contracts import compatibility, contract_file, drift
from choreo.events.event import Event
from choreo.runtime.plan import plan_of
from choreo.saga.coordinator import coordinator
from choreo.saga.rules import Spec
from choreo.saga.spec import load_spec
from choreo.service.service import Service

FOUND = 1
REGISTERED = "by-id"
"""A directory registry keeps its schemas there: what was written, not what was promised."""


class Finding(NamedTuple):
    """One thing that does not fit: what, where it stands, what to do."""

    kind: str
    says: str
    at: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        lines = [f"{self.at}: error[{self.kind}]: {self.says}" if self.at else f"error[{self.kind}]: {self.says}"]
        return "\n".join([*lines, f"  try  {self.hint}"] if self.hint else lines)


@command("check")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@click.option(
    "--explore", is_flag=True, help="Try every run of each saga: failures, timeouts, duplicates, cancellations."
)
@click.option("--states", type=click.IntRange(1), default=20_000, show_default=True, help="How far --explore looks.")
@click.option("--mermaid", is_flag=True, help="Runs that --explore finds as Mermaid instead of lines.")
@click.option("--diagram", type=click.Path(file_okay=False, path_type=Path), help="Draw sagas and services into here.")
def check(project: Project, targets: Sequence[str], **asked: Any) -> int:
    """Say what does not fit in these targets (none = the whole project). Exit code 1 where anything was found."""
    checking = Checking(project, Finder(project.config, Path.cwd()))
    findings = list(checking.run(targets))
    for finding in findings:
        project.output.thing(finding._asdict(), [str(finding)])
    note(f"{checking.counted()}: {len(findings)} problems" if findings else f"{checking.counted()}: all of it fits")
    if asked["diagram"] is not None:
        from choreo.cli.diagram import draw

        draw(project, checking.parts, asked["diagram"])
    if asked["explore"]:
        from choreo.cli.explore import Asked, explore_specs

        sound = explore_specs(project, checking.parts, Asked(asked["states"], asked["mermaid"]))
        return FOUND if findings or not sound else 0
    return FOUND if findings else 0


class Checking:
    """One look at a project: loads its parts one by one, so that one that fails does not hide the others."""

    def __init__(self, project: Project, finder: Finder) -> None:
        self._project, self._finder = project, finder
        self._services: list[Service] = []
        self._sound: list[Service] = []
        """Those that can run."""
        self._specs: list[tuple[Path, Spec]] = []

    def run(self, targets: Sequence[str]) -> Iterator[Finding]:
        """Everything that is found, the causes before what follows from them."""
        paths: list[Path] = []
        for target in targets or (*self._project.config.project.services, "sagas"):
            try:
                found = self._finder.find([target])
            except ChoreoError as error:
                yield _finding("cannot-load", error)
                continue
            self._services += [service for service in found.services if service not in self._services]
            paths += found.specs
        if not targets and not self._services and not paths:
            self._finder.find([])  # says that there is nothing, and where it was looked for
        yield from self._check_services()
        if not targets:
            yield from self._check_handlers()
        yield from self._check_specs(paths)
        yield from self._check_contracts()

    def counted(self) -> str:
        """What was looked at."""
        return f"{len(self._services)} services, {len(self._specs)} sagas, {len(self._finder.catalogue())} events"

    @property
    def parts(self) -> Parts:
        """What is sound enough to be explored and drawn."""
        return Parts(tuple(self._sound), tuple(spec for _, spec in self._specs), self._finder.catalogue())

    def _check_services(self) -> Iterator[Finding]:
        for service in self._services:
            try:
                plan_of(service)
            except ChoreoError as error:
                yield _finding("cannot-run", error)
                continue
            self._sound.append(service)

    def _check_handlers(self) -> Iterator[Finding]:
        """Handlers that nobody runs: written, and forgotten in the list of their service."""
        used = {handler for service in self._services for handler in service.handlers}
        for handler in self._finder.handlers():
            if not any(issubclass(one, handler) for one in used):
                file = sys.modules[handler.__module__].__file__
                says = f"{handler.__name__} is in no service"
                yield Finding("unused-handler", says, file, "add it to handlers=[...] of its service, or delete it")

    def _check_specs(self, paths: Iterable[Path]) -> Iterator[Finding]:
        catalogue = self._finder.catalogue()
        for path in paths:
            try:
                spec = load_spec(path, catalogue)
                plan_of(coordinator(spec, catalogue))
            except ChoreoError as error:
                yield _finding("spec", error)
                continue
            self._specs.append((path, spec))
        if self._sound:
            emitted = _names(self._sound, lambda service: service.emitted)
            handled = _names(self._sound, lambda service: service.handled)
            for path, spec in self._specs:
                yield from _unanswered(path, spec, emitted, handled)

    def _check_contracts(self) -> Iterator[Finding]:
        directory = self._project.config.path(self._project.config.project.schemas)
        if all(file.parent.name == REGISTERED for file in directory.glob("*/*.avsc")):
            return  # nothing is published yet: contracts are watched from the first export on
        for event in self._finder.catalogue().values():
            said = drift(event, directory)
            if said is None:
                continue
            yield Finding("contract-drift", said, hint="choreo schemas export, then review and commit the change")
            yield from (
                Finding("contract-breaks", text, str(contract_file(event, directory)))
                for text in _breaks(event, directory)
            )


def _finding(kind: str, error: ChoreoError) -> Finding:
    """An error as a finding; one that shows places of its own (a spec's) is left as it is."""
    says = error.message if error.why is None else f"{error.message}: {error.why}"
    return Finding(kind, says, str(error.at) if error.at else None, error.hint)


def _names(services: Iterable[Service], what: Callable[[Service], Iterable[type[Event]]]) -> set[str]:
    return {event.contract.full_name for service in services for event in what(service)}


def _unanswered(path: Path, spec: Spec, emitted: set[str], handled: set[str]) -> Iterator[Finding]:
    """Events that a saga waits for and nobody emits, and requests that nobody handles."""
    starts = {spec.starts_on, *([spec.cancels_on.event] if spec.cancels_on else [])}
    refused = spec.cancels_on.refused.event if spec.cancels_on and spec.cancels_on.refused else None
    for event, parts in spec.parts.items():
        if event not in emitted | starts:
            step = next((part.step for part in parts if part.step), "")
            says = f"step {step} waits for {event}, which no handler returns"
            yield Finding("nobody-emits", says, _place(path, event), "name it in a handler's return annotation")
    for event in spec.emits:
        if event not in handled and event != refused:
            says = f"saga {spec.name} emits {event}, which no handler takes"
            yield Finding("nobody-handles", says, _place(path, event), "a handle or compensate method that takes it")


def _place(path: Path, event: str) -> str:
    """Where the spec names an event: file:line:column."""
    word = re.compile(rf"(?<![\w.])({re.escape(event)}|{re.escape(event.rpartition('.')[2])})(?!\w)")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        found = word.search(line.partition("#")[0])
        if found:
            return f"{path}:{number}:{found.start() + 1}"
    return str(path)


def _breaks(event: type[Event], directory: Path) -> list[str]:
    """Why readers of today could not read what the published contract wrote."""
    try:
        published: Mapping[str, object] = json.loads(contract_file(event, directory).read_bytes())
    except (OSError, ValueError):
        return []
    return compatibility(dict(published), schema_of(event))
