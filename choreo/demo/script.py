"""Puts rows on the log: what lies on the shelves, and what the outside world will do about each order."""

from collections.abc import Iterator, Sequence
from itertools import islice

from choreo.demo.rows import Row, demand
from choreo.demo.shop import Shop
from choreo.errors import ConfigError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, derive_id
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.record import NewRecord, TopicPartition

BATCH = 2000
"""Records appended at once."""


def write_script(log: Log, registry: Registry, shop: Shop, rows: Sequence[Row], at: int) -> int:
    """Append what is not there yet; answers how many scripts that were. `at`: when it is said, microseconds.

    The shelves are counted first, each with exactly as many pieces as all rows ask for. Writing again what was
    written in part goes on where it ended. Raises ConfigError where the log holds the script of other orders.
    """
    known = _scripted(log, shop.scripted.contract.topic)
    strange = known.difference(row.order_id.encode() for row in rows)
    if strange:
        raise ConfigError(
            f"{log.url} already holds a run over other orders, {next(iter(strange)).decode(errors='replace')} for one",
            why="stock is counted once, for all orders of a run",
            hint="give the run a log of its own, e.g. --log embedded:DIR with another DIR",
        )
    codec = Codec(registry, (), log.cluster_id())
    missing = [row for row in rows if row.order_id.encode() not in known]
    if not known:
        _append(log, _counts(shop, codec, rows, at))
    _append(log, _scripts(shop, codec, missing, at))
    return len(missing)


def _counts(shop: Shop, codec: Codec, rows: Sequence[Row], at: int) -> Iterator[NewRecord]:
    for product_id, pieces in demand(rows).items():
        yield codec.encode(shop.counting(product_id, pieces), _ids("count", product_id, at))


def _scripts(shop: Shop, codec: Codec, rows: Sequence[Row], at: int) -> Iterator[NewRecord]:
    for row in rows:
        yield codec.encode(shop.script(row), _ids("script", row.order_id, at))


def _ids(kind: str, key: str, at: int) -> Ids:
    """The same in every run, so that runs can be compared; the story is named after the order."""
    return Ids(event_id=derive_id(bytes(16), "demo", f"{kind} {key}", 0), correlation_id=key, at=at)


def _append(log: Log, records: Iterator[NewRecord]) -> None:
    while batch := list(islice(records, BATCH)):
        log.append(batch)


def _scripted(log: Log, topic: str) -> set[bytes]:
    """Keys of the orders whose script is on the log."""
    partitions = [TopicPartition(topic, number) for number in range(log.topics()[topic].partitions)]
    ends = log.ends(partitions)
    found: set[bytes] = set()
    with log.reader(log.starts(partitions)) as reader:
        while any(reader.position(partition) < end for partition, end in ends.items()):
            found.update(record.key for record in reader.read(1.0) if record.key is not None)
    return found
