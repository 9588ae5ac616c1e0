"""Reads topics to their ends, and shows records whose classes are not loaded: the registry knows their schemas."""

import re
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from choreo.cli.progress import Told, untold
from choreo.errors import ConfigError
from choreo.events.bodies import FRAME as FRAME
from choreo.events.bodies import MAGIC as MAGIC
from choreo.events.bodies import Bodies as PlainBodies
from choreo.log.interface import Log
from choreo.log.up_to import read_up_to
from choreo.record import Record, TopicPartition
from choreo.telemetry.privacy import masked_as


def read_to_end(log: Log, topics: Iterable[str], told: Told = untold) -> Iterator[Record]:
    """Every committed record of these topics that is there now, in order within a partition. `told`: offsets read."""
    known = log.topics()
    every = [TopicPartition(name, n) for name in topics if name in known for n in range(known[name].partitions)]
    starts, ends = log.starts(every), log.ends(every)
    left = {tp: ends[tp] - starts[tp] for tp in every}
    total = sum(left.values())
    for records, reached in read_up_to(log, starts, ends):
        yield from records
        left |= {tp: max(ends[tp] - offset, 0) for tp, offset in reached.items()}
        told(total - sum(left.values()), total)


class Bodies(PlainBodies):
    """Bodies of records as plain values, by the schema that they were written with; masked where they are shown."""

    def shown(self, record: Record) -> dict[str, Any]:
        """The same, what the schema marks as personal masked."""
        return dict(masked_as(self.schema(record), self.read(record)))


def uuid_text(value: bytes | None) -> str | None:
    """An id as people write it."""
    return None if value is None else str(UUID(bytes=value))


def one_of(ids: Iterable[str], wanted: str, what: str, listing: str) -> str:
    """The id that is `wanted` or begins with it. Raises ConfigError where none or several do."""
    known = sorted(set(ids))
    if wanted in known:
        return wanted
    found = [one for one in known if one.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
    if found:
        raise ConfigError(f"{wanted} is the beginning of {len(found)} {what}", why=shown, hint="write more of it")
    raise ConfigError(
        f"there is no {re.sub('s$', '', what)} {wanted}", why=f"{len(known)} {what} were looked at", hint=listing
    )
