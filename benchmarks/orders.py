"""The workload of ../shared/bench, made here: Avro orders in Confluent's framing, 50,000 keys, two lines each."""

import io
import random
import struct
from collections.abc import Iterator

import fastavro

from benchmarks.kill_program import ORDER
from choreo.record import NewRecord

KEYS = 50_000
FRAME = b"\0" + struct.pack(">I", 1)


def orders(topic: str, count: int) -> Iterator[NewRecord]:
    """The same orders at every call."""
    schema, dice = fastavro.parse_schema(ORDER), random.Random(1)
    for number in range(count):
        key = f"o-{number % KEYS:08d}"
        body = io.BytesIO()
        body.write(FRAME)
        fastavro.schemaless_writer(body, schema, _order(key, number, dice))
        yield NewRecord(topic, key.encode(), body.getvalue())


def _order(key: str, number: int, dice: random.Random) -> dict[str, object]:
    return {
        "order_id": key,
        "customer_id": f"c-{dice.randrange(10_000):05d}",
        "placed_at": 1_700_000_000_000 + number,
        "currency": "EUR",
        "lines": [
            {"sku": f"sku-{dice.randrange(500):03d}", "qty": dice.randrange(1, 5), "cents": dice.randrange(100, 9999)}
            for _ in range(2)
        ],
    }
