"""`choreo topics`: what is on the log, what the project needs of it, and making that."""

from collections.abc import Sequence

import click

from choreo.cli.assembly import assemble, lacking_topics, wanted_topics
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.errors import ConfigError, UnknownTopicError
from choreo.log.interface import Topic, TopicSpec
from choreo.record import TopicPartition

INTERNAL = {
    "changelog": "changelog",
    "journal": "journal",
    "dead-letters": "dead letters",
    "lifecycle": "lifecycle",
    "commands": "commands",
    "specs": "saga specs",
    "operations": "operations",
}
FOUND = 1


def kind_of(name: str) -> str:
    """What a topic is for, by its name."""
    if not name.startswith("choreo."):
        return "events"
    return "re-keyed" if ".by-" in name else INTERNAL.get(name.rpartition(".")[2], "events")


def partitions_of(topic: Topic) -> list[TopicPartition]:
    """All partitions of a topic."""
    return [TopicPartition(topic.name, number) for number in range(topic.partitions)]


@command("list")
@click.option("--internal/--no-internal", default=True, help="Changelogs, journals, dead letters and lifecycles, too.")
def list_topics(project: Project, internal: bool) -> None:
    """Every topic, its partitions and the offsets it holds."""
    topics = [topic for _, topic in sorted(project.log.topics().items())]
    shown = [topic for topic in topics if internal or kind_of(topic.name) == "events"]
    every = [tp for topic in shown for tp in partitions_of(topic)]
    starts, ends = project.log.starts(every), project.log.ends(every)
    rows = [
        {
            "topic": topic.name,
            "kind": kind_of(topic.name),
            "partitions": topic.partitions,
            "offsets": sum(ends[tp] - starts[tp] for tp in partitions_of(topic)),
        }
        for topic in shown
    ]
    project.output.listing(rows, ["topic", "kind", "partitions", "offsets"], empty=f"no topics on {project.log.url}")


@command("show")
@click.argument("name")
def show_topic(project: Project, name: str) -> None:
    """One topic, partition by partition."""
    topic = project.log.topics().get(name)
    if topic is None:
        raise UnknownTopicError(f"there is no topic {name}", at=project.log.url, hint="choreo topics list")
    every = partitions_of(topic)
    starts, ends = project.log.starts(every), project.log.ends(every)
    rows = [
        {"partition": tp.partition, "first": starts[tp], "end": ends[tp], "offsets": ends[tp] - starts[tp]}
        for tp in every
    ]
    project.output.listing([{"topic": name, **row} for row in rows], ["topic", "partition", "first", "end", "offsets"])


@command("create")
@click.argument("name")
@click.option("--partitions", type=click.IntRange(min=1), help="How many; default: as choreo.toml says.")
@click.option("--set", "keys", multiple=True, metavar="KEY=VALUE", help="One of Kafka's own topic keys.")
def create_topic(project: Project, name: str, partitions: int | None, keys: tuple[str, ...]) -> None:
    """Make one topic; one that is there already with this count is fine."""
    wrong = [key for key in keys if "=" not in key]
    if wrong:
        raise ConfigError(f"--set {wrong[0]} is not KEY=VALUE", hint="--set retention.ms=-1")
    count = partitions or project.config.topic(name).partitions
    project.make_log().create_topics([TopicSpec(name, count, dict(key.split("=", 1) for key in keys))])
    project.output.thing({"topic": name, "partitions": count}, [f"{name}: {count} partitions"])


@command("plan")
@click.argument("targets", nargs=-1)
def plan_topics(project: Project, targets: Sequence[str]) -> int:
    """What these targets (none = the whole project) need and the log does not have. Exit code 1 if that is anything."""
    wanted, known = _wanted(project, targets), project.log.topics()
    rows = [row for spec in wanted if (row := _difference(spec, known.get(spec.name))) is not None]
    project.output.listing(rows, ["topic", "state", "partitions", "config"], empty="every topic is as it should be")
    return FOUND if rows else 0


@command("apply")
@click.argument("targets", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
def apply_topics(project: Project, targets: Sequence[str], dry_run: bool) -> None:
    """Make what `choreo topics plan` shows as missing."""
    log = project.log if dry_run else project.make_log()
    missing = lacking_topics(log, _wanted(project, targets))
    if not dry_run:
        log.create_topics(missing)
        note(f"made {len(missing)} topics")
    rows = [{"topic": spec.name, "partitions": spec.partitions, "config": dict(spec.config)} for spec in missing]
    project.output.listing(rows, ["topic", "partitions", "config"], empty="every topic is as it should be")


def _wanted(project: Project, targets: Sequence[str]) -> list[TopicSpec]:
    return wanted_topics(project, assemble(project, targets).plans(), project.log.topics())


def _difference(spec: TopicSpec, there: Topic | None) -> dict[str, object] | None:
    row = {"topic": spec.name, "partitions": spec.partitions, "config": dict(spec.config)}
    if there is None:
        return row | {"state": "missing"}
    if there.partitions != spec.partitions:
        return row | {"state": f"has {there.partitions} partitions"}
    return None
