"""Kafka, a real broker: the contract that every log passes."""

from collections.abc import Iterator

import pytest

from choreo.log.interface import Log
from choreo.log.kafka import KafkaLog
from choreo.testing.contracts import DurableLogContract


class TestKafkaLog(DurableLogContract):
    """The contract suite on Apache Kafka."""

    @pytest.fixture
    def log(self, kafka_url: str) -> Iterator[Log]:
        with KafkaLog.from_url(kafka_url) as log:
            yield log

    def reopen(self, log: Log) -> Log:
        log.close()
        return KafkaLog.from_url(log.url)
