"""Reads topics to their ends, and shows records whose classes are not loaded: the registry knows their schemas."""

import re
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from choreo.cli.progress import Told, untold
from choreo.errors import ConfigError, DecodeError
from choreo.events.registry import Registry
from choreo.events.strict import Reader
from choreo.log.interface import Log
from choreo.log.up_to import read_up_to
from choreo.record import Record, TopicPartition
from choreo.telemetry.privacy import masked_as

MAGIC, FRAME = 0, 5


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


class Bodies:
    """Bodies of records as plain values, by the schema that they were written with."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._schemas: dict[int, Any] = {}
        self._readers: dict[int, Reader] = {}

    def read(self, record: Record) -> dict[str, Any]:
        """The fields of a record's body. Raises DecodeError."""
        value = record.value
        if value is None or len(value) < FRAME or value[0] != MAGIC:
            raise DecodeError("the body is not in Confluent's framing", at=record.position)
        schema_id = int.from_bytes(value[1:FRAME], "big")
        schema = self.schema(record)
        try:
            if schema_id not in self._readers:
                self._readers[schema_id] = Reader(schema)
            body: dict[str, Any] = self._readers[schema_id].body(value, FRAME)
        except Exception as error:
            raise DecodeError(f"the body does not fit schema {schema_id}: {error}", at=record.position) from error
        return body

    def schema(self, record: Record) -> Any:
        """The schema that a record in the frame was written with. Raises UnknownSchemaError."""
        schema_id = int.from_bytes((record.value or b"")[1:FRAME], "big")
        if schema_id not in self._schemas:
            self._schemas[schema_id] = self._registry.schema(schema_id)
        return self._schemas[schema_id]

    def shown(self, record: Record) -> dict[str, Any]:
        """The same, what the schema marks as personal masked."""
        return dict(masked_as(self.schema(record), self.read(record)))

    def name(self, record: Record) -> str:
        """The full name of a record's event; raises UnknownSchemaError and DecodeError."""
        self.read(record)
        schema = self._schemas[int.from_bytes((record.value or b"")[1:FRAME], "big")]
        return str(schema["name"] if "." in schema["name"] else f"{schema.get('namespace', '')}.{schema['name']}")


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
