"""The kafka:// URL and raw librdkafka keys: what each client is given."""

import pytest

from choreo.errors import ConfigError
from choreo.log.interface import Membership
from choreo.log.kafka import KafkaLog
from choreo.log.kafka_settings import KafkaSettings, Names

MEMBERSHIP = Membership("orders", ("shop.orders",), "worker-1", session_timeout_s=12)


def test_a_url_names_brokers_prefix_and_security() -> None:
    """Brokers without a port get Kafka's; the prefix stands in front of group and transactional id, dot included."""
    settings = KafkaSettings.parse("kafka://one:9093,two?prefix=staging&security=tls", {})
    assert settings.connection()["bootstrap.servers"] == "one:9093,two:9092"
    assert settings.connection()["security.protocol"] == "ssl"
    assert settings.member(MEMBERSHIP)["group.id"] == "staging.orders"
    assert settings.writer("orders.a.0")["transactional.id"] == "staging.orders.a.0"


def test_names_go_there_and_back() -> None:
    """A topic's name is the same to Choreo in every environment."""
    names = Names("staging.")
    assert names.full("shop.orders") == "staging.shop.orders"
    assert names.plain(names.full("shop.orders")) == "shop.orders"


def test_a_raw_key_goes_to_the_clients_that_know_it() -> None:
    """SASL goes to all; a consumer's key to consumers, a producer's to producers, a section's to its own kind."""
    raw = {"sasl.username": "me", "fetch.max.bytes": "1000", "linger.ms": "1", "admin.client.id": "ops"}
    settings = KafkaSettings.parse("kafka://one", raw)
    consumer, producer, admin = settings.member(MEMBERSHIP), settings.producer(), settings.admin()
    assert [client["sasl.username"] for client in (consumer, producer, admin)] == ["me"] * 3
    assert ("fetch.max.bytes" in consumer, "fetch.max.bytes" in producer) == (True, False)
    assert ("linger.ms" in consumer, producer["linger.ms"]) == (False, "1")
    assert ("client.id" in consumer, admin["client.id"]) == (False, "ops")


def test_a_reader_prefetches_by_its_partitions() -> None:
    """A replay holds a reader open for each input of a task: each fetches a megabyte a partition ahead, one of many
    partitions four in all, and the user's own word counts.
    """
    settings = KafkaSettings.parse("kafka://one", {})
    assert [settings.reader(count)["queued.max.messages.kbytes"] for count in (1, 4, 1000)] == [1024, 4096, 4096]
    assert settings.reader(1)["fetch.message.max.bytes"] == 1 << 20
    assert settings.reader(1000)["fetch.max.bytes"] == 4 << 20
    assert settings.member(MEMBERSHIP)["queued.max.messages.kbytes"] == 131_072
    own = KafkaSettings.parse("kafka://one", {"queued.max.messages.kbytes": "9"})
    assert own.reader(4)["queued.max.messages.kbytes"] == "9"


def test_a_member_is_static_and_its_session_is_the_memberships() -> None:
    """Static membership is what brings a killed worker back at once."""
    config = KafkaSettings.parse("kafka://one", {}).member(MEMBERSHIP)
    assert (config["group.instance.id"], config["session.timeout.ms"]) == ("worker-1", 12_000)
    assert config["partition.assignment.strategy"] == "range"


@pytest.mark.parametrize(
    ("url", "raw", "says"),
    [
        ("kafka://", {}, "without a broker"),
        ("kafka://one,,two", {}, "without a broker"),
        ("kafka://one?prefx=staging", {}, "takes no prefx"),
        ("kafka://one?prefix=a b", {}, "can't begin a topic's name"),
        ("kafka://one?security=maybe", {}, "one of plaintext"),
        ("kafka://one", {"enable.auto.commit": "true"}, "Choreo's promises"),
        ("kafka://one", {"producer.acks": "1"}, "Choreo's promises"),
        ("kafka://one", {"no.such.key": "1"}, "no.such.key"),
        ("kafka://one", {"socket.timeout.ms": "soon"}, "socket.timeout.ms"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(url: str, raw: dict[str, str], says: str) -> None:
    """Misspelt, unknown or dangerous settings are a ConfigError that names them, before any connection."""
    with pytest.raises(ConfigError, match=says):
        KafkaLog.from_url(url, raw).close()
