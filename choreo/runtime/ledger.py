"""The ledger of a task: what its handlings came to since the last checkpoint, until the checkpoint takes it."""

from choreo.errors import ChoreoError
from choreo.events.envelope import HEADER, Ids, pack
from choreo.events.wire import ORIGINAL_KEY
from choreo.record import NewRecord, Position, Record
from choreo.resilience.dead_letter import DeadLetter, Door, describe
from choreo.runtime.entries import Entries
from choreo.runtime.handling import Outcome
from choreo.runtime.intake import STORY, Input, story_of
from choreo.runtime.lane import TaskLane
from choreo.runtime.log_fields import event_name
from choreo.runtime.observer import SILENT, AttemptFailed, DeadLettered, Observer, Subject
from choreo.runtime.outputs import Returned
from choreo.runtime.plan import Invocation
from choreo.service.service import Service


class Ledger:
    """Effects that were kept: entries, outputs, dead letters."""

    def __init__(self, service: Service, partition: int, entries: Entries) -> None:
        self.now = 0
        """What handlings are told (microseconds)."""
        self.outputs: list[NewRecord | Returned] = []
        self.observer: Observer = SILENT
        self._service = service
        self._partition = partition
        self._entries = entries

    def take(self) -> list[NewRecord | Returned]:
        """What is to be published."""
        outputs, self.outputs = self.outputs, []
        return outputs

    def settle(self, given: Input, lane: TaskLane, outcome: Outcome) -> None:
        """A handling ended well: its effects are the task's."""
        self.forget_timer(given)
        if lane.timers:
            story = story_of(given.ids)
            for timer, due in lane.timers.items():
                self._entries.put(STORY.encode(timer), None if due is None else story)
        lane.keep()
        self.outputs += outcome.outputs
        if outcome.unmatched or outcome.relays:
            self._hand_on(given, outcome)

    def _hand_on(self, given: Input, outcome: Outcome) -> None:
        """Dead letters and relayed records."""
        record = given.waiting.record
        for reason, kept in outcome.unmatched:
            original = record
            if kept is not None:
                original = Record(kept.topic, self._partition, -1, self.now // 1000, kept.key, kept.value, kept.headers)
            if original is not None:
                subject = self._subject(given, None)
                self._bury(original, "unmatched", ChoreoError(reason), given.waiting.attempts, subject)
        if record is not None:
            self.outputs.extend(_relayed(record, given.ids, topic, key) for topic, key in outcome.relays)

    def forget_timer(self, given: Input) -> None:
        """A timer that had its turn belongs to no story any more."""
        if given.waiting.timer:
            self._entries.put(STORY.encode(given.waiting.timer), None)

    def bury_input(self, given: Input, door: Door, error: Exception, attempts: int, handler: str | None = None) -> None:
        """Make a dead letter of an input; a timer leaves one without bytes."""
        original = given.waiting.record or Record("", self._partition, -1, 0, given.key, None)
        self._bury(original, door, error, attempts, self._subject(given, handler))

    def bury(self, record: Record, door: Door, error: Exception, attempts: int) -> None:
        """Write a dead letter: the record's bytes intact, with cause and origin."""
        subject = Subject(self._service.name, self._partition, None, None, record.position, None)
        self._bury(record, door, error, attempts, subject)

    def failed(
        self, given: Input, invocation: Invocation, attempt: int, error: Exception, wait_s: float | None
    ) -> None:
        """Tell of an attempt that failed; `wait_s` as `next_wait_s` answers it."""
        wait_us = None if wait_s is None else round(wait_s * 1_000_000)
        subject = self._subject(given, invocation.signature.name)
        self.observer.saw(AttemptFailed(subject, attempt, error, wait_us, self.now))

    def _subject(self, given: Input, handler: str | None) -> Subject:
        record = given.waiting.record
        event = event_name(given.arguments, given.invocations[0].method.name)
        place = None if record is None else record.position
        return Subject(self._service.name, self._partition, handler, event, place, given.ids)

    def _bury(self, record: Record, door: Door, error: Exception, attempts: int, subject: Subject) -> None:
        origin = Position(record.topic, record.partition, record.offset)
        letter = DeadLetter(
            self._service.name, door, type(error).__name__, describe(error), origin, attempts, self.now, subject.handler
        )
        self.outputs.extend(letter.records(record, f"{self._service.scope}.dead-letters"))
        self.observer.saw(DeadLettered(subject, door, error, attempts, self.now))


def _relayed(record: Record, ids: Ids, topic: str, key: bytes) -> NewRecord:
    """The record as it is, ids and bytes, under another key; the one that it had may hold a field of the event.

    What was put on the log again for this relay alone is meant for the service that reads what it relays.
    """
    if ids.again is not None and ids.again.only:
        reader = topic.removeprefix("choreo.").partition(".by-")[0]
        ids = ids._replace(again=ids.again._replace(only=reader))
    headers = [(HEADER, pack(ids)), *(pair for pair in record.headers if pair[0] != HEADER)]
    if record.key not in (None, key) and all(name != ORIGINAL_KEY for name, _ in headers):
        headers.append((ORIGINAL_KEY, record.key or b""))
    return NewRecord(topic, key, record.value, headers)
