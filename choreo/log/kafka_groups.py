"""What groups have committed on Kafka, asked, or given back to them, by a consumer that never joins.

Not by the admin client: librdkafka ends the whole process where a coordinator answers that client with NOT_COORDINATOR,
as one does that has just started or moved (its issue 5040).
"""

from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from time import monotonic, sleep
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from choreo.errors import LogUnavailableError
from choreo.log.kafka_errors import Heard, as_choreo, clients_log, kafka_error, seam
from choreo.log.kafka_settings import KafkaSettings, Names
from choreo.record import TopicPartition

T = TypeVar("T")
WITHIN_S = 15.0
ASK_AGAIN_S = 2.0
_PAUSE_S = 0.05


class KafkaGroups:
    """One consumer a group that was asked about. Any number of threads may use it."""

    def __init__(self, settings: KafkaSettings, heard: Heard) -> None:
        self._settings = settings
        self._names = Names(settings.prefix)
        self._heard = heard
        self._consumers: dict[str, Consumer] = {}
        self._lock = Lock()

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """What is committed now; a transaction in flight does not count, and is not waited for.

        Raises LogUnavailableError where no coordinator answers.
        """
        asked, doing = list(partitions), f"reading the offsets of group {group}"
        return self._tried(group, lambda: self._ask(group, asked, doing)) if asked else {}

    def give_back(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit these for a group without members.

        Raises StaleMemberError where it has some, and LogUnavailableError where no coordinator answers.
        """
        full = [KafkaPartition(self._names.full(name.topic), name.partition, at) for name, at in offsets.items()]
        doing = f"giving group {group} its offsets back"
        if full:
            self._tried(group, lambda: self._commit(group, full, doing))

    def close(self) -> None:
        """Release the consumers; safe to call twice."""
        with self._lock:
            for group in list(self._consumers):
                self._forget(group)

    def _tried(self, group: str, ask: Callable[[], T]) -> T:
        until = monotonic() + WITHIN_S
        with self._lock:
            while True:
                try:
                    return ask()
                except LogUnavailableError:
                    self._forget(group)  # a client does not always leave a coordinator that went away
                    if monotonic() > until or self._heard.refused() is not None:
                        raise
                    sleep(_PAUSE_S)

    def _commit(self, group: str, offsets: list[KafkaPartition], doing: str) -> None:
        with seam(doing, heard=self._heard):
            answers = self._consumer(group).commit(offsets=offsets, asynchronous=False)
        for answer in answers:
            if answer.error is not None:
                raise as_choreo(
                    answer.error, doing, at=TopicPartition(self._names.plain(answer.topic), answer.partition)
                )

    def _ask(self, group: str, asked: list[TopicPartition], doing: str) -> dict[TopicPartition, int | None]:
        full = [KafkaPartition(self._names.full(topic), number) for topic, number in asked]
        with seam(doing, heard=self._heard):
            answers = self._consumer(group).committed(full, timeout=ASK_AGAIN_S)
        offsets: dict[TopicPartition, int | None] = {}
        for name, answer in zip(asked, answers, strict=True):
            if answer.error is not None:
                raise as_choreo(answer.error, doing, at=name)
            offsets[name] = answer.offset if answer.offset >= 0 else None
        return offsets

    def _consumer(self, group: str) -> Consumer:
        if group not in self._consumers:
            config = {**self._settings.asker(group), "error_cb": self._heard}
            self._consumers[group] = Consumer(config, logger=clients_log)
        return self._consumers[group]

    def _forget(self, group: str) -> None:
        consumer = self._consumers.pop(group, None)
        if consumer is not None:
            try:
                consumer.close()
            except KafkaException as error:  # it was of no use any more
                clients_log.info("closing: %s", kafka_error(error).str())
