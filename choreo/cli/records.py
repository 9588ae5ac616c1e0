"""Reads topics to their ends, and shows records whose classes are not loaded: the registry knows their schemas."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any
from uuid import UUID

from choreo.errors import ConfigError
from choreo.events.bodies import FRAME as FRAME
from choreo.events.bodies import MAGIC as MAGIC
from choreo.events.bodies import Bodies as PlainBodies
from choreo.log.interface import Log
from choreo.log.up_to import read_whole
from choreo.record import Record
from choreo.telemetry.privacy import masked_as
from choreo.told import Told, untold


def read_to_end(log: Log, topics: Iterable[str], told: Told = untold) -> Iterator[Record]:
    """Every committed record of these topics that is there now, in order within a partition. `told`: offsets read."""
    return chain.from_iterable(read_whole(log, topics, told))


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
