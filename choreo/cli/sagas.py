"""`choreo sagas`: instances as their lifecycle topics tell; the last event of a key is how it stands."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import click

from choreo.cli.assembly import Assembly, assemble, deploy_specs
from choreo.cli.options import command
from choreo.cli.output import as_text, note
from choreo.cli.project import Project
from choreo.cli.records import Bodies, one_of, read_to_end
from choreo.cli.targets import ALL_SPECS, SAMPLE_SHOP
from choreo.errors import ChoreoError, ConfigError, DecodeError
from choreo.record import Record
from choreo.saga.rules import Spec

PREFIX, SUFFIX = "choreo.saga.", ".lifecycle"
SHOWN = ["saga", "key", "status", "waits_for", "explanation"]
AT_WORK = ("waiting", "requested", "compensating")
"""States of a step in which somebody is expected to answer."""


class Name(NamedTuple):
    """What an instance is: the saga's name and its key."""

    saga: str
    key: str


@command("deploy")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
def deploy_sagas(project: Project, targets: Sequence[str]) -> None:
    """Put saga specs on the log (none = all of the project). A run of a coordinator does so by itself."""
    new = deploy_specs(project.log, assemble(project, targets or [ALL_SPECS]))
    project.output.listing([{"deployed": name} for name in new], ["deployed"], empty="every spec is on the log already")


@command("list")
@click.argument("sagas", nargs=-1, metavar="[SAGA...]")
@click.option(
    "--status", multiple=True, help="Only these: waiting, compensating, stuck, completed, compensated, cancelled."
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
def list_sagas(project: Project, sagas: Sequence[str], status: Sequence[str], limit: int | None) -> None:
    """Every instance: status, and the events that it waits for."""
    rows = [row for row in _instances(project, sagas) if not status or row["status"] in status]
    shown = (
        [row | {"waits_for": _short(row["waits_for"])} for row in rows[:limit]]
        if not project.output.as_json
        else rows[:limit]
    )
    project.output.listing(shown, SHOWN, empty=f"no sagas on {project.log.url}")


@command("show")
@click.argument("instance_id", metavar="ID")
@click.option("--saga", help="Which saga, where several have this key.")
def show_saga(project: Project, instance_id: str, saga: str | None) -> None:
    """One instance: its story in one line, then its steps. ID is the key, or the beginning of it."""
    row, history = _one(project, instance_id, saga)
    lines = [str(row["explanation"])]
    lines += [f"  {name:<20} {state}" for name, state in row["steps"].items()]
    lines += [f"  waits for {as_text(_short(row['waits_for']))}"] if row["waits_for"] else []
    lines += [f"  {_moment(past['at'])}  {change}" for past in history for change in past["change"]]
    project.output.thing(row | {"history": history}, lines)


@command("why")
@click.argument("instance_id", metavar="ID")
@click.option("--saga", help="Which saga, where several have this key.")
def explain_saga(project: Project, instance_id: str, saga: str | None) -> None:
    """Why an instance waits: for which event, who should emit it, until when. ID is the key, or the beginning of it."""
    row, history = _one(project, instance_id, saga)
    known = _project_parts(project, row["digest"])
    spec = _spec_of(known, row["digest"])
    emitters = _emitters(known)
    waits = [
        {"event": event, "step": step, "emitted_by": emitters.get(event, []), "since": since, "until": until}
        for event in row["waits_for"]
        for step, since, until in [_step_waiting(spec, event, row, history)]
    ]
    told = f": {row['reason']}" if row["reason"] else ""
    lines = [f"{row['saga']} {row['key']} is {row['status']}{told}" if waits else str(row["explanation"])]
    lines += [_sentence(wait) for wait in waits]
    answer = {name: row[name] for name in ("saga", "key", "status", "reason", "explanation", "waits_for")}
    project.output.thing(answer | {"waits": waits}, lines)


def _sentence(wait: Mapping[str, Any]) -> str:
    who = (
        f"{' or '.join(wait['emitted_by'])} should emit it"
        if wait["emitted_by"]
        else "no service of this project emits it"
    )
    step = f" (step {wait['step']})" if wait["step"] else ""
    since = f", asked {_moment(wait['since'])}" if wait["since"] else ""
    until = f"no deadline{since}" if wait["until"] is None else f"until {_moment(wait['until'])}{since}"
    return f"  waits for {_short([wait['event']])[0]}{step}: {who}; {until}"


def _instances(project: Project, sagas: Iterable[str]) -> list[dict[str, Any]]:
    """How every instance stands, by saga and key."""
    told: dict[tuple[str, bytes | None], list[Record]] = {}
    with project.progress.of("sagas", "records") as reached:
        for record in read_to_end(project.log, _topics(project, sagas), reached):
            told.setdefault((record.topic, record.key), []).append(record)
    reading = _Reading(project)
    rows = [row for records in told.values() if (row := next(reading.rows(reversed(records)), None)) is not None]
    reading.close(rows)
    return sorted(rows, key=lambda row: (row["saga"], row["key"]))


def _one(project: Project, instance_id: str, saga: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How one instance stands, and all that happened to it. Raises ConfigError where the id is none or ambiguous."""
    found: dict[str, list[Record]] = {}
    names: list[Name] = []
    with project.progress.of("sagas", "records") as reached:
        for record in read_to_end(project.log, _topics(project, [saga] if saga else []), reached):
            key = (record.key or b"").decode("utf-8", "backslashreplace")
            name = Name(record.topic.removeprefix(PREFIX).removesuffix(SUFFIX), key)
            if key.startswith(instance_id):
                found.setdefault("\0".join(name), []).append(record)
            names.append(name)
    key = one_of({name.key for name in names}, instance_id, "sagas", "choreo sagas list")
    owners = sorted({name.saga for name in names if name.key == key})
    if len(owners) > 1:
        raise ConfigError(f"{key} is a key of {len(owners)} sagas", why=", ".join(owners), hint=f"--saga {owners[0]}")
    reading = _Reading(project)
    history = list(reading.rows(found["\0".join((owners[0], key))]))
    reading.close(history)
    return history[-1], [{name: past[name] for name in ("at", "status", "change", "steps")} for past in history]


def _topics(project: Project, sagas: Iterable[str]) -> list[str]:
    chosen = list(sagas)
    every = [name for name in project.log.topics() if name.startswith(PREFIX) and name.endswith(SUFFIX)]
    wanted = [f"{PREFIX}{saga}{SUFFIX}" for saga in chosen] or sorted(every)
    for name, saga in zip(wanted, chosen, strict=False):
        if name not in every:
            known = ", ".join(one.removeprefix(PREFIX).removesuffix(SUFFIX) for one in every) or "none"
            raise ConfigError(f"there is no saga {saga} on the log", at=project.log.url, hint=f"known: {known}")
    return wanted


class _Reading:
    """Lifecycle events as listings show them. Whatever else lies on their topics is left out, and said so."""

    def __init__(self, project: Project) -> None:
        self._bodies = Bodies(project.registry)
        self._strange: list[ChoreoError] = []

    def rows(self, records: Iterable[Record]) -> Iterator[dict[str, Any]]:
        """Who, how, what for; then the rest."""
        for record in records:
            try:
                body = self._bodies.read(record)
                first = {name: body[name] for name in ("saga", "key", "status", "waits_for")}
            except KeyError:
                self._strange.append(DecodeError("this record is no lifecycle event", at=record.position))
            except ChoreoError as error:
                self._strange.append(error)
            else:
                yield first | {name: value for name, value in body.items() if name not in first}

    def close(self, found: Sequence[object]) -> None:
        """Say what was left out. Raises it where nothing else was found: then it is not the records that are wrong."""
        if self._strange and not found:
            raise self._strange[0]
        if self._strange:
            note(f"left out {len(self._strange)} records that are no lifecycle events: {self._strange[0].message}")


def _project_parts(project: Project, digest: str) -> Assembly | None:
    """The services and specs of the project, else the sample shop's where the instance is one of its own.

    None where nothing can be loaded: what is on the log can be shown without it.
    """
    for targets in ((), (SAMPLE_SHOP,)):
        try:
            known = assemble(project, targets, project.log)
        except ChoreoError:
            continue
        if not targets or _spec_of(known, digest) is not None:
            return known
    return None


def _spec_of(known: Assembly | None, digest: str) -> Spec | None:
    """The spec with this digest, where it is known here."""
    every = [spec for specs in known.specs.values() for spec in specs] if known else []
    return next((spec for spec in every if spec.digest == digest), None)


def _emitters(known: Assembly | None) -> dict[str, list[str]]:
    """Which services declare that they emit an event, by its full name."""
    found: dict[str, list[str]] = {}
    for service in known.services if known else ():
        for event in service.emitted:
            found.setdefault(event.contract.full_name, []).append(service.name)
    return found


def _step_waiting(
    spec: Spec | None, event: str, row: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> tuple[str | None, datetime | None, datetime | None]:
    """The step that waits for an event, since when, and until when; what is not known is None."""
    parts = spec.parts.get(event, ()) if spec else ()
    step = next((part.step for part in parts if row["steps"].get(part.step) in AT_WORK), None)
    if spec is None or step is None:
        return step, None, None
    since: datetime | None = None
    for past in reversed(history):
        if past["steps"].get(step) != row["steps"][step]:
            break
        since = past["at"]
    rule = spec.by_name[step]
    undoing = row["steps"][step] == "compensating"
    within = rule.compensate.within_us if undoing and rule.compensate else None if undoing else rule.within_us
    limits = [since + timedelta(microseconds=within)] if isinstance(within, int) and since is not None else []
    if isinstance(rule.deadline_us, int) and not undoing:
        limits.append(row["started_at"] + timedelta(microseconds=rule.deadline_us))
    return step, since, min(limits, default=None)


def _short(events: Iterable[str]) -> list[str]:
    """Event names without their namespaces."""
    return [event.rpartition(".")[2] for event in events]


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
