"""`choreo trace`: one whole story, from what began it to all that came of it."""

from collections.abc import Iterable, Sequence

import click

from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.story_code import code_of
from choreo.cli.story_follow import ends_now, follow
from choreo.cli.story_records import Reading, complete, read_story
from choreo.cli.story_search import Search, topics_with_events
from choreo.cli.story_shown import lines_of, picture_of, row_of, summary, times
from choreo.cli.time_span import WHOLE, TimeSpan, bounded
from choreo.diagram.sequence import as_mermaid
from choreo.errors import ConfigError
from choreo.log.up_to import places_on
from choreo.replay.story import Node, Told, story_of


@command("trace")
@click.argument("story_id", metavar="ID")
@click.option("--bodies", is_flag=True, help="The fields of each event, too; so does -v. What is personal is masked.")
@click.option("--mermaid", is_flag=True, help="A sequence diagram for Mermaid.")
@click.option("--follow", "following", is_flag=True, help="Go on with what comes, until the story is at rest.")
@bounded
def trace(project: Project, story_id: str, bodies: bool, mermaid: bool, following: bool, span: TimeSpan) -> None:
    """One story: what caused what and when, who emitted and who handled it, retries, dead letters, timers, sagas.

    ID is a correlation id, an event's id, the key of a saga or of events, or the beginning of one.
    """
    if following and (mermaid or span.until is not None):
        raise ConfigError("--follow has no end that --mermaid or --until could wait for", hint="leave one out")
    code = code_of(project)
    search, begin = Search(project, code.codec, span), ends_now(project) if following else {}
    correlation, met = search.story(story_id)
    reading = Reading(code, correlation.encode(), bodies or project.output.verbose)
    if met is None:
        read_story(project, code, search, correlation, reading)
    else:
        reading.take(met)
        complete(project, code, search, reading)
    nodes = story_of(reading.found, code.answers)
    if mermaid:
        _draw(project, nodes, reading, correlation)
        return
    if following:
        follow(project, code, search, reading, begin)
        return
    lines = [summary(nodes, reading, correlation)]
    lines += [line for node in nodes for line in lines_of(node, reading)]
    rows = [row_of(node, reading) for node in nodes]
    project.output.thing(_whole(correlation, nodes, reading) | {"nodes": rows}, lines)
    if span == WHOLE and _lost(nodes) and _begins_late(project):
        note("of some events the cause is not on the log any more: an archive may have it (--archive DIR)")
    lacking = [name for name in code.on_log if name not in code.services]
    if lacking and not project.output.quiet:
        note(f"the code of {', '.join(lacking)} is not here: of it only what is on the log is told")


def _lost(nodes: Iterable[Node]) -> bool:
    """Whether anything of the story stands behind nothing though it had a cause."""
    told = ((node.what, node.cause) for node in nodes if isinstance(node.what, Told) and node.what.own)
    return any(what.cause is not None and cause is None for what, cause in told)


def _begins_late(project: Project) -> bool:
    """Whether retention has taken anything that a story may be made of."""
    log = project.past
    return any(log.starts(places_on(log, topics_with_events(log))).values())


def _whole(correlation: str, nodes: Sequence[Node], reading: Reading) -> dict[str, object]:
    return {"correlation_id": reading.shown(correlation), **times(nodes), "records": len(reading.keys)}


def _draw(project: Project, nodes: Sequence[Node], reading: Reading, correlation: str) -> None:
    drawn = as_mermaid(picture_of(nodes, reading))
    project.output.thing({"correlation_id": reading.shown(correlation), "mermaid": drawn}, drawn.splitlines())
