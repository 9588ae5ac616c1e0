"""`choreo replay fork`: a story that really happened becomes a test."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from choreo.cli.assembly import Assembly, assemble
from choreo.cli.fork_fakes import fakes_of
from choreo.cli.fork_orders import in_a_test, source_of
from choreo.cli.fork_play import Play, play, waits
from choreo.cli.fork_source import Node, Source, written
from choreo.cli.masking import Masks
from choreo.cli.options import NewFile, command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.sandbox import sandbox_of
from choreo.clock import iso, to_datetime
from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.replay.heard import Heard, heard_in
from choreo.replay.history import Archive, History, Line
from choreo.saga.commands import SagaCommand
from choreo.service.service import Service
from choreo.testing.likeness import Like


@command("fork")
@click.argument("story", metavar="ID")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@click.option("--service", "names", multiple=True, metavar="NAME", help="It alone: what others emit is given to it.")
@click.option("--out", type=NewFile(), metavar="FILE", help="Write it there; none = to stdout.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def fork(
    project: Project, story: str, targets: Sequence[str], names: Sequence[str], out: Path | None, force: bool
) -> None:
    """Write a story as a test: what came from outside, what services emitted upon it, how it ended.

    ID is its correlation id, the beginning of that, the key of a saga in it, or the id of one of its events.

    The test passes as it is. Fields marked personal are masked, each value by one mask of its type.
    """
    if out is not None and out.exists() and not force:
        raise ConfigError(f"{out} is there already", hint="--force writes over it, --out names another file")
    found = assemble(project, targets, project.past)
    own, specs = _cast(found, names)
    sagas = [one for one in found.services if one.name in found.specs and found.files[one.name] in specs]
    with project.progress.of("reading the story", "records") as told:
        everybody = [one for one in found.services if one in own or one.name in found.specs]
        correlation_id = Archive(project.past, project.registry, everybody).story(story, told)
        archive = Archive(project.past, project.registry, [*own, *sagas])
        history = archive.history(correlation_id)
    if not any(line.by is None for line in history.lines):
        raise ConfigError(f"nothing came from outside in story {correlation_id}", hint="it began before the log does")
    heard = [one for service in own if service.provide for one in _heard(project, service, correlation_id)]
    masks = Masks([line.event for line in (*history.lines, *history.before)])
    text = _test(own, specs, (_masked(history, masks), masks), heard, archive.events)
    row = {"story": correlation_id, "test": text, "out": out, "masked": len(masks)}
    project.output.thing(row, [text.rstrip("\n")] if out is None else [])
    if out is not None:
        out.write_text(text, encoding="utf-8")
        note(f"wrote {out}" + (f"; {len(masks)} personal values are masked" if len(masks) else ""))


def _cast(found: Assembly, names: Sequence[str]) -> tuple[list[Service], list[Path]]:
    """The author's services and the specs that take part."""
    own = [s for s in found.services if s.name not in found.specs and _place(s) is not None]
    unknown = [name for name in names if name not in {s.name for s in found.services} | {"saga." + n for n in names}]
    if unknown:
        raise ConfigError(f"there is no service {unknown[0]}", hint=f"one of {', '.join(s.name for s in own)}")
    if not names:
        return own, list(dict.fromkeys(found.files.values()))
    return [s for s in own if s.name in names], [p for name, p in found.files.items() if name in names]


def _heard(project: Project, service: Service, correlation_id: str) -> list[Heard]:
    if f"{service.scope}.journal" not in project.past.topics():
        return []
    return heard_in(sandbox_of(project, service, project.past), correlation_id)


def _masked(history: History, masks: Masks) -> History:
    def shown(event: Event) -> Event:
        return in_a_test(event, masks) if isinstance(event, SagaCommand) else masks.masked(event)

    def lines(those: Iterable[Line]) -> list[Line]:
        return [line._replace(event=shown(line.event)) for line in those]

    return History(lines(history.lines), lines(history.before), history.ends)


def _test(
    own: Sequence[Service],
    specs: Sequence[Path],
    told: tuple[History, Masks],
    heard: Sequence[Heard],
    classes: Mapping[str, type[Event]],
) -> str:
    """The whole file. What services made that is personal is left out: no mask would come again."""
    history, masks = told
    source = Source()
    source.need("choreo.testing", "Scenario")
    fakes, stand_ins = fakes_of(heard, source)
    played = play(own, specs, history, fakes)
    played.stores = [one for one in played.stores if not masks.reveals(one[2])]
    body = _body(source, own, specs, (history, played, sorted(fakes)), classes)
    first = history.lines[0]
    day = iso(to_datetime(first.ids.at), "seconds")
    key = "_".join(str(getattr(first.event, name)) for name in first.event.contract.key)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(first.event).__name__)
    said = re.sub(r"\W+", "_", f"{words}_{key}").lower().strip("_")
    ends = ", ".join(f"{name} {status}" for name, _, status in played.sagas) or "no saga"
    lines = [f'"""A story of {day}, as it really went."""', "", *source.imports(), ""]
    lines += [line for text in stand_ins for line in ["", *text.splitlines(), ""]]
    lines += ["", f"def test_{said}() -> None:", f'    """{type(first.event).__name__} and what followed: {ends}."""']
    return "\n".join([*lines, *body, ""])


def _body(
    source: Source,
    own: Sequence[Service],
    specs: Sequence[Path],
    told: tuple[History, Play, Sequence[str]],
    classes: Mapping[str, type[Event]],
) -> list[str]:
    history, played, fakes = told
    named: dict[str, object] = {"sagas": [_relative(path) for path in specs]} if specs else {}
    named |= {"start": to_datetime(played.start), "partitions": (1,)}
    nodes: list[tuple[str, Node]] = [("story = ", source.call("Scenario", named, *(_service(source, s) for s in own)))]
    if fakes:
        parts: list[Node] = [f"{name}={_class_name(name)}()" for name in fakes]
        nodes.append(("story.using", ("(", parts, ")")))
    if history.before:
        nodes.append(("story.given", ("(", [source.value(line.event) for line in history.before], ")")))
    for scene, wait in waits(played):
        if wait > 0:
            nodes.append(("story.after", f"(seconds={wait / 1e6!r})"))
        nodes.append(("story.when", ("(", [_told(source, scene.event, classes)], ")")))
        if scene.rest:
            nodes.append(("story.after", f"(seconds={scene.rest / 1e6!r})"))
        nodes.append(("story.then", ("(", [_expected(source, event) for event in scene.came], ")")))
    for name, key, status in played.sagas:
        nodes.append(("story.then_saga", ("(", [source.value(name), source.value(key), source.value(status)], ")")))
    for service, store, entries in played.stores:
        held = _store(source, service, store)
        if held is not None:
            nodes.append(("story.then_stored", ("(", [held, source.value(entries)], ")")))
    return [f"    {written(node, '    ', before)}" for before, node in nodes]


def _told(source: Source, event: Event, classes: Mapping[str, type[Event]]) -> Node:
    return source_of(event, source, classes) if isinstance(event, SagaCommand) else source.value(event)


def _expected(source: Source, event: Any) -> Node:
    if not isinstance(event, Like):
        return source.value(event)
    source.need("choreo.testing", "like")
    return source.call("like", dict(event.fields), source.name(event.event))


def _service(source: Source, service: Service) -> str:
    place = _place(service)
    assert place is not None, "only the author's services take part"
    module, word = place
    source.need(module, word)
    return word


def _place(service: Service) -> tuple[str, str] | None:
    """The module and the name under which a service is found again."""
    for name in dict.fromkeys(handler.__module__ for handler in service.handlers):
        for word, thing in vars(sys.modules[name]).items():
            if thing is service:
                return name, word
    return None


def _store(source: Source, service: Service, store: Any) -> str | None:
    """How a test names a store: by its handler."""
    for handler in service.handlers:
        for word, thing in vars(handler).items():
            if thing is store:
                return f"{source.name(handler)}.{word}"
    return None


def _class_name(need: str) -> str:
    return f"Recorded{''.join(part.title() for part in need.split('_'))}"


def _relative(path: Path) -> str:
    """As a test finds it: from where it runs."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
