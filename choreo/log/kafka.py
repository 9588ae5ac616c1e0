"""The log on Apache Kafka: `kafka://HOST:PORT,...?prefix=staging&security=tls`. Its neighbours kafka_*.py do the work.

KafkaException is known in these files only.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any, Self

from confluent_kafka import (
    Consumer,
    KafkaError,
    Message,
    Producer,
)
from confluent_kafka.admin import AdminClient

from choreo.errors import LogError
from choreo.log.interface import Listener, Log, Member, Membership, Reader, Restorer, Topic, TopicSpec, Writer
from choreo.log.kafka_errors import Heard, as_choreo, clients_log, seam
from choreo.log.kafka_fetch import Fetch
from choreo.log.kafka_groups import KafkaGroups
from choreo.log.kafka_member import KafkaMember
from choreo.log.kafka_offsets import KafkaOffsets
from choreo.log.kafka_settings import KafkaSettings, Names
from choreo.log.kafka_topics import ADMIN_TIMEOUT_S, Delivered, KafkaTopics, Produce
from choreo.log.kafka_writer import KafkaWriter
from choreo.record import NewRecord, Position, Record, TopicPartition

APPEND_TIMEOUT_S = 30.0
_SLICE_S = 1.0


class KafkaLog(Log):
    """One cluster under one prefix. Makes no connection before the first call that needs one."""

    def __init__(self, url: str, settings: KafkaSettings) -> None:
        self.url = url
        self._settings = settings
        self._heard = Heard()
        names = Names(settings.prefix)
        with seam("connecting", at=url):
            self._admin = self._connect()
        self._heard.serve = partial(self._admin.poll, 0)
        self._topics = KafkaTopics(self._admin, names, self._heard)
        self._offsets = KafkaOffsets(names, self._topics, self._heard)
        self._groups = KafkaGroups(settings, self._heard)
        self._producer: Producer | None = None
        self._lock = Lock()
        self._cluster_id: str | None = None

    @classmethod
    def from_url(cls, url: str, config: Mapping[str, str] | None = None) -> Self:
        """`config` holds raw librdkafka keys, SASL and TLS included; see KafkaSettings.parse. Raises ConfigError."""
        return cls(url, KafkaSettings.parse(url, config or {}))

    def cluster_id(self) -> str:
        if self._cluster_id is None:
            with seam("asking for the cluster's id", at=self.url, heard=self._heard):
                self._cluster_id = self._admin.list_topics(timeout=ADMIN_TIMEOUT_S).cluster_id
        return str(self._cluster_id)

    def topics(self) -> Mapping[str, Topic]:
        return self._topics.listing()

    def create_topics(self, specs: Iterable[TopicSpec]) -> None:
        self._topics.create(specs)

    def config(self, topic: str) -> Mapping[str, str]:
        return self._topics.config(topic)

    def restorer(self, cluster_id: str) -> Restorer:
        return KafkaRestorer(self)

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        return self.deliver(self._topics.route(records))

    def append_again(self, records: Sequence[Record]) -> None:
        """Append records to their partitions, with their timestamps."""
        again = [NewRecord(one.topic, one.key, one.value, one.headers, one.partition) for one in records]
        stamps = [max(one.timestamp_ms, 0) for one in records]  # below zero: it has none; 0 here: the time of writing
        self.deliver([(*to[:6], at, to[7]) for to, at in zip(self._topics.route(again), stamps, strict=True)])

    def give_back(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit these for a group that has no members."""
        self._groups.give_back(group, offsets)

    def deliver(self, routed: Sequence[Produce]) -> list[Position]:
        """Send these and wait until each is written; answers where. Raises LogError where one could not be."""
        offsets: list[tuple[int, int] | None] = [None] * len(routed)
        errors: list[KafkaError] = []

        def delivered(index: int, error: KafkaError | None, message: Message) -> None:
            number, offset = message.partition(), message.offset()
            if error is not None:
                errors.append(error)
            elif number is not None and offset is not None:
                offsets[index] = (number, offset)

        with self._lock, seam("appending", heard=self._heard):
            producer = self._plain_producer()
            for index, arguments in enumerate(routed):
                _produce(producer, arguments, partial(delivered, index))
            while producer.flush(_SLICE_S):  # ends: each record is delivered, or fails after APPEND_TIMEOUT_S
                continue
            if any(error.fatal() for error in errors):
                self._producer = None
        if errors:
            written = sum(at is not None for at in offsets)
            doing = f"appending ({written} of {len(routed)} records were written)"
            raise as_choreo(errors[0], doing)
        plain = Names(self._settings.prefix).plain
        return [Position(plain(to[0]), *at) for to, at in zip(routed, offsets, strict=True) if at is not None]

    def writer(self, transactional_id: str) -> Writer:
        return KafkaWriter(self._settings, self._topics, transactional_id)

    def join(self, membership: Membership, listener: Listener) -> Member:
        for topic in membership.topics:
            self._topics.count(topic)
        return KafkaMember(self._settings, membership, listener)

    def reader(self, start: Mapping[TopicPartition, int]) -> Reader:
        first = self.starts(start)
        return KafkaReader(self._settings, {name: max(at, first[name]) for name, at in start.items()})

    def starts(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return self._offsets.first(partitions)

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return self._offsets.end(partitions)

    def settled(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return self._offsets.settled(partitions)

    def offsets_at(self, partitions: Iterable[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        return self._offsets.at(partitions, timestamp_ms)

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        return self._groups.committed(group, partitions)

    def close(self) -> None:
        self._groups.close()
        with self._lock:
            if self._producer is not None:
                self._producer.flush(APPEND_TIMEOUT_S)
                self._producer = None

    def _connect(self) -> AdminClient:
        config: dict[str, Any] = {**self._settings.admin(), "error_cb": self._heard}
        return AdminClient(config, logger=clients_log)

    def _plain_producer(self) -> Producer:
        if self._producer is None:
            config = {**self._settings.producer(), "message.timeout.ms": round(APPEND_TIMEOUT_S * 1000)}
            self._producer = Producer({**config, "error_cb": self._heard}, logger=clients_log)
        return self._producer


class KafkaRestorer(Restorer):
    """Appends to empty topics. Nobody can write at a chosen offset of Kafka: the n-th record comes to lie at n."""

    keeps_offsets = False

    def __init__(self, log: KafkaLog) -> None:
        self._log = log

    def make(self, topic: Topic, config: Mapping[str, str], starts: Mapping[int, int]) -> None:
        self._log.create_topics([TopicSpec(topic.name, topic.partitions, config)])

    def write(self, records: Sequence[Record], ends: Mapping[TopicPartition, int]) -> None:
        self._log.append_again(records)

    def give_back(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        self._log.give_back(group, offsets)


class KafkaReader(Reader):
    """A consumer with given partitions, outside of any group."""

    def __init__(self, settings: KafkaSettings, start: Mapping[TopicPartition, int]) -> None:
        self._heard = Heard()
        with seam("making a reader", heard=self._heard):
            self._consumer = Consumer({**settings.reader(len(start)), "error_cb": self._heard}, logger=clients_log)
        self._fetch = Fetch(self._consumer, Names(settings.prefix))
        self._fetch.assign(start)
        self._closed = False

    def read(self, timeout_s: float, limit: int = 5000) -> list[Record]:
        if self._closed:
            raise LogError("this reader is closed")
        records = self._fetch.take(timeout_s, limit)
        if not records:
            self._heard.raise_refusal("reading")
        return records

    def position(self, partition: TopicPartition) -> int:
        return self._fetch.position(partition)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._consumer.close()


def _produce(producer: Producer, arguments: Produce, delivered: Delivered) -> None:
    topic, value, key, number, _, _, stamp, headers = arguments
    while True:
        try:
            return producer.produce(topic, value, key, number, on_delivery=delivered, timestamp=stamp, headers=headers)
        except BufferError:
            producer.poll(0.1)
