"""Offsets on Kafka: where partitions begin and end, and what was when."""

from collections.abc import Iterable
from time import monotonic, sleep

from confluent_kafka import IsolationLevel, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # re-exported without __all__

from choreo.errors import UnknownTopicError
from choreo.log.kafka_errors import LEADER_MOVED, Heard, as_choreo, kafka_error, seam
from choreo.log.kafka_settings import Names
from choreo.log.kafka_topics import ADMIN_TIMEOUT_S, KafkaTopics
from choreo.record import TopicPartition

LEADER_WITHIN_S = 30.0
_FIRST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_END: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class KafkaOffsets:
    """Asks one admin client: about a millisecond a call."""

    def __init__(self, names: Names, topics: KafkaTopics, heard: Heard) -> None:
        self._admin = topics.admin
        self._names = names
        self._topics = topics
        self._heard = heard

    def first(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return self._listed(list(partitions), _FIRST)

    def end(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Read uncommitted: counts the records of open transactions, which a restore has to wait for."""
        return self._listed(list(partitions), _END)

    def settled(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Read committed: the last stable offset."""
        return self._listed(list(partitions), _END, IsolationLevel.READ_COMMITTED)

    def at(self, partitions: Iterable[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        found = self._listed(list(partitions), OffsetSpec.for_timestamp(timestamp_ms))
        return found | self.end([name for name, offset in found.items() if offset < 0])

    def _listed(
        self,
        names: list[TopicPartition],
        spec: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
    ) -> dict[TopicPartition, int]:
        until = monotonic() + LEADER_WITHIN_S
        while names:
            found, failed = self._ask(names, spec, isolation)
            if not failed:
                return {name: found[name] for name in names}
            name, error = failed[0]
            reported = kafka_error(error)
            if reported.code() not in LEADER_MOVED or monotonic() > until:
                raise self._refused(name, reported) from error
            with seam("listing topics", heard=self._heard):
                self._admin.list_topics(timeout=ADMIN_TIMEOUT_S)  # which makes the client learn the leaders
            sleep(0.05)
        return {}

    def _ask(
        self, names: list[TopicPartition], spec: OffsetSpec, isolation: IsolationLevel
    ) -> tuple[dict[TopicPartition, int], list[tuple[TopicPartition, KafkaException]]]:
        asked = {self._kafka(name): name for name in names}
        with seam("asking for offsets", heard=self._heard):
            answers = self._admin.list_offsets(
                dict.fromkeys(asked, spec),
                isolation_level=isolation,
                request_timeout=ADMIN_TIMEOUT_S,
            )
        found, failed = {}, []
        for partition, answer in answers.items():
            try:
                found[asked[partition]] = answer.result().offset
            except KafkaException as error:
                failed.append((asked[partition], error))
        return found, failed

    def _refused(self, name: TopicPartition, error: KafkaError) -> Exception:
        raised = as_choreo(error, "asking for offsets", at=name)
        if isinstance(raised, UnknownTopicError) and name.partition >= self._topics.count(name.topic):
            return UnknownTopicError(f"{name.topic} has no partition {name.partition}", at=name)
        return raised

    def _kafka(self, name: TopicPartition) -> KafkaPartition:
        return KafkaPartition(self._names.full(name.topic), name.partition)
