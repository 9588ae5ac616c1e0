"""The seam: each kind of Kafka's errors becomes the ChoreoError that says what to do."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from choreo.errors import (
    ChoreoError,
    ConfigError,
    FencedError,
    LogError,
    LogUnavailableError,
    NotAuthorizedError,
    RecordTooLargeError,
    StaleMemberError,
    TransactionAbortedError,
    UnknownTopicError,
)
from choreo.log.interface import TopicSpec
from choreo.log.kafka import KafkaLog
from choreo.log.kafka_errors import Heard, as_aborted, as_choreo, seam
from choreo.record import NewRecord


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.ILLEGAL_GENERATION, StaleMemberError),
        (KafkaError.UNKNOWN_MEMBER_ID, StaleMemberError),
        (KafkaError.FENCED_INSTANCE_ID, StaleMemberError),
        (KafkaError._FENCED, FencedError),
        (KafkaError.INVALID_PRODUCER_EPOCH, FencedError),
        (KafkaError.PRODUCER_FENCED, FencedError),
        (KafkaError.MSG_SIZE_TOO_LARGE, RecordTooLargeError),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, UnknownTopicError),
        (KafkaError._TRANSPORT, LogUnavailableError),
        (KafkaError._TIMED_OUT, LogUnavailableError),
        (KafkaError.NOT_ENOUGH_REPLICAS, LogUnavailableError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, NotAuthorizedError),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, NotAuthorizedError),
        (KafkaError.SASL_AUTHENTICATION_FAILED, NotAuthorizedError),
        (KafkaError._INVALID_ARG, ConfigError),
        (KafkaError.UNKNOWN, LogError),
    ],
)
def test_each_kind_has_its_error(code: int, kind: type[ChoreoError]) -> None:
    """The caller decides by type; the text keeps Kafka's own name of it."""
    error = as_choreo(KafkaError(code), "doing this", at="there")
    assert type(error) is kind
    assert error.at == "there"
    assert error.why


def test_a_missing_right_is_named() -> None:
    """Who reads the error knows which right to ask for."""
    group = as_choreo(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), "joining")
    writer = as_choreo(KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED), "beginning")
    assert "READ on the group" in str(group)
    assert "on the transactional id" in str(writer)


def test_an_error_that_costs_the_transaction_keeps_its_cause() -> None:
    """Whoever rewinds sees TransactionAbortedError; whoever looks for the culprit finds it as the cause."""
    aborted = as_aborted(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), "committing")
    assert type(aborted) is TransactionAbortedError
    assert type(aborted.__cause__) is RecordTooLargeError
    assert type(as_aborted(KafkaError(KafkaError.UNKNOWN_MEMBER_ID), "committing")) is StaleMemberError
    assert type(as_aborted(KafkaError(KafkaError._FENCED), "committing")) is FencedError


def test_a_refusal_is_not_reported_as_a_timeout() -> None:
    """A wrong password shows as one, though the client itself only says that it timed out."""
    heard = Heard()
    heard(KafkaError(KafkaError._AUTHENTICATION, "wrong password"))
    with pytest.raises(NotAuthorizedError, match="wrong password"), seam("listing", heard=heard):
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))


def test_a_broker_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at that port: LogUnavailableError, so trying again is sensible."""
    monkeypatch.setattr("choreo.log.kafka_topics.ADMIN_TIMEOUT_S", 0.3)
    with KafkaLog.from_url("kafka://127.0.0.1:1") as log, pytest.raises(LogUnavailableError, match="is the broker up"):
        log.topics()


def test_a_record_that_the_topic_refuses_aborts_with_its_cause(kafka_url: str) -> None:
    """A record below Choreo's limit and above the topic's: nothing is committed, the cause is RecordTooLargeError."""
    with KafkaLog.from_url(kafka_url) as log:
        log.create_topics([TopicSpec("small", 1, {"max.message.bytes": "1000"}), TopicSpec("other", 1)])
        large = bytes(n * 7 % 251 ^ n >> 8 & 255 for n in range(60_000))
        writer = log.writer("w")
        transaction = writer.begin()
        transaction.append([NewRecord("other", b"k", b"fine"), NewRecord("small", b"k", large)])
        with pytest.raises(TransactionAbortedError) as caught:
            transaction.commit()
        assert isinstance(caught.value.__cause__, RecordTooLargeError)
        again = writer.begin()
        again.append([NewRecord("other", b"k", b"after")])
        again.commit()
        writer.close()
        with pytest.raises(RecordTooLargeError):
            log.append([NewRecord("small", b"k", large)])
