"""The seam at which a KafkaException becomes a ChoreoError: what failed, which right is missing, what to try."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

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

PASSING = ("FAIL [", "GETPID [")
"""What librdkafka calls an error and mends by itself: a connection that broke, a coordinator that is still loading."""


class MendsItself(logging.Filter):
    """Turns the client's word about such things down to INFO; what stays broken is raised."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.getMessage().startswith(PASSING):
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True


clients_log = logging.getLogger("choreo.log.kafka")
clients_log.addFilter(MendsItself())
RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "READ, WRITE and DESCRIBE on the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "READ on the group",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "WRITE and DESCRIBE on the transactional id",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "IDEMPOTENT_WRITE, or CREATE, on the cluster",
}
REFUSED = frozenset(
    {
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
        KafkaError.SECURITY_DISABLED,
        KafkaError._SSL,
    }
)
"""The broker does not accept who we say we are."""
STALE = frozenset({KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_INSTANCE_ID})
FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})
TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
UNKNOWN = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
LEADER_MOVED = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._NOENT,  # no leader of the partition
    }
)
"""The client asks the wrong broker until it lists the topics anew."""
UNAVAILABLE = LEADER_MOVED | frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._RETRY,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_CONTROLLER,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)


def kafka_error(error: KafkaException) -> KafkaError:
    """What the client reported."""
    reported = error.args[0]
    assert isinstance(reported, KafkaError)
    return reported


def as_choreo(error: KafkaError, doing: str, at: object = None) -> ChoreoError:
    """Our error for Kafka's. `doing` names what was tried ("creating topic shop.orders"), `at` where."""
    code = error.code()
    why = f"{error.name()}: {error.str()}"
    if code in RIGHTS:
        return NotAuthorizedError(
            f"{doing}: Kafka refuses it to these credentials", at=at, why=why, hint=f"grant {RIGHTS[code]}"
        )
    if code in REFUSED:
        hint = "check security=, and the sasl.* and ssl.* keys under [kafka]"
        return NotAuthorizedError(f"{doing}: Kafka does not accept these credentials", at=at, why=why, hint=hint)
    if code in STALE:
        hint = "drop the work and poll again"
        return StaleMemberError(f"{doing}: the group has moved on without this member", at=at, why=why, hint=hint)
    if code in FENCED:
        return FencedError(
            f"{doing}: another writer took over this transactional id, or a transaction took too long",
            at=at,
            why=why,
            hint="stop this worker, or make a new writer",
        )
    if code in TOO_LARGE:
        hint = "keep large contents elsewhere and send their address, or raise max.message.bytes of the topic"
        return RecordTooLargeError(f"{doing}: a record larger than the topic takes", at=at, why=why, hint=hint)
    if code in UNKNOWN:
        hint = "make it with `choreo topics apply`"
        return UnknownTopicError(f"{doing}: there is no such topic or partition", at=at, why=why, hint=hint)
    if error.txn_requires_abort():
        return TransactionAbortedError(f"{doing}: nothing of the transaction was committed", at=at, why=why)
    if code in UNAVAILABLE or error.retriable():
        hint = "is the broker up, and reachable from here under its advertised name?"
        return LogUnavailableError(f"{doing}: Kafka can't be reached now", at=at, why=why, hint=hint)
    if code == KafkaError._INVALID_ARG:
        return ConfigError(f"{doing}: librdkafka does not take this", at=at, why=error.str(), hint="see [kafka]")
    return LogError(f"{doing}: Kafka refused", at=at, why=why)


def as_aborted(error: KafkaError, doing: str, at: object = None) -> ChoreoError:
    """Our error for one that costs the open transaction: FencedError, or TransactionAbortedError with its cause."""
    reason = as_choreo(error, doing, at)
    if isinstance(reason, FencedError | TransactionAbortedError):
        return reason
    aborted = TransactionAbortedError(
        f"{doing}: nothing of the transaction was committed", at=at, why=str(reason.why), hint=reason.hint
    )
    aborted.__cause__ = reason
    return aborted


class Heard:
    """A client's error callback: remembers a refusal, which the client itself would report as a timeout only."""

    def __init__(self) -> None:
        self.serve: Callable[[], object] = lambda: None
        """Lets the client call back: one that only answers requests never does by itself."""
        self.refusal: KafkaError | None = None
        self.fatal: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        if error.code() in REFUSED:
            self.refusal = error
        if error.fatal():
            self.fatal = error
        clients_log.info("kafka: %s: %s", error.name(), error.str())

    def raise_refusal(self, doing: str) -> None:
        """Raises NotAuthorizedError, once for each time that the broker turned us away."""
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            raise as_choreo(refusal, doing)

    def refused(self) -> KafkaError | None:
        """Why the broker does not accept us, if that is so."""
        with suppress(KafkaException):
            self.serve()
        return self.refusal


@contextmanager
def seam(doing: str, at: object = None, heard: Heard | None = None) -> Iterator[None]:
    """Whatever Kafka raises inside leaves as a ChoreoError."""
    try:
        yield
    except KafkaException as error:
        raised = as_choreo(kafka_error(error), doing, at)
        if isinstance(raised, LogUnavailableError) and heard is not None and (refusal := heard.refused()) is not None:
            raised = as_choreo(refusal, doing, at)
        raise raised from error
