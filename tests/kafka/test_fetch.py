"""What a poll hands out when the assignment changes inside it: with a stand-in for the client, for the broker decides
when the two fall together. `test_contract.py` has the real one.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import pytest
from confluent_kafka import KafkaError
from confluent_kafka import TopicPartition as KafkaPartition

from choreo.log.kafka_fetch import Fetch
from choreo.log.kafka_settings import Names
from choreo.record import TopicPartition

ORDERS = TopicPartition("orders", 0)


class Said(NamedTuple):
    """A message, or that the end was come to."""

    at: int
    ended: bool = False

    def error(self) -> KafkaError | None:
        return KafkaError(KafkaError._PARTITION_EOF) if self.ended else None

    def topic(self) -> str:
        return ORDERS.topic

    def partition(self) -> int:
        return ORDERS.partition

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return (1, 0)

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"

    def headers(self) -> Sequence[tuple[str, bytes]]:
        return ()


class Client:
    """A consumer of one partition with the records 0 to 2: it hands out what comes next, and then its end."""

    END = 3

    def __init__(self) -> None:
        self.before: deque[Callable[[], None]] = deque()
        """What happens inside the next polls, before they look for messages."""
        self._next = -1
        self._handed = -1001

    def assign(self, partitions: Sequence[KafkaPartition]) -> None:
        self._next, self._handed = partitions[0].offset, -1001

    def poll(self, timeout: float) -> Said | None:
        if self.before:
            self.before.popleft()()
        return self._said()

    def consume(self, limit: int, timeout: float) -> list[Said]:
        return [said for _ in range(limit) if (said := self._said()) is not None]

    def position(self, asked: Sequence[KafkaPartition]) -> list[KafkaPartition]:
        return [KafkaPartition(each.topic, each.partition, self._handed) for each in asked]

    def _said(self) -> Said | None:
        if not 0 <= self._next <= self.END:
            return None
        at, self._next = self._next, self._next + 1
        if at < self.END:
            self._handed = at + 1
        return Said(at, ended=at == self.END)


def fetching() -> tuple[Client, Fetch]:
    client = Client()
    return client, Fetch(cast(Any, client), Names(""))


def offsets(fetch: Fetch) -> list[int]:
    return [record.offset for record in fetch.take(1.0, 100)]


def test_what_came_with_its_assignment_comes_again_whole() -> None:
    """A slow callback: messages and the end are there when the poll that gave the partition returns."""
    client, fetch = fetching()
    client.before.append(lambda: fetch.assign({ORDERS: 0}))
    assert (offsets(fetch), fetch.position(ORDERS)) == ([], 0)
    assert (offsets(fetch), fetch.position(ORDERS)) == ([0, 1, 2], 3)


def test_an_end_counts_once_what_was_before_it_is_handed_out() -> None:
    client, fetch = fetching()
    fetch.assign({ORDERS: 3})
    assert (offsets(fetch), fetch.position(ORDERS)) == ([], 3)
    client.before.append(lambda: fetch.assign({ORDERS: 1}))
    assert (offsets(fetch), fetch.position(ORDERS)) == ([], 1)
    assert (offsets(fetch), fetch.position(ORDERS)) == ([1, 2], 3)


def test_what_an_error_would_lose_is_fetched_again() -> None:
    """The client can't say where it stands."""
    client, fetch = fetching()
    fetch.assign({ORDERS: 0})
    position = client.position

    def lost(asked: Sequence[KafkaPartition]) -> list[KafkaPartition]:
        client.position = position  # type: ignore[method-assign]
        raise TimeoutError

    client.position = lost  # type: ignore[method-assign]
    with pytest.raises(TimeoutError):
        fetch.take(1.0, 100)
    assert (offsets(fetch), fetch.position(ORDERS)) == ([0, 1, 2], 3)
