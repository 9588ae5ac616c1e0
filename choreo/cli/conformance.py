"""`choreo sagas conformance`: what really happened against what the spec says."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import click

from choreo.cli.diagram import write_graphs
from choreo.cli.judged import Known, known_here
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.records import uuid_text
from choreo.cli.saga_filters import WHERE, SagaCondition
from choreo.cli.saga_lives import Lives, last_digest
from choreo.cli.saga_privacy import EventSchemas, has_personal_key
from choreo.cli.saga_specs import variables_of
from choreo.cli.story_code import code_of
from choreo.cli.time_span import TimeSpan, bounded
from choreo.config.modules import spec_files
from choreo.diagram.discovered import Discovered, Gone, graph_of_runs
from choreo.diagram.discovered import span as span_text
from choreo.errors import ConfigError
from choreo.replay.conformance import judge
from choreo.replay.runs import Runs, Spread
from choreo.saga.rules import Spec
from choreo.service.service import Service
from choreo.telemetry.privacy import MASK

FOUND = 1
CALLED = re.compile(r"^[{\s]*saga\s*:\s*[\"']?(\w+)", re.MULTILINE)
SHOWN_PATHS = 10


@command("conformance")
@click.argument("saga", metavar="SPEC")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Misfits that are told.")
@click.option(
    "--diagram",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Draw what happened over the spec, as NAME-runs.mmd and NAME-runs.svg in this directory.",
)
@WHERE
@bounded
def conformance(
    project: Project, saga: str, limit: int, diagram: Path | None, where: str | None, span: TimeSpan
) -> int:
    """What really happened against the spec: which sagas fit, what was skipped, late, slow or said by somebody else.

    SPEC is the name of a saga, or its file. Each saga is held against its own version. With --since and --until those
    that started then; with --where those whose data fits, as their events leave it. Exit code 1 where something does
    not fit.
    """
    called = _saga_of(project, saga)
    known = known_here(project, called, last_digest(project, called))
    code = code_of(project)
    runs, lives = Runs(limit), Lives(project, known, code, span)
    emitters, met = emitters_of(code.services.values()), dict[str, Spec]()
    variables = cache(lambda digest: variables_of(known.specs[digest], known.events))
    schemas = EventSchemas(project.registry, known.events)
    hidden = cache(lambda digest: has_personal_key(known.specs[digest], schemas))
    condition, unasked = SagaCondition(where, lambda spec: variables(spec.digest)), 0
    for life in lives:
        if life.spec is None:
            runs.unknown += 1
            continue
        judged = judge(life, emitters)
        if hidden(life.spec.digest):
            judged.misfits = [one._replace(key=MASK) for one in judged.misfits]
        met[life.spec.digest] = life.spec
        unasked += where is not None and judged.instance is None
        if where is None or (judged.instance is not None and condition.holds(judged.instance, life.spec)):
            runs.add(judged)
    condition.require_sense(met.values())
    latest = max(met.values(), key=lambda one: one.version, default=None)
    edges = _edges(latest, runs) if latest is not None else []
    project.output.thing(_row(runs, known) | {"edges": edges}, _lines(runs, known, edges))
    if unasked:
        note(f"{unasked} sagas were left out: their events can't be folded any more, and nothing else tells their data")
    if diagram is not None and latest is not None:
        _draw(project, latest, runs, diagram)
    if runs.unknown:
        note(f"{runs.unknown} sagas follow a version of the spec that can't be read here: they were not looked at")
    return FOUND if runs.kinds else 0


def _saga_of(project: Project, target: str) -> str:
    """The saga that a name, or the file of a spec, means. Raises ConfigError for a file that is none."""
    path = Path(target)
    if path.suffix not in (".yaml", ".yml"):
        found = [one for one in spec_files(project.config) if one.stem == target]
        if not found or f"choreo.saga.{target}.lifecycle" in project.past.topics():
            return target
        path = found[0]
    try:
        called = CALLED.search(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise ConfigError(f"can't read {path}", at=path, why=error.strerror, hint="choreo sagas list") from error
    if called is None:
        raise ConfigError(f"{path} holds no spec", at=path, hint="begin with saga: NAME")
    return called[1]


def emitters_of(services: Iterable[Service]) -> Mapping[str, frozenset[str]]:
    """By event, which services declare that they emit it."""
    found: dict[str, set[str]] = {}
    for service in services:
        for event in service.emitted:
            found.setdefault(event.contract.full_name, set()).add(service.name)
    return {event: frozenset(services) for event, services in found.items()}


# -- what is told ------------------------------------------------------------------------------------------------------


def _lines(runs: Runs, known: Known, edges: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    name = known.service.name.removeprefix("saga.")
    versions = ", ".join(f"{count:,} of version {version}" for version, count in sorted(runs.versions.items()))
    yield f"saga {name}: {runs.fit:,} of {runs.count:,} fit" + (f" ({versions})" if versions else "")
    if not runs.count:
        return
    for reason, count in runs.not_replayed.most_common():
        yield f"  {count:,} could only be judged by their changes: {reason}"
    yield "ends"
    yield from (f"  {count:>8,}  {end}" for end, count in runs.ends.most_common(SHOWN_PATHS))
    yield "paths"
    yield from (f"  {count:>8,}  {', '.join(path)}" for path, count in runs.paths.most_common(SHOWN_PATHS))
    others = len(runs.paths) - SHOWN_PATHS
    if others > 0 or runs.other_paths:
        rest = runs.count - sum(count for _, count in runs.paths.most_common(SHOWN_PATHS))
        yield f"  {rest:>8,}  on {max(others, 0):,} other paths{' and more' if runs.other_paths else ''}"
    yield "steps"
    heads = ("times", "p50", "p95", "longest", "within", "longer")
    yield "  " + f"{'':<20}" + "".join(f"{head:>11}" for head in heads)
    spec = max(known.specs.values(), key=lambda one: one.version)
    order = {step.name: number for number, step in enumerate(spec.steps)}
    for step, spread in sorted(runs.laps.items(), key=lambda one: order.get(one[0], len(order))):
        yield f"  {step:<20}" + "".join(f"{cell:>11}" for cell in _cells(spec, step, spread, runs.slow[step]))
    yield "edges"
    yield "  " + f"{'':<40}" + "".join(f"{head:>11}" for head in ("times", "of", *heads[1:4], "longer"))
    for edge in edges:
        name = f"{edge['from']} -> {edge['to']}" + ("" if edge["declared"] else " (not declared)")
        yield f"  {name:<40}" + "".join(f"{cell:>11}" for cell in _edge_cells(edge))
    if runs.kinds:
        yield "what does not fit"
        yield from (f"  {count:>8,}  {WORDS[kind]}" for kind, count in runs.kinds.most_common())
        for one in runs.misfits:
            yield f"  {one.key}: {one.says} ({one.kind}{f', {uuid_text(one.event_id)}' if one.event_id else ''})"
        left = sum(runs.kinds.values()) - len(runs.misfits)
        if left > 0:
            yield f"  and {left:,} more (--limit)"


WORDS = {
    "skipped": "a step was left out",
    "order": "a step was done, or an event came, out of order",
    "early": "an event came before its step's turn",
    "late": "an event came when its step had been settled",
    "unexpected": "an event meant nothing as the saga stood",
    "slow": "a step took longer than it may",
    "emitter": "an event came from somebody who does not declare it",
    "step": "a step that the version does not have",
    "operator": "an operator gave an order",
    "diverges": "its events lead elsewhere than to where it stands",
}


def _cells(spec: Spec, step: str, spread: Spread, slow: int) -> tuple[str, ...]:
    rule = spec.by_name.get(step)
    within = rule.within_us if rule is not None else None
    limit = span_text(within) if isinstance(within, int) else "-" if within is None else "by spec"
    times = (span_text(spread.quantile(0.5)), span_text(spread.quantile(0.95)), span_text(spread.longest))
    return (f"{spread.count:,}", *times, limit, f"{slow:,}")


def _edges(spec: Spec, runs: Runs) -> list[dict[str, Any]]:
    """Every way of the spec from one station to the next, gone or not, and those that were gone and are not in it.

    `of`: how many sagas came to where it begins; `slow`: how often the step to which it leads took longer than it may.
    """
    rows = []
    for arrow in graph_of_runs(spec, _discovered(runs)).arrows:
        way = (arrow.source, arrow.to)
        spread = runs.ways.get(way) or runs.beside.get((arrow.source, arrow.to.removeprefix("event "))) or Spread()
        row: dict[str, Any] = {"from": way[0].removeprefix("step "), "to": way[1].removeprefix("step ")}
        row |= {"declared": arrow.seen != "undeclared", "of": runs.stations[way[0]], "slow": runs.slow_ways[way]}
        rows.append(row | _times(spread))
    return rows


def _edge_cells(edge: Mapping[str, Any]) -> tuple[str, ...]:
    if not edge["count"]:
        return ("never",)
    share = f"{edge['count'] / edge['of']:.0%}" if edge["of"] else "-"
    times = (span_text(edge[name]) for name in ("p50_us", "p95_us", "max_us"))
    return (f"{edge['count']:,}", share, *times, f"{edge['slow']:,}")


def _row(runs: Runs, known: Known) -> dict[str, Any]:
    return {
        "saga": known.service.name.removeprefix("saga."),
        "sagas": runs.count,
        "fit": runs.fit,
        "versions": {str(version): count for version, count in sorted(runs.versions.items())},
        "unknown_version": runs.unknown,
        "judged_by_changes_only": dict(runs.not_replayed),
        "said_again": runs.again,
        "crossed": runs.crossed,
        "ends": dict(runs.ends.most_common()),
        "paths": [{"path": list(path), "count": count} for path, count in runs.paths.most_common()],
        "other_paths": runs.other_paths,
        "steps": [{"step": step, "slow": runs.slow[step], **_times(spread)} for step, spread in runs.laps.items()],
        "kinds": dict(runs.kinds.most_common()),
        "misfits": [one._asdict() | {"event_id": uuid_text(one.event_id)} for one in runs.misfits],
        "follows": _pairs(runs.follows),
        "beside": _pairs(runs.beside),
    }


def _pairs(spreads: Mapping[tuple[str, str], Spread]) -> list[dict[str, Any]]:
    found = sorted(spreads.items(), key=lambda one: -one[1].count)
    return [{"from": source, "to": to, **_times(spread)} for (source, to), spread in found]


def _times(spread: Spread) -> dict[str, int]:
    quantiles = {"p50_us": spread.quantile(0.5), "p95_us": spread.quantile(0.95)}
    return {"count": spread.count, **quantiles, "max_us": spread.longest}


def _draw(project: Project, spec: Spec, runs: Runs, directory: Path) -> None:
    write_graphs(project, {f"{spec.name}-runs": graph_of_runs(spec, _discovered(runs))}, directory)


def _discovered(runs: Runs) -> Discovered:
    return Discovered(runs.count, runs.stations, _gone(runs.ways), _gone(runs.beside))


def _gone(spreads: Mapping[tuple[str, str], Spread]) -> dict[tuple[str, str], Gone]:
    return {pair: Gone(spread.count, spread.quantile(0.5)) for pair, spread in spreads.items()}
