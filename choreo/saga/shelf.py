"""The shelf: every version of every saga spec, on the log, so that an instance can keep the one with which it started.

Topic `choreo.sagas.specs`, one partition, kept for ever. Record key: the saga's name; value: version byte 1, JSON with
saga, version, digest, source (the YAML text as it was deployed), and, where it names shared calendars, their text.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

from choreo.errors import SpecError
from choreo.events.event import Event
from choreo.log.interface import Log, TopicSpec
from choreo.record import NewRecord, Record, TopicPartition
from choreo.saga.almanac import NO_SHARED, Shared
from choreo.saga.offers import NOBODY, Offers, nested_in, texts_of
from choreo.saga.problems import Problems
from choreo.saga.rules import Spec
from choreo.saga.spec import SHARED, examine_again, shared_in

TOPIC = "choreo.sagas.specs"
TOPIC_SPEC = TopicSpec(TOPIC, 1, {"cleanup.policy": "delete", "retention.ms": "-1"})
VERSION = 1

logger = logging.getLogger("choreo.saga")


class Deployed(NamedTuple):
    """One version of a spec, as it lies on the log."""

    saga: str
    version: int
    digest: str
    source: str
    calendars: str = ""
    """The file of shared calendars by which it goes, as it was then."""


def deploy(log: Log, spec: Spec, source: str, shared: Shared = NO_SHARED) -> bool:
    """Put a spec on the shelf, with the `shared` calendars that it names; answers whether it was new.

    Raises SpecError where its version number was deployed with another content: instances that follow it would change
    under way.
    """
    log.create_topics([TOPIC_SPEC])
    for earlier in shelf(log, spec.name):
        if earlier.digest == spec.digest:
            return False
        if earlier.version == spec.version:
            raise SpecError(
                f"saga {spec.name}: version {spec.version} was deployed with another content",
                why="instances that started with it must be able to keep it",
                hint=f"version: {1 + max(one.version for one in shelf(log, spec.name))}",
            )
    body = Deployed(spec.name, spec.version, spec.digest, source, shared_in(source, shared))._asdict()
    if not body["calendars"]:
        del body["calendars"]  # so that a release that knows none can read it
    log.append([NewRecord(TOPIC, spec.name.encode(), bytes([VERSION]) + json.dumps(body).encode(), (), 0)])
    return True


def shelf(log: Log, saga: str) -> list[Deployed]:
    """All versions of one saga, in the order in which they were deployed."""
    return [_read(record) for record in _records(log) if record.key == saga.encode()]


def whole_shelf(log: Log) -> list[Deployed]:
    """All versions of all sagas that this Choreo can read, in the order in which they were deployed."""
    return [_read(record) for record in _records(log) if (record.value or b"")[:1] == bytes([VERSION])]


def _records(log: Log) -> list[Record]:
    if TOPIC not in log.topics():
        return []
    place = TopicPartition(TOPIC, 0)
    end = log.ends([place])[place]
    found: list[Record] = []
    with log.reader({place: 0}) as reader:
        while reader.position(place) < end:
            found += reader.read(1.0)
    return found


def older_specs(log: Log, spec: Spec, catalogue: Mapping[str, type[Event]], offers: Offers = NOBODY) -> list[Spec]:
    """The other versions of `spec` that instances may follow. One that these event classes can't carry is left
    out, with a warning. `offers` are the sagas that they may nest and that were not deployed here.
    """
    found, every = [], whole_shelf(log)
    for deployed in shelf(log, spec.name):
        if deployed.digest != spec.digest:
            older, problems = examine_deployed(deployed, every, catalogue, offers)
            try:
                problems.check()
            except SpecError as error:
                logger.warning("version %d of saga %s can't be followed here: %s", deployed.version, spec.name, error)
            else:
                found += [older] if older else []
    return found


def examine_deployed(
    deployed: Deployed, every: Sequence[Deployed], catalogue: Mapping[str, type[Event]], offers: Offers = NOBODY
) -> tuple[Spec | None, Problems]:
    """What a deployed version says, and what is wrong with it here. Each saga that it nests is read in that of its
    deployed versions with which it had its digest; the newest ones, where none gives it, and in `offers` where it was
    not deployed.
    """
    file = f"{TOPIC}: {deployed.saga} version {deployed.version}"
    versions = ([one.source for one in reversed(every) if one.saga == name] for name in nested_in(deployed.source))
    shared = Shared(f"{file}, {SHARED}", deployed.calendars)
    first: tuple[Spec | None, Problems] | None = None
    for sources in product(*filter(None, versions)):
        spec, problems = examine_again(deployed.source, file, catalogue, offers.behind(texts_of(sources)), shared)
        if spec is not None and spec.digest == deployed.digest:
            return spec, problems
        first = first or (spec, problems)
    assert first is not None  # a product has one element at least
    return first


def _read(record: Record) -> Deployed:
    value = record.value or b""
    if value[:1] != bytes([VERSION]):
        raise SpecError(f"a saga spec of format {value[:1].hex()}", at=record.position, hint="run a newer Choreo")
    return Deployed(**json.loads(value[1:]))
