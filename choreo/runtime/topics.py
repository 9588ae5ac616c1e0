"""The topics that a service needs, as they should be."""

from collections.abc import Iterable

from choreo.errors import PartitionCountError, UnknownTopicError
from choreo.log.interface import Log, TopicSpec
from choreo.runtime.plan import Plan

FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1"}
COMPACTED = {"cleanup.policy": "compact"}


def topics_of(plan: Plan, partitions: int) -> list[TopicSpec]:
    """All topics of a service: what it reads and writes (foreign ones aside), its changelog, journal and dead
    letters.
    """
    scope = plan.service.scope
    named = {event.contract.topic for event in plan.classes if not event.contract.external} | set(plan.rekeyed)
    found = [TopicSpec(name, partitions, FOREVER) for name in sorted(named)]
    return [
        *found,
        TopicSpec(f"{scope}.changelog", partitions, COMPACTED),
        TopicSpec(f"{scope}.journal", partitions, FOREVER),
        TopicSpec(f"{scope}.dead-letters", partitions, FOREVER),
    ]


def check_topics(plan: Plan, log: Log) -> int:
    """How many tasks the service has: the partition count that its inputs, changelog and journal share.

    Raises UnknownTopicError for one that is missing, PartitionCountError where they differ.
    """
    known = log.topics()
    scope = plan.service.scope
    needed = [*plan.topics, f"{scope}.changelog", f"{scope}.journal"]
    spoken = [event.contract.topic for event in plan.service.emitted if event.contract.topic]
    missing = [name for name in dict.fromkeys([*needed, f"{scope}.dead-letters", *spoken]) if name not in known]
    if missing:
        raise UnknownTopicError(
            f"service {plan.service.name} needs topics that do not exist: {', '.join(missing)}",
            hint="choreo topics apply",
        )
    counts = {name: known[name].partitions for name in needed}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise PartitionCountError(
            f"the topics of service {plan.service.name} have different numbers of partitions: {shown}",
            why="partition n of all of them makes task n: an event would be looked for in the wrong task",
            hint="make them equal again, or let it read topics that are; choreo replay rebuild can't help here: "
            "a journal names the partitions that its tasks had",
        )
    return next(iter(counts.values()))


def create_topics(log: Log, plans: Iterable[Plan], partitions: int) -> None:
    """Make whatever these services lack, with as many partitions as the inputs that are there; else `partitions`."""
    known = log.topics()
    specs: dict[str, TopicSpec] = {}
    for plan in plans:
        there = [known[name].partitions for name in plan.topics if name in known]
        specs |= {spec.name: spec for spec in topics_of(plan, there[0] if there else partitions)}
    log.create_topics([spec for name, spec in specs.items() if name not in known])
