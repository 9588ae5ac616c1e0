"""A member of a Kafka group, static and classic: one consumer, its listener, and the right under which it commits."""

import sys
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from choreo.errors import FencedError, LogError, LogUnavailableError, StaleMemberError
from choreo.log.interface import Identity, Listener, Member, Membership
from choreo.log.kafka_errors import Heard, as_choreo, clients_log, kafka_error, seam
from choreo.log.kafka_fetch import Fetch
from choreo.log.kafka_settings import TRANSACTION_TIMEOUT_S, KafkaSettings, Names
from choreo.record import Record, TopicPartition

COMMITTED_SLICE_S = 5.0
COMMITTED_WITHIN_S = TRANSACTION_TIMEOUT_S + 10.0
"""A read-committed group waits for the transactions of its predecessor, which may take until their timeout."""
LEAVE_WITHIN_S = 5.0
_METADATA = b"CGMDv2:"


class KafkaMember(Member):
    """One consumer in a group. Its callbacks never raise: what they could raise comes out of `poll`."""

    def __init__(self, settings: KafkaSettings, membership: Membership, listener: Listener) -> None:
        self.group = membership.group
        self._membership = membership
        self._listener = listener
        self._names = Names(settings.prefix)
        self._heard = Heard()
        self._identity: Identity | None = None
        self._metadata: object = None
        self._assignments = 0
        self._untaken: list[TopicPartition] | None = None
        self._owned: list[TopicPartition] = []
        self._closed = False
        with seam(f"joining group {self.group}", heard=self._heard):
            config = {**settings.member(membership), "error_cb": self._heard}
            self._consumer = Consumer(config, logger=clients_log)
            self._fetch = Fetch(self._consumer, self._names)
            self._consumer.subscribe(
                [self._names.full(topic) for topic in membership.topics],
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )

    def poll(self, timeout_s: float, limit: int = 1000) -> list[Record]:
        if self._closed:
            raise LogError(f"this member of {self.group} is closed")
        if self._untaken is not None:
            with seam(f"taking up the partitions of group {self.group}"):
                self._take_up(self._untaken)
        records = self._fetch.take(timeout_s, limit)
        if (fatal := self._fetch.fatal or self._heard.fatal) is not None:
            self._replaced(fatal)
        if not records:
            self._heard.raise_refusal(f"reading as a member of {self.group}")
        return records

    def identity(self) -> Identity | None:
        return self._identity

    def rights(self, identity: Identity) -> object:
        """What Kafka asks for to commit under `identity`.

        Taken when the partitions were assigned, so that work done under an earlier generation can't be committed
        under a later one. Raises StaleMemberError where `identity` is no longer this member's.
        """
        if self._identity is None or identity != self._identity:
            raise StaleMemberError(
                f"the group {self.group} has moved on without {identity.member_id or 'a member that never joined'}",
                why=f"the work was done under generation {identity.generation}, now it is {self._identity}",
                hint="drop the work and poll again",
            )
        return self._metadata

    def position(self, partition: TopicPartition) -> int:
        return self._fetch.position(partition)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._fetch.seek(partition, offset)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._fetch.pause(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._fetch.resume(partitions)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            with seam(f"leaving group {self.group}", heard=self._heard):
                if self._fetch.fatal is None and self._heard.fatal is None:
                    self._leave()
                self._consumer.close()
        finally:
            self._identity = None
        self._fetch.raise_failure()

    def _leave(self) -> None:
        # A static member that just closes keeps its partitions until its session ends; one that unsubscribes leaves.
        self._consumer.unsubscribe()
        until = monotonic() + LEAVE_WITHIN_S
        while self._consumer.memberid() and monotonic() < until:
            self._consumer.poll(0.02)

    def _on_assign(self, _: Consumer, partitions: Sequence[KafkaPartition]) -> None:
        granted = [TopicPartition(self._names.plain(each.topic), each.partition) for each in partitions]
        self._assignments += 1
        try:
            self._take_up(granted)
        except BaseException as failure:  # raised out of poll
            self._untaken = granted
            self._fetch.assign({})
            self._fetch.fail(failure)

    def _take_up(self, granted: list[TopicPartition]) -> None:
        """(1) committed offsets, (2) identity, (3) the listener says from where, (4) read."""
        committed = self._committed(granted)
        self._metadata = self._consumer.consumer_group_metadata()
        member_id = self._consumer.memberid()
        if not member_id:
            # A commit without a member id is not checked by the broker at all.
            raise LogError(f"{self.group} assigned partitions to a member without an id")
        self._identity = Identity(member_id, _generation(self._metadata, self._assignments))
        self._owned, self._untaken = granted, None
        starts = self._listener.assigned(committed)
        self._fetch.assign({name: starts.get(name, committed[name] or 0) for name in granted})

    def _on_revoke(self, _: Consumer, __: Sequence[KafkaPartition]) -> None:
        self._give_up(self._listener.revoked)

    def _on_lost(self, _: Consumer, __: Sequence[KafkaPartition]) -> None:
        self._give_up(self._listener.lost)

    def _give_up(self, tell: Callable[[Sequence[TopicPartition]], None]) -> None:
        try:
            if self._owned:
                tell(self._owned)
        except BaseException as failure:  # raised out of poll
            self._fetch.fail(failure)
        finally:
            self._identity, self._metadata, self._owned, self._untaken = None, None, [], None
            self._fetch.drop()

    def _replaced(self, fatal: KafkaError) -> None:
        self._give_up(self._listener.lost)
        raise FencedError(
            f"another member of {self.group} joined as {self._membership.instance}",
            why=f"a newer process of this worker has started ({fatal.str()})",
            hint="stop this one",
        )

    def _committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int | None]:
        asked = [KafkaPartition(self._names.full(name.topic), name.partition) for name in partitions]
        doing, until = f"reading the offsets of group {self.group}", monotonic() + COMMITTED_WITHIN_S
        while asked:
            try:
                answers = self._consumer.committed(asked, timeout=COMMITTED_SLICE_S)
                failed = next((each.error for each in answers if each.error is not None), None)
                if failed is None:
                    offsets = [each.offset if each.offset >= 0 else None for each in answers]
                    return dict(zip(partitions, offsets, strict=True))
                raised = as_choreo(failed, doing)
            except KafkaException as error:
                raised = as_choreo(kafka_error(error), doing)
            if not isinstance(raised, LogUnavailableError) or monotonic() >= until:
                raise raised
        return {}


def _generation(metadata: object, assignments: int) -> int:
    """The generation inside the client's opaque metadata; where it can't be read, the count of assignments.

    Source: librdkafka, rd_kafka_consumer_group_metadata_write: magic, generation (int32), group, member, instance.
    """
    if isinstance(metadata, bytes) and metadata.startswith(_METADATA):
        start = len(_METADATA)
        return int.from_bytes(metadata[start : start + 4], sys.byteorder, signed=True)
    return assignments
