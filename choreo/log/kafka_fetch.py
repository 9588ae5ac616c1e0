"""Fetching from assigned partitions: what members and readers share. Turns messages into records, fast."""

from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from choreo.errors import LogError, because
from choreo.log.kafka_errors import as_choreo, kafka_error, seam
from choreo.log.kafka_settings import Names
from choreo.record import Position, Record, TopicPartition, of_fields

_EOF = KafkaError._PARTITION_EOF
_PASSING = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._MAX_POLL_EXCEEDED,
        KafkaError._WAIT_COORD,
    }
)
"""The client recovers from these by itself; it goes on where it was."""


class PlainNames(dict[str | None, str]):
    """Kafka's name of a topic to ours, each string made once."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    def __missing__(self, full: str | None) -> str:
        plain = self[full] = self._names.plain(full or "")
        return plain


class Fetch:
    """The assigned partitions of one consumer and how far each is read."""

    def __init__(self, consumer: Consumer, names: Names) -> None:
        self._consumer = consumer
        self._names = names
        self._plain = PlainNames(names)
        self._next: dict[TopicPartition, int] = {}
        self._asked: list[tuple[TopicPartition, KafkaPartition]] = []
        self._paused: set[TopicPartition] = set()
        self._failure: BaseException | None = None
        self.fatal: KafkaError | None = None
        """Why this consumer can't go on."""
        self._epoch = 0
        """Counts the assignments."""
        self._ended: dict[TopicPartition, int] = {}
        """Ends that were come to since the last positions were noted."""

    def assign(self, starts: Mapping[TopicPartition, int]) -> None:
        """Read these partitions from these offsets from now on, and no others."""
        self._epoch += 1
        self._next = dict(starts)
        self._asked = [(name, KafkaPartition(self._names.full(name.topic), name.partition)) for name in starts]
        self._paused &= starts.keys()
        self._go_on()

    def drop(self) -> None:
        """Read nothing from now on."""
        self._epoch += 1
        self._next, self._asked = {}, []
        self._paused.clear()
        with seam("giving up an assignment"):
            self._consumer.unassign()

    def fail(self, failure: BaseException) -> None:
        """Raise this out of the next `take`, not out of a callback: that would lose the records being fetched."""
        if isinstance(failure, KafkaException):
            failure = as_choreo(kafka_error(failure), "reading")
        if self._failure is None:
            self._failure = failure

    def raise_failure(self) -> None:
        """Raise what `fail` has kept."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def take(self, timeout_s: float, limit: int) -> list[Record]:
        """Up to `limit` records; waits for the first alone. Records that an exception would lose are fetched again."""
        self.raise_failure()
        epoch = self._epoch
        try:
            records = self._records(self._fetched(timeout_s, limit))
            if epoch == self._epoch:
                self._note_positions()
            else:
                # What came before the change is no longer ours, or comes again: the listener said from where to read.
                self._rewind()
                records = []
        except KafkaException as error:
            reported = kafka_error(error)
            if reported.fatal():
                self.fatal = reported
                return []
            self._rewind()
            raise because(as_choreo(reported, "reading"), error)
        except BaseException:
            self._rewind()
            raise
        if not records:
            self.raise_failure()
        return records

    def _fetched(self, timeout_s: float, limit: int) -> list[Message]:
        first = self._consumer.poll(timeout_s)
        if first is None or limit <= 1:
            return [] if first is None else [first]
        # poll returns with the first message; consume alone would wait until there are `limit` of them
        return [first, *self._consumer.consume(limit - 1, 0)]

    def position(self, partition: TopicPartition) -> int:
        position = self._next.get(partition)
        if position is None:
            raise LogError(f"{partition} is not read here", why="it is not assigned now")
        return position

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.position(partition)
        with seam("seeking", at=Position(*partition, offset)):
            self._consumer.seek(KafkaPartition(self._names.full(partition.topic), partition.partition, offset))
        self._next[partition] = offset

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        paused = set(partitions)
        self._paused |= paused
        with seam("pausing"):
            self._consumer.pause(self._to_kafka(paused & self._next.keys()))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        resumed = self._paused.intersection(partitions)
        self._paused -= resumed
        ours = resumed & self._next.keys()
        with seam("resuming"):
            self._consumer.resume(self._to_kafka(ours))
        # What was resumed alone is noticed by the client's thread when it next wakes, up to a second later; a seek
        # wakes it.
        for name in ours:
            self.seek(name, self._next[name])

    def _records(self, messages: Sequence[Message]) -> list[Record]:
        plain = self._plain
        records = [
            of_fields(
                Record,
                (
                    plain[m.topic()],
                    m.partition(),
                    m.offset(),
                    m.timestamp()[1],
                    m.key(),
                    m.value(),
                    m.headers() or (),
                ),
            )
            for m in messages
            if m.error() is None
        ]
        if len(records) != len(messages):
            self._attend([m for m in messages if m.error() is not None])
        return records

    def _attend(self, reports: Iterable[Message]) -> None:
        for report in reports:
            error, topic, number = report.error(), report.topic(), report.partition()
            assert error is not None
            code = error.code()
            if code == _EOF:
                name = TopicPartition(self._plain[topic], number or 0)
                offset = report.offset()
                if offset is not None:
                    self._ended[name] = offset
            elif error.fatal() or code == KafkaError._FATAL:
                self.fatal = error
            elif code not in _PASSING:
                at = None if topic is None else TopicPartition(self._plain[topic], number or 0)
                self.fail(self._failed(error, at))

    def _failed(self, error: KafkaError, at: TopicPartition | None) -> Exception:
        if error.code() == KafkaError._AUTO_OFFSET_RESET and at is not None:
            return LogError(
                "the records to go on from are gone",
                at=Position(*at, self._next.get(at, 0)),
                why=f"retention deleted them, or the topic was made again ({error.str()})",
                hint="choose where to go on with start_from = earliest | latest | TIME",
            )
        return as_choreo(error, "reading", at)

    def _note_positions(self) -> None:
        ended, self._ended = self._ended, {}
        if not self._asked:
            return
        known = self._next
        with seam("asking for the positions"):
            positions = self._consumer.position([asked for _, asked in self._asked])
        for name in ended.keys() & known.keys():
            known[name] = max(known[name], ended[name])
        for (name, _), asked in zip(self._asked, positions, strict=True):
            # below zero: nothing handed out since the last assign or seek, which stands in `known`
            if asked.offset > known[name]:
                known[name] = asked.offset

    def _rewind(self) -> None:
        """Fetch again whatever was fetched and not handed out; an end that was come to after it is none yet."""
        self._ended.clear()
        if self._next:
            self._go_on()

    def _go_on(self) -> None:
        with seam("taking up an assignment"):
            self._consumer.assign(self._to_kafka(self._next))
            if self._paused:  # an assignment begins with nothing paused
                self._consumer.pause(self._to_kafka(self._paused))

    def _to_kafka(self, partitions: Iterable[TopicPartition] | Mapping[TopicPartition, int]) -> list[KafkaPartition]:
        full = self._names.full
        if isinstance(partitions, Mapping):
            return [KafkaPartition(full(name.topic), name.partition, at) for name, at in partitions.items()]
        return [KafkaPartition(full(name.topic), name.partition) for name in partitions]
