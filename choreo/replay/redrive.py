"""Redriving dead letters: each is put where it came from once more, for its service alone, in order.

What is put there and what is said of the letter become visible together, so an order that is interrupted and given
again goes on behind what is done; and whoever begins takes over from whoever is still at it.
"""

import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from struct import Struct
from uuid import UUID

from choreo.errors import FencedError
from choreo.events.codec import Codec
from choreo.events.envelope import Again, Ids, caused_by, uuid8
from choreo.events.envelope import Wish as Marked
from choreo.events.event import Event
from choreo.events.plain import headers_again
from choreo.log.interface import MAX_RECORD_BYTES, Log, Topic
from choreo.record import Headers, NewRecord, Position, Record
from choreo.replay.letters import Letter, Letters
from choreo.replay.operations import Operations, Settled
from choreo.replay.scratch import Scratch
from choreo.resilience.dead_letter import DeadLetter
from choreo.resilience.operations import TOPIC, Outcome
from choreo.told import Told, untold

BATCH_RECORDS, BATCH_BYTES = 200, 1_000_000
"""One transaction takes at most so much; it always takes one letter."""
_ORDER = Struct(">QQ")
_OFFSETS = Struct(">IQ")
_EPOCH = 1 << 63

Settling = tuple[Position, NewRecord | None]
"""Where a letter lies, and what is put on the log for it."""


@dataclass(frozen=True)
class Wish:
    """What is to be done with dead letters, and by whom. `by`: who, and why."""

    operation: UUID
    outcome: Outcome
    by: tuple[str, str]
    wanted: Callable[[Letter], bool]
    written: Callable[[Letter], NewRecord | None]
    """What is put on the log for a letter; None for nothing."""
    most: int = BATCH_RECORDS
    """How many letters are settled in one transaction."""
    paced: Callable[[int], None] = lambda records: None
    """Waits until so many records may be put on the log."""


@dataclass
class Done:
    """What came of a wish: how many letters were settled, and why others were refused."""

    settled: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, why: str) -> None:
        """One more letter that stays as it is."""
        self.refused[why] = self.refused.get(why, 0) + 1


class Refused(Exception):
    """A letter that can't be put on the log again. Says why; never leaves this room and its callers."""


def obstacle(letter: Letter, topics: Mapping[str, Topic]) -> str | None:
    """Why a letter can't be put where it came from; None where it can."""
    try:
        sound(letter, topics)
    except Refused as error:
        return str(error)
    return None


def sound(letter: Letter, topics: Mapping[str, Topic]) -> tuple[DeadLetter, Ids]:
    """What a letter says, and the ids of its event. Raises Refused where it can't be put where it came from."""
    said = letter.said
    if said is None:
        raise Refused(f"it is no dead letter of this Choreo: {letter.wrong}")
    topic = said.origin.topic
    if not topic:
        raise Refused(
            "it is a timer, no record that could be put back; where its key waits behind it: choreo parked release KEY"
        )
    if topic not in topics:
        raise Refused(f"its topic {topic} is gone")
    if letter.ids is None:
        raise Refused("its ids can't be read: whoever read it again would make the same dead letter of it")
    if not letter.reader:
        raise Refused(
            f"it was kept for later, and only the code of its service says whether that reads {topic} by another key: "
            "give the command in the directory of the project"
        )
    return said, letter.ids


def again(letter: Letter, operation: UUID, topics: Mapping[str, Topic], wish: Marked = "handle") -> NewRecord:
    """The record of a letter for its service alone, where it came from, its bytes and key as they were; its ids as
    `ids_again` has them. Raises Refused.
    """
    headers = headers_again(letter.record.headers, ids_again(letter, operation, topics, wish))
    return _placed(letter.record, letter.record.value, headers, topics)


def ids_again(letter: Letter, operation: UUID, topics: Mapping[str, Topic], wish: Marked = "handle") -> Ids:
    """The ids of a letter's event with the mark. Raises Refused.

    They are the old ones, but for what a saga had decided that it can't use: it knows that event and would pass over a
    copy. So that has another id, the same however often it is put back, and the old event is its cause.
    """
    said, ids = sound(letter, topics)
    if said.door == "unmatched" and wish == "handle":
        ids = ids._replace(event_id=uuid8(b"redriven", ids.event_id), causation_id=ids.event_id)
    return ids._replace(again=Again(operation.bytes, letter.reader, wish))


def rewritten(letter: Letter, event: Event, ids: Ids, codec: Codec, topics: Mapping[str, Topic]) -> NewRecord:
    """The record of a letter with another event in it, under these ids. Raises Refused, and PublishError."""
    sound(letter, topics)
    _, _, value, own, _ = codec.encode(event, ids)
    names = {name for name, _ in own}
    kept = [pair for pair in letter.record.headers if pair[0] not in names]
    return _placed(letter.record, value, headers_again((*own, *kept), ids), topics)


def revalued(letter: Letter, value: bytes, ids: Ids, topics: Mapping[str, Topic]) -> NewRecord:
    """The same with another body in its value, for an event whose class is not here. Raises Refused."""
    sound(letter, topics)
    return _placed(letter.record, value, headers_again(letter.record.headers, ids), topics)


def moving(carrier: Record, ids: Ids, head: bytes, mark: Again, topics: Mapping[str, Topic]) -> NewRecord:
    """A copy of a record that is not handled itself: with the wish to wake or to drop it lets the line of its key go on
    in whose head the event `head` stands, or a timer with that id. Raises Refused.
    """
    if ids.event_id != head:
        ids = ids._replace(causation_id=head)
    return _placed(carrier, carrier.value, headers_again(carrier.headers, ids._replace(again=mark)), topics)


def edited_ids(letter: Letter, event: Event, operation: UUID, now: int) -> Ids:
    """The ids of an event that an operator made from a letter's: another fact, so another id, made from the old one, of
    which it is the effect; the same story, and the marks of the request that it may be. Raises Refused.
    """
    if letter.said is None or letter.ids is None:
        raise Refused("nobody knows which event it was")
    old = letter.ids
    made = caused_by(old, uuid8(b"edited", old.event_id, event.model_dump_json().encode()), now)
    again = Again(operation.bytes, letter.reader, "replace")
    return old._replace(event_id=made.event_id, causation_id=made.causation_id, at=made.at, again=again)


def _placed(record: Record, value: bytes | None, headers: Headers, topics: Mapping[str, Topic]) -> NewRecord:
    """In the partition from which it came, whoever chose that: its task has the state. Raises Refused."""
    marks = sum(len(name.encode()) + len(part) for name, part in headers)
    if (size := len(record.key or b"") + len(value or b"") + marks) > MAX_RECORD_BYTES:
        raise Refused(f"with its mark it has {size:,} bytes, more than a record may have")
    own = record.partition if record.offset >= 0 and record.partition < topics[record.topic].partitions else None
    return NewRecord(record.topic, record.key, value, headers, own)


class Redrive:
    """Settles the dead letters of one log. `letters` makes a reading of them, given what has become of them."""

    def __init__(
        self, log: Log, operations: Operations, letters: Callable[[Settled], Letters], scratch: Callable[[], Scratch]
    ) -> None:
        self._log, self._operations, self._letters, self._scratch = log, operations, letters, scratch

    def settle(self, service: str, wish: Wish, told: Told = untold) -> Done:
        """Do what is wished with those letters of one service that are wanted, in the order in which they failed.

        1. Take over from whoever else settles letters of this service: from here on nobody does but us.
        2. Read what has become of the letters, and sort those that are wanted.
        3. Put them on the log in batches, each in one transaction with what is said of its letters.

        Raises FencedError where somebody else took over meanwhile.
        """
        done = Done()
        writer = self._log.writer(f"choreo.{service}.letters")
        try:
            with self._scratch() as scratch:
                letters = self._letters(Settled(self._operations, scratch))
                count = self._sort(letters.of([service]), wish, scratch, done)
                for batch in _batches(_in_order(scratch), wish.most):
                    wish.paced(sum(record is not None for _, record in batch))
                    transaction = writer.begin()
                    transaction.append([record for _, record in batch if record is not None])
                    places = [place for place, _ in batch]
                    transaction.append([self._operations.settled(wish.operation, wish.outcome, wish.by, places)])
                    transaction.commit()
                    done.settled += len(batch)
                    told(done.settled, count)
        except FencedError as error:
            raise _taken_over(service, done) from error
        finally:
            writer.close()
        return done

    def _sort(self, letters: Iterator[Letter], wish: Wish, scratch: Scratch, done: Done) -> int:
        """Those that are wanted, as they are to be put on the log."""
        count = 0
        for letter in letters:
            if not wish.wanted(letter):
                continue
            try:
                record = wish.written(letter)
            except Refused as error:
                done.refuse(str(error))
                continue
            count += 1
            number = b"%016x" % count
            scratch.put(b"order " + order_of(letter) + number, number)
            scratch.put(b"letter " + number, pickle.dumps((letter.place, record)))
        return count


def _in_order(scratch: Scratch) -> Iterator[Settling]:
    for _, number in scratch.scan(b"order "):
        found = scratch.get(b"letter " + number)
        assert found is not None, "both were put there"
        yield pickle.loads(found)


def _batches(meant: Iterator[Settling], most: int) -> Iterator[list[Settling]]:
    batch: list[Settling] = []
    size = 0
    for place, record in meant:
        own = 0 if record is None else len(record.key or b"") + len(record.value or b"")
        if batch and (len(batch) == most or size + own > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((place, record))
        size += own
    if batch:
        yield batch


def _taken_over(service: str, done: Done) -> FencedError:
    return FencedError(
        f"somebody else settles the dead letters of {service} now: this order ended after {done.settled:,} of them",
        at=TOPIC,
        why="only one order at a time may put the letters of a service on the log, else one could go twice",
        hint="see choreo dead-letters list; give the order again for what is still open",
    )


def order_of(letter: Letter) -> bytes:
    """Orders letters as their service gave up on them: by when, and in one reading of the clock by when they were
    emitted, then as they lay. So those of one key keep their order.
    """
    if letter.said is None:
        return _ORDER.pack(0, 0)
    emitted = letter.ids.at if letter.ids else 0
    topic, partition, offset = letter.said.origin
    where = topic.encode() + b"\0" + _OFFSETS.pack(max(partition, 0), offset + 1)
    return _ORDER.pack(letter.said.at + _EPOCH, emitted + _EPOCH) + where
