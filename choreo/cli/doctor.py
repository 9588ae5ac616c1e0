"""`choreo doctor`: looks at this machine, the log and the registry, and says what to do about what it finds."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal, NamedTuple

from choreo.cli.options import command
from choreo.cli.project import Project
from choreo.config.layers import unknown_variables
from choreo.config.sections import Setting
from choreo.errors import ChoreoError, LogUnavailableError, RegistryUnavailableError

State = Literal["ok", "warn", "fail"]
FOUND, UNREACHABLE = 1, 3
GIB = 1 << 30
OWN_VARIABLES = ("CHOREO_PROFILE", "CHOREO_FAULT", "CHOREO_DATA", "CHOREO_NO_KAFKA")
"""Variables that are no settings and still ours."""


class Verdict(NamedTuple):
    """One thing that was looked at."""

    check: str
    state: State
    says: str
    hint: str = ""
    unreachable: bool = False


@command("doctor")
def doctor(project: Project) -> int:
    """Look at Python, packages, settings, log, registry, topics, state directory, disk and open files.

    Exit code 3 where the log or the registry can't be reached, 1 where anything else fails, 0 otherwise.
    """
    verdicts = [verdict for look in LOOKS for verdict in look(project)]
    rows = [{"check": v.check, "state": v.state, "says": v.says, "try": v.hint or None} for v in verdicts]
    project.output.listing(rows, ["state", "check", "says", "try"])
    if any(verdict.unreachable for verdict in verdicts):
        return UNREACHABLE
    return FOUND if any(verdict.state == "fail" for verdict in verdicts) else 0


def _python(project: Project) -> Iterator[Verdict]:
    current = ".".join(map(str, sys.version_info[:3]))
    fits = sys.version_info >= (3, 11)
    yield Verdict("python", "ok" if fits else "fail", current, "" if fits else "Python 3.11 or newer")


def _packages(project: Project) -> Iterator[Verdict]:
    try:
        needed = [text for text in requires("choreo") or () if "extra ==" not in text]
    except PackageNotFoundError:
        yield Verdict("packages", "warn", "choreo runs from its source and is not installed", "pip install -e .")
        return
    for requirement in needed:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        least = re.search(r">=\s*([0-9.]+)", requirement)
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Verdict(name, "fail", "not installed", f"pip install '{requirement}'")
            continue
        fits = least is None or _numbers(found) >= _numbers(least[1])
        yield Verdict(name, "ok" if fits else "fail", found, "" if fits else f"pip install '{requirement}'")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _settings(project: Project) -> Iterator[Verdict]:
    config = project.config
    yield Verdict("settings", "ok", str(config.file or "no choreo.toml: defaults"))
    for variable, hint in unknown_variables(os.environ, OWN_VARIABLES):
        yield Verdict(variable, "warn", "is set and means nothing", hint)


def _log(project: Project) -> Iterator[Verdict]:
    if project.lacks_log:
        yield Verdict("log", "warn", f"there is none in {project.lacks_log} yet", "choreo run, dev or emit makes it")
        return
    try:
        topics = project.log.topics()
        yield Verdict("log", "ok", f"{_shown(project)}: cluster {project.log.cluster_id()}, {len(topics)} topics")
    except ChoreoError as error:
        away = isinstance(error, LogUnavailableError)
        hint = error.hint or "is the broker up, and is the address right?"
        yield Verdict("log", "fail", f"{_shown(project)}: {_said(error)}", hint, unreachable=away)


def _registry(project: Project) -> Iterator[Verdict]:
    shown = Setting("registry.url", project.config.registry_url(), "").shown
    try:
        yield Verdict("registry", "ok", f"{shown}: {len(project.registry.subjects())} subjects")
    except ChoreoError as error:
        away = isinstance(error, RegistryUnavailableError)
        yield Verdict("registry", "fail", f"{shown}: {_said(error)}", error.hint or "", unreachable=away)


def _topics(project: Project) -> Iterator[Verdict]:
    if not project.config.project.services:
        return
    from choreo.cli.assembly import assemble, wanted_topics

    try:
        plans = assemble(project, []).plans()
        known = {} if project.lacks_log else project.log.topics()
        wanted = wanted_topics(project, plans, known)
        missing = [spec for spec in wanted if spec.name not in known]
    except LogUnavailableError:
        return
    except ChoreoError as error:
        yield Verdict("project", "fail", _said(error), "choreo check")
        return
    if missing:
        yield Verdict("topics", "warn", f"{len(missing)} of {len(wanted)} are missing", "choreo topics apply")
    else:
        yield Verdict("topics", "ok", f"all {len(wanted)} are there")


def _state(project: Project) -> Iterator[Verdict]:
    place = project.config.state_dir()
    there = next(parent for parent in (place, *place.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        yield Verdict("state", "fail", f"{place}: {error.strerror}", "[run] state_dir: a directory that is writable")
        return
    yield Verdict("state", "ok", f"{place} is writable")
    free = shutil.disk_usage(there).free
    state: State = "ok" if free >= 2 * GIB else "warn" if free >= GIB // 4 else "fail"
    yield Verdict(
        "disk", state, f"{free / GIB:.1f} GiB free", "" if state == "ok" else f"make room on the disk of {there}"
    )


def _open_files(project: Project) -> Iterator[Verdict]:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = soft == resource.RLIM_INFINITY
    state: State = "ok" if unlimited or soft >= 4096 else "warn" if soft >= 512 else "fail"
    yield Verdict(
        "open files", state, "unlimited" if unlimited else str(soft), "" if state == "ok" else "ulimit -n 65536"
    )


def _said(error: ChoreoError) -> str:
    return error.message + (f" ({error.why})" if error.why else "")


def _shown(project: Project) -> object:
    return next(setting.shown for setting in project.config.values if setting.name == "log.url")


LOOKS: tuple[Callable[[Project], Iterator[Verdict]], ...] = (
    _python,
    _packages,
    _settings,
    _log,
    _registry,
    _topics,
    _state,
    _open_files,
)
