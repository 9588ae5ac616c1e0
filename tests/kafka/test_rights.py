"""Kafka with passwords and rights: what is missing is said by name."""

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without __all__
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from choreo.errors import NotAuthorizedError, TransactionAbortedError
from choreo.log.interface import TopicSpec
from choreo.log.kafka import KafkaLog, KafkaReader
from choreo.log.kafka_settings import KafkaSettings
from choreo.record import NewRecord, TopicPartition
from choreo.testing.log_bench import eventually
from tests.java import NotHereError
from tests.kafka.broker import Broker
from tests.kafka.fixtures import no_broker

USER, PASSWORD = "shop", "secret"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Broker]:
    """A broker with a password, whose user `shop` has no rights but those that a test grants."""
    try:
        broker = Broker(USER, PASSWORD).__enter__()
    except NotHereError as error:
        no_broker(str(error))
        return
    try:
        yield broker
    finally:
        broker.__exit__()


def log_in(broker: Broker, password: str = PASSWORD) -> KafkaLog:
    sasl = {"sasl.mechanism": "PLAIN", "sasl.username": USER, "sasl.password": password}
    return KafkaLog.from_url(f"kafka://{broker.guarded_bootstrap}?security=sasl_plaintext", sasl)


def grant(broker: Broker, kind: ResourceType, name: str, *operations: AclOperation) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    literal, who, allow = ResourcePatternType.LITERAL, f"User:{USER}", AclPermissionType.ALLOW
    bindings = [AclBinding(kind, name, literal, who, "*", operation, allow) for operation in operations]
    for answer in admin.create_acls(bindings).values():
        answer.result(20)


def test_a_wrong_password_is_said_to_be_one(guarded: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a timeout: NotAuthorizedError, which names the settings to look at."""
    monkeypatch.setattr("choreo.log.kafka_topics.ADMIN_TIMEOUT_S", 2.0)
    with log_in(guarded, "wrong") as log, pytest.raises(NotAuthorizedError, match="sasl"):
        log.topics()


def test_topics_that_may_not_be_made_are_named(guarded: Broker) -> None:
    """Without create rights the error lists all the topics that are missing, and only those."""
    with KafkaLog.from_url(f"kafka://{guarded.bootstrap}") as owner:
        owner.create_topics([TopicSpec("there")])
    grant(guarded, ResourceType.TOPIC, "there", AclOperation.DESCRIBE)
    with log_in(guarded) as log, pytest.raises(NotAuthorizedError) as caught:
        log.create_topics([TopicSpec("there"), TopicSpec("missing.b"), TopicSpec("missing.a")])
    assert caught.value.at == "missing.a, missing.b"
    assert "2 topics are missing" in caught.value.message


def test_a_writer_without_rights_says_which(guarded: Broker) -> None:
    """The transactional id first; with it, the topic: nothing is committed, the cause names the right."""
    with KafkaLog.from_url(f"kafka://{guarded.bootstrap}") as owner:
        owner.create_topics([TopicSpec("closed", 1)])
    grant(guarded, ResourceType.TOPIC, "closed", AclOperation.DESCRIBE)
    with log_in(guarded) as log:
        with pytest.raises(NotAuthorizedError, match="on the transactional id"):
            log.writer("tid")
        grant(guarded, ResourceType.TRANSACTIONAL_ID, "tid", AclOperation.WRITE, AclOperation.DESCRIBE)
        writer = log.writer("tid")
        transaction = writer.begin()
        transaction.append([NewRecord("closed", b"k", b"v")])
        with pytest.raises(TransactionAbortedError) as caught:
            transaction.commit()
        assert isinstance(caught.value.__cause__, NotAuthorizedError)
        assert "WRITE" in str(caught.value.hint)
        writer.close()


def test_a_reader_that_is_turned_away_says_so(guarded: Broker) -> None:
    """A password that is changed under a running process is not silence: reading raises NotAuthorizedError."""
    settings = KafkaSettings.parse(
        f"kafka://{guarded.guarded_bootstrap}?security=sasl_plaintext",
        {"sasl.mechanism": "PLAIN", "sasl.username": USER, "sasl.password": "changed"},
    )
    reader = KafkaReader(settings, {TopicPartition("there", 0): 0})
    with pytest.raises(NotAuthorizedError, match="credentials"):
        eventually(lambda: reader.read(0.05))
    reader.close()
