"""What a task's store knows about itself: whose entries these are and up to which place in the changelog they go.

One local entry, written in the same batch as the entries it speaks of. Layout: version byte 1, JSON.
"""

import json
from typing import NamedTuple

from pydantic_core import to_json

from choreo.clock import to_datetime
from choreo.errors import StateError
from choreo.log.interface import Log, Topic
from choreo.record import TopicPartition
from choreo.state.backend import Backend
from choreo.state.keys import LOCAL

META_KEY = LOCAL + b"meta"
_VERSION = b"\x01"


class TaskMeta(NamedTuple):
    """Times in microseconds."""

    service: str
    cluster_id: str
    changelog_topic_id: str
    partitions: int
    """Partition count of the sources, and so of the changelog."""
    changelog_offset: int
    """The next changelog offset to read; all before it is in the store."""
    checkpoint: int
    """Number of the last checkpoint of this task, without gaps."""
    last_now: int
    """The last reading of the clock that handlers saw."""
    written_at: int
    """Wall clock of the last write."""
    build: str


class Facts(NamedTuple):
    """What is true now, to hold a TaskMeta against. `now`: wall clock (microseconds)."""

    service: str
    cluster_id: str
    changelog_topic_id: str
    partitions: int
    changelog_end: int
    now: int
    delete_retention_s: float
    """How long the changelog keeps tombstones: its delete.retention.ms."""


def facts_of(log: Log, service: str, changelog: Topic, partition: int, now: int, delete_retention_s: float) -> Facts:
    """What is true of one task of a service; `now`: wall clock (microseconds). Raises LogUnavailableError."""
    place = TopicPartition(changelog.name, partition)
    return Facts(
        service=service,
        cluster_id=log.cluster_id(),
        changelog_topic_id=changelog.topic_id,
        partitions=changelog.partitions,
        changelog_end=log.ends([place])[place],
        now=now,
        delete_retention_s=delete_retention_s,
    )


def fresh_meta(facts: Facts, build: str) -> TaskMeta:
    """What a store says of itself before it holds anything."""
    return TaskMeta(
        service=facts.service,
        cluster_id=facts.cluster_id,
        changelog_topic_id=facts.changelog_topic_id,
        partitions=facts.partitions,
        changelog_offset=0,
        checkpoint=0,
        last_now=0,
        written_at=facts.now,
        build=build,
    )


def meta_entry(meta: TaskMeta) -> tuple[bytes, bytes]:
    """The entry that holds it; local, never in the changelog."""
    return META_KEY, _VERSION + to_json(meta._asdict())


def read_meta(backend: Backend) -> TaskMeta | None:
    """None in a new or wiped store. Raises StateError for an unknown format."""
    data = backend.get(META_KEY)
    if data is None:
        return None
    try:
        if data[:1] != _VERSION:
            raise ValueError(f"its format is {data[:1].hex()}")
        return TaskMeta(**json.loads(data[1:]))
    except (ValueError, TypeError) as error:
        raise StateError(
            "a store does not say whose it is",
            why=str(error),
            hint="it was written by a newer release: run that one, or delete the state directory to restore it",
        ) from error


def wipe_reason(meta: TaskMeta, facts: Facts) -> str | None:
    """Why this store can't be trusted and is to be wiped and restored; None where it can be.

    A store that was away for long may hold keys whose tombstones are gone from the changelog: half of the time for
    which they are kept leaves room for the restore itself.
    """
    if meta.service != facts.service:
        return f"it belongs to service {meta.service}, this is {facts.service}"
    if meta.cluster_id != facts.cluster_id:
        return f"it belongs to log {meta.cluster_id}, this is {facts.cluster_id}"
    if meta.changelog_topic_id != facts.changelog_topic_id:
        return "its changelog topic was deleted and made again"
    if meta.partitions != facts.partitions:
        return f"it was written with {meta.partitions} partitions, now there are {facts.partitions}"
    if facts.changelog_end < meta.changelog_offset:
        return f"its changelog ends at {facts.changelog_end}, before the stored offset {meta.changelog_offset}"
    if facts.now - meta.written_at > facts.delete_retention_s * 1_000_000 / 2:
        written = to_datetime(meta.written_at).isoformat(timespec="seconds")
        return f"its last write, {written}, is older than half of the changelog's delete.retention.ms"
    return None
