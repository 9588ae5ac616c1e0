"""Transactions on Kafka: one transactional producer, rebuilt where it broke, gone where another fenced it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from choreo.errors import (
    ChoreoError,
    FencedError,
    LogError,
    LogUnavailableError,
    RecordTooLargeError,
    StaleMemberError,
    TransactionAbortedError,
    because,
)
from choreo.log.interface import Identity, Member, Receipt, Transaction, Writer
from choreo.log.kafka_bounded import BoundedCalls
from choreo.log.kafka_errors import FENCED, Heard, as_aborted, as_choreo, clients_log, kafka_error, seam
from choreo.log.kafka_member import KafkaMember
from choreo.log.kafka_settings import TRANSACTION_TIMEOUT_S, KafkaSettings, Names
from choreo.log.kafka_topics import KafkaTopics, Produce
from choreo.record import NewRecord, TopicPartition

INIT_TIMEOUT_S = 30.0
OFFSETS_WITHIN_S = 6.0
SLICE_S = 5.0
"""How long one call into the client may last; between two of them signals are served."""


class KafkaWriter(Writer):
    """Writes one transaction at a time, until a later writer of the same id fences it."""

    def __init__(self, settings: KafkaSettings, topics: KafkaTopics, transactional_id: str) -> None:
        self.topics = topics
        self.names = Names(settings.prefix)
        self._settings = settings
        self._id = transactional_id
        self._fenced: FencedError | None = None
        self._open: KafkaTransaction | None = None
        self._heard = Heard()
        self._producer: Producer | None = self._make()

    def begin(self) -> Transaction:
        if self._open is not None and self._open.open:
            raise LogError(f"{self._id} has a transaction open already", hint="commit or abort it first")
        if self._fenced is not None:
            raise self._fenced
        if self._producer is None:
            self._producer = self._make()
        try:
            self._producer.begin_transaction()
        except KafkaException as error:
            raised = self.failed(kafka_error(error), "beginning a transaction")
            raise because(raised, raised.__cause__ or error)
        self._open = KafkaTransaction(self, self._producer)
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.abort()
        self.drop()

    def failed(self, error: KafkaError, doing: str) -> ChoreoError:
        """Our error for one that costs the transaction; a producer that is beyond repair is dropped."""
        fatal = self._heard.fatal if error.fatal() and error.code() not in FENCED else None
        raised = as_aborted(fatal or error, doing, at=self._id)
        if isinstance(raised, FencedError):
            self._fenced = raised
        if error.fatal() or isinstance(raised, FencedError):
            self.drop()
        return raised

    def send_offsets(self, positions: list[KafkaPartition], rights: object) -> None:
        """Add offsets to the open transaction; gives the producer up where the client does not come back."""
        producer = self._producer
        assert producer is not None, "a transaction is open"
        send = partial(producer.send_offsets_to_transaction, positions, rights, SLICE_S)
        if not self._calls.run(send, OFFSETS_WITHIN_S):
            self.drop()
            raise TransactionAbortedError(
                "committing offsets: the client does not come back", at=self._id, why="the group's coordinator is away"
            )

    def holds(self, producer: Producer) -> bool:
        """Whether this producer is still in use, not given up."""
        return producer is self._producer

    def drop(self) -> None:
        """Forget the producer and what it holds; `begin` makes another, which ends the transaction of this one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            self._calls.close()
            with suppress(KafkaException):  # what broke it is known by now
                producer.purge(blocking=False)
                producer.poll(0)

    def _make(self) -> Producer:
        self._heard = Heard()
        self._calls = BoundedCalls()
        doing = f"making a writer for the transactional id {self._id}"
        with seam(doing, heard=self._heard):
            config = {**self._settings.writer(self._id), "error_cb": self._heard}
            producer = Producer(config, logger=clients_log)
            self._heard.serve = partial(producer.poll, 0)
            # Asked before it is connected, the client looks for the coordinator again half a second later only.
            with suppress(KafkaException):
                producer.list_topics(timeout=SLICE_S)
            until = monotonic() + INIT_TIMEOUT_S
            while True:
                try:
                    producer.init_transactions(SLICE_S)
                    return producer
                except KafkaException as error:
                    if not kafka_error(error).retriable() or self._heard.refused() or monotonic() > until:
                        raise


class KafkaTransaction(Transaction):
    """Records go to the broker as they are appended; offsets and the verdict follow at the end."""

    def __init__(self, writer: KafkaWriter, producer: Producer) -> None:
        self.open = True
        self._writer = writer
        self._producer = producer
        self._delivered: list[tuple[Receipt, int]] = []

    def append(self, records: Sequence[NewRecord]) -> Receipt:
        self._check()
        receipt = Receipt()
        if not records:
            return receipt

        def delivered(error: KafkaError | None, message: Message) -> None:
            offset = message.offset()
            if error is None and offset is not None:
                self._delivered.append((receipt, offset))

        produce = self._producer.produce
        *routed, last = self._writer.topics.route(records)
        # the others of this producer follow in order, so the last one's report is enough
        routed.append((*last[:4], delivered, *last[5:]))
        try:
            for arguments in routed:
                try:
                    produce(*arguments)
                except BufferError:
                    self._wait_for_room(arguments)
            self._producer.poll(0)
        except KafkaException as error:
            raised = self._append_failed(kafka_error(error))
            raise because(raised, raised.__cause__ or error)
        return receipt

    def send_offsets(self, member: Member, identity: Identity, offsets: Mapping[TopicPartition, int]) -> None:
        self._check()
        if not isinstance(member, KafkaMember):
            raise StaleMemberError("a member of another log can't commit here")
        rights = member.rights(identity)
        full = self._writer.names.full
        positions = [KafkaPartition(full(name.topic), name.partition, at) for name, at in offsets.items()]
        if not positions:
            return
        try:
            # Not tried again: nothing is committed yet, so starting over is safe, and the client is worse at it.
            self._writer.send_offsets(positions, rights)
        except KafkaException as error:
            raised = self._writer.failed(kafka_error(error), f"committing offsets of group {member.group}")
            raise because(raised, raised.__cause__ or error)

    def commit(self) -> None:
        self._check()
        while True:
            try:
                self._producer.commit_transaction(SLICE_S)
                break
            except KafkaException as error:
                reported = kafka_error(error)
                if reported.retriable():
                    # The verdict is not known: neither applied nor aborted, but asked for again.
                    clients_log.warning("commit: asking again: %s", reported.str())
                    self._wait()
                    continue
                raised = self._writer.failed(reported, "committing")
                self.abort()
                raise because(raised, raised.__cause__ or error)
        self.open = False
        for receipt, offset in self._delivered:
            receipt.offset = offset

    def abort(self) -> None:
        if not self.open:
            return
        self.open = False
        until = monotonic() + TRANSACTION_TIMEOUT_S
        while self._writer.holds(self._producer):
            try:
                self._producer.abort_transaction(SLICE_S)
                return
            except KafkaException as error:
                reported = kafka_error(error)
                if not reported.retriable() or monotonic() > until:
                    self._writer.failed(reported, "aborting")
                    self._writer.drop()
                    return
                self._wait()

    def _wait(self) -> None:
        with suppress(KafkaException):  # a fatal error comes again out of the next call
            self._producer.poll(0.05)

    def _wait_for_room(self, arguments: Produce) -> None:
        while True:
            self._producer.poll(0.1)
            try:
                return self._producer.produce(*arguments)
            except BufferError:
                continue

    def _append_failed(self, error: KafkaError) -> ChoreoError:
        raised = as_choreo(error, "appending")
        if isinstance(raised, RecordTooLargeError | LogUnavailableError | TransactionAbortedError):
            return raised
        return self._writer.failed(error, "appending")

    def _check(self) -> None:
        if not self.open:
            raise LogError("this transaction has ended", hint="begin another")
