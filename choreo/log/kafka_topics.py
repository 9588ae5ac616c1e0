"""Kafka's topics: listing, making, and routing records to them. Names carry the environment's prefix over there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic, sleep

from confluent_kafka import KafkaError, KafkaException, Message, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource  # type: ignore[attr-defined]  # no __all__
from confluent_kafka.cimpl import NewTopic

from choreo.errors import LogUnavailableError, NotAuthorizedError, UnknownTopicError
from choreo.log.interface import MAX_RECORD_BYTES, Topic, TopicSpec
from choreo.log.kafka_errors import Heard, as_choreo, kafka_error, seam
from choreo.log.kafka_settings import Names
from choreo.log.local import expect_count, too_large, unknown_topic
from choreo.record import NewRecord, TopicPartition

ADMIN_TIMEOUT_S = 15.0
VISIBLE_WITHIN_S = 15.0
DEFAULT_REPLICAS = 3
_REPLICAS = "replication.factor"
_WEIGH_FROM = MAX_RECORD_BYTES // 2
"""Smaller values are not weighed one by one: with a huge key or header, the client itself refuses the record."""
_ANY = -1
SentHeaders = list[tuple[str, str | bytes | None]]
Delivered = Callable[[KafkaError | None, Message], None]
Produce = tuple[str, bytes | None, bytes | None, int, Delivered | None, None, int, SentHeaders | None]
"""Arguments of `Producer.produce`, in its order."""


class KafkaTopics:
    """Topics of one cluster under one prefix."""

    def __init__(self, admin: AdminClient, names: Names, heard: Heard) -> None:
        self.admin = admin
        self._names = names
        self._heard = heard
        self._known = KnownTopics(self)

    def counts(self) -> dict[str, int]:
        """Partitions of each topic, by our name; Kafka's own topics are left out."""
        with seam("listing topics", heard=self._heard):
            found = self.admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics
        names, prefix = self._names, self._names.prefix
        return {
            names.plain(full): len(topic.partitions)
            for full, topic in found.items()
            if full.startswith(prefix) and not full.startswith("__") and topic.error is None
        }

    def listing(self) -> Mapping[str, Topic]:
        counts = self.counts()
        if not counts:
            return {}
        full = {self._names.full(name): name for name in counts}
        with seam("describing topics", heard=self._heard):
            answers = self.admin.describe_topics(TopicCollection(list(full)), request_timeout=ADMIN_TIMEOUT_S)
        topics = {}
        for key, answer in answers.items():
            try:
                topics[full[key]] = Topic(full[key], counts[full[key]], str(answer.result().topic_id))
            except KafkaException as error:
                if kafka_error(error).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:  # else it was deleted just now
                    raise as_choreo(kafka_error(error), f"describing topic {full[key]}") from error
        return topics

    def create(self, specs: Iterable[TopicSpec]) -> None:
        wanted = {spec.name: spec for spec in specs}
        missing = _missing(wanted, self.counts())
        if not missing:
            return
        refused: list[str] = []
        with seam("creating topics", heard=self._heard):
            replicas = min(DEFAULT_REPLICAS, len(self.admin.list_topics(timeout=ADMIN_TIMEOUT_S).brokers))
            made = self.admin.create_topics([self._new(spec, replicas) for spec in missing])
        for full, answer in made.items():
            name = self._names.plain(full)
            try:
                answer.result()
            except KafkaException as error:
                reported = kafka_error(error)
                if reported.code() in (
                    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
                    KafkaError.TOPIC_AUTHORIZATION_FAILED,
                ):
                    refused.append(name)
                elif reported.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise as_choreo(reported, f"creating topic {name}") from error
        if refused:
            raise NotAuthorizedError(
                f"{len(refused)} topics are missing, and these credentials may not create them",
                at=", ".join(sorted(refused)),
                hint="grant CREATE on the cluster, or have them made as `choreo topics plan` prints them",
            )
        self._wait_until_visible(wanted)

    def config(self, topic: str) -> Mapping[str, str]:
        """The keys that were set for this topic alone. Raises UnknownTopicError."""
        full, _ = self.look_up(topic)
        resource = ConfigResource(ConfigResource.Type.TOPIC, full)
        with seam(f"asking for the settings of topic {topic}", heard=self._heard):
            asked = self.admin.describe_configs([resource], request_timeout=ADMIN_TIMEOUT_S)
            entries = asked[resource].result()
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return {name: str(entry.value) for name, entry in entries.items() if entry.source == own}

    def count(self, topic: str) -> int:
        """Partitions of a topic. Raises UnknownTopicError."""
        return self._known[topic][1]

    def route(self, records: Sequence[NewRecord]) -> list[Produce]:
        """Each record as arguments of `produce`. Raises UnknownTopicError or RecordTooLargeError before any is sent."""
        known = self._known
        routed: list[Produce] = []
        for topic, key, value, headers, number in records:
            full, count = known[topic]
            if value is not None and len(value) > _WEIGH_FROM:
                size = len(value) + len(key or b"") + sum(len(name) + len(mark) for name, mark in headers)
                if size > MAX_RECORD_BYTES:
                    raise too_large(topic, size)
            if number is None:
                number = _ANY
            elif not 0 <= number < count:
                self._expect_partition(TopicPartition(topic, number))
            sent: SentHeaders | None = [*headers] or None
            routed.append((full, value, key, number, None, None, 0, sent))
        return routed

    def _expect_partition(self, name: TopicPartition) -> None:
        self._known.clear()  # it may have grown
        if not 0 <= name.partition < self.count(name.topic):
            raise UnknownTopicError(f"{name.topic} has no partition {name.partition}", at=name)

    def look_up(self, topic: str) -> tuple[str, int]:
        """Kafka's name and the partitions of a topic. Raises UnknownTopicError."""
        count = self.counts().get(topic)
        if count is None:
            raise unknown_topic(topic)
        return self._names.full(topic), count

    def _new(self, spec: TopicSpec, replicas: int) -> NewTopic:
        config = dict(spec.config)
        factor = int(config.pop(_REPLICAS, replicas))
        return NewTopic(self._names.full(spec.name), spec.partitions, factor, config=config)

    def _wait_until_visible(self, wanted: Mapping[str, TopicSpec]) -> None:
        until = monotonic() + VISIBLE_WITHIN_S
        while missing := _missing(wanted, self.counts()):
            if monotonic() > until:
                names = ", ".join(spec.name for spec in missing)
                raise LogUnavailableError(f"topics were made and are not there after {VISIBLE_WITHIN_S:g} s: {names}")
            sleep(0.02)


class KnownTopics(dict[str, tuple[str, int]]):
    """Kafka's name and the partitions of a topic, looked up once."""

    def __init__(self, topics: KafkaTopics) -> None:
        super().__init__()
        self._topics = topics

    def __missing__(self, topic: str) -> tuple[str, int]:
        found = self[topic] = self._topics.look_up(topic)
        return found


def _missing(wanted: Mapping[str, TopicSpec], counts: Mapping[str, int]) -> list[TopicSpec]:
    """What is not there yet. Raises PartitionCountError where one is there with another count."""
    for name in wanted.keys() & counts.keys():
        expect_count(Topic(name, counts[name], ""), wanted[name])
    return [spec for name, spec in wanted.items() if name not in counts]
