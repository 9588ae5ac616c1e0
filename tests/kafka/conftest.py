"""The broker's fixtures, for the tests of this directory."""

from tests.kafka.fixtures import kafka_bootstrap, kafka_url, own_broker

__all__ = ["kafka_bootstrap", "kafka_url", "own_broker"]
