"""`choreo check`: reads services, specs, schemas, topics and settings together, and says all that does not fit."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from choreo.checks.finding import Finding, in_order
from choreo.checks.sarif import sarif
from choreo.cli.checked import Checked, counted
from choreo.cli.options import NewFile, command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.errors import ConfigError

FOUND = 1


@command("check")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option("--sarif", type=NewFile(), metavar="FILE", help="Write the findings as SARIF 2.1.0 too, for code hosts.")
@click.option(
    "--explore", is_flag=True, help="Try every run of each saga: failures, timeouts, duplicates, cancellations."
)
@click.option("--states", type=click.IntRange(1), default=3_000, show_default=True, help="How far --explore looks.")
@click.option("--mermaid", is_flag=True, help="Runs that --explore finds as Mermaid instead of lines.")
@click.option("--diagram", type=click.Path(file_okay=False, path_type=Path), help="Draw sagas and services into here.")
def check(project: Project, targets: Sequence[str], **asked: Any) -> int:
    """Say what does not fit in these targets (none = the whole project). Exit code 1 where an error was found.

    With --log, what is on the log is looked at too: partition counts, and the specs that instances follow.
    """
    checked = Checked(project, Path.cwd())
    findings = in_order(_from_here(finding) for finding in checked.findings(targets))
    sources = _sources(findings)
    for finding in findings:
        project.output.thing(finding.row(), finding.lines(sources))
    if asked["sarif"] is not None:
        _write(asked["sarif"], sarif(findings, _version()))
    errors = sum(finding.severity == "error" for finding in findings)
    note(f"{checked.counted()}: {_told(errors, len(findings) - errors)}")
    sound = _looked_further(project, checked, asked)
    return FOUND if errors or not sound or (asked["strict"] and findings) else 0


def _looked_further(project: Project, checked: Checked, asked: Mapping[str, Any]) -> bool:
    """Draw and explore where that is asked for; answers whether every run keeps every promise."""
    if asked["diagram"] is not None:
        from choreo.cli.diagram import draw

        draw(project, checked.parts, asked["diagram"])
    if not asked["explore"]:
        return True
    from choreo.cli.explore import Asked, explore_specs

    return explore_specs(project, checked.parts, Asked(asked["states"], asked["mermaid"]))


def _told(errors: int, warnings: int) -> str:
    found = [counted(count, word) for count, word in ((errors, "error"), (warnings, "warning")) if count]
    return ", ".join(found) or "all of it fits"


def _from_here(finding: Finding) -> Finding:
    """The finding with its file as seen from the current directory, where it lies below."""
    if finding.spot is None:
        return finding
    with suppress(ValueError):
        file = Path(finding.spot.file).resolve().relative_to(Path.cwd())
        return replace(finding, spot=finding.spot._replace(file=str(file)))
    return finding


def _sources(findings: Iterable[Finding]) -> Mapping[str, str]:
    """The texts of the files in which findings have a column."""
    texts = {}
    for file in {finding.spot.file for finding in findings if finding.spot and finding.spot.column}:
        with suppress(OSError, UnicodeDecodeError):
            texts[file] = Path(file).read_text(encoding="utf-8")
    return texts


def _write(file: Path, log: Mapping[str, object]) -> None:
    try:
        file.write_text(json.dumps(log, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError("the SARIF file can't be written", at=file, why=error.strerror) from error


def _version() -> str:
    try:
        return version("choreo")
    except PackageNotFoundError:  # a checkout that is on the path and not installed
        return "0"
