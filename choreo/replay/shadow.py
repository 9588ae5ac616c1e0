"""replay shadow: other code over the recorded log, and what it does otherwise. Nothing is sent, nothing is called.

Its inputs come in the order and at the times of the journal. What it publishes is held against the log, its stores
against the changelog: the code that ran live is not run again.
"""

import json
import marshal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from choreo.errors import ConfigError, DecodeError, UnknownSchemaError
from choreo.events.bodies import Bodies
from choreo.events.codec import Codec
from choreo.events.overlaid import OverlaidRegistry
from choreo.log.up_to import read_whole
from choreo.record import Position, Record, TopicPartition
from choreo.replay.contrast import Contrast, Served
from choreo.replay.deviations import Deviation, Report, Side, Upon, What
from choreo.replay.emissions import Place
from choreo.replay.foresight import Foresight
from choreo.replay.leeway import Leeway, Stub, away
from choreo.replay.likeness import Compare, Likeness, comparison
from choreo.replay.naming import entry_of
from choreo.replay.pages import Journal
from choreo.replay.points import Moment, Point, checkpoint_before
from choreo.replay.rebuild import Rebuild
from choreo.replay.recorded import entries_behind
from choreo.replay.sample import EVERY, Sample
from choreo.replay.sandbox import Sandbox
from choreo.replay.verify import Beside, Progress
from choreo.replay.verify import untold as untold_checkpoints
from choreo.runtime.observer import AttemptFailed, Happening, Observer
from choreo.runtime.plan import plan_of
from choreo.state.backend import Backend
from choreo.state.changelog import entries
from choreo.told import Told, untold

INSTANCES = "instances"
"""The store of a coordinator in which its sagas stand."""


@dataclass(frozen=True)
class Window:
    """Which part of the past is run again: from the first checkpoint that goes beyond the moment `first` or holds that
    input, to the last that does not go beyond the moment `last` or holds that input; and of that the stories of
    `sample`. None: all.
    """

    first: Point | None = None
    last: Point | None = None
    sample: Sample = EVERY

    @property
    def task(self) -> int | None:
        """The task of which alone it is a part: an input is a point of its own task. None: all."""
        return next((one.partition for one in (self.first, self.last) if isinstance(one, Position)), None)


@dataclass(frozen=True)
class Telling:
    """Who hears how far a shadow run is: in the checkpoints of each task, and in the records of what it emits."""

    checkpoints: Progress = untold_checkpoints
    records: Told = untold


class Failures(Observer):
    """Counts attempts that failed, by handler and error."""

    def __init__(self, counts: Counter[tuple[str, str]]) -> None:
        self._counts = counts

    def saw(self, happening: Happening) -> None:
        if isinstance(happening, AttemptFailed):
            self._counts[happening.subject.handler or "?", type(happening.error).__name__] += 1


class Shadow:
    """One service with other code. `sandbox` holds the new code, `live` says what the log's side is known by."""

    def __init__(self, sandbox: Sandbox, live: Served, window: Window | None = None, stub: Stub = away) -> None:
        self.first_spec: str | None = None
        """The digest of the saga spec that new instances follow; None for those that were at work."""
        self._sandbox, self._live, self._window, self._stub = sandbox, live, window or Window(), stub
        self._log, self._service = sandbox.log, sandbox.service
        self._registry = OverlaidRegistry(sandbox.registry)
        self._bodies = Bodies(self._registry)
        self._plan = plan_of(sandbox.service)
        self._codec = Codec(self._registry, self._plan.classes, self._log.cluster_id(), topics=self._plan.sources)
        self._report = Report(sandbox.service.name)
        self._spans: dict[int, dict[str, list[int]]] = {}
        """The first and the last offset that were come to of each input, by task; -1 for none."""
        self._from, self._until = 1 << 62, 0
        """Between which moments the tasks were at work."""

    def run(self, telling: Telling | None = None) -> Report:
        """Run it, and report. Raises DivergenceError where the log does not have what the journal names."""
        telling, report = telling or Telling(), self._report
        backends = self._sandbox.scratch()
        try:
            rooms = {name: backends.open(name) for name in ("unlike", "upon", "stories", "stored")}
            contrast = Contrast(self._service, self._codec, backends, self._log, self._live, self._bodies)
            tasks = range(self._sandbox.partitions) if self._window.task is None else (self._window.task,)
            report.tasks = len(tasks)
            for partition in tasks:
                self._redo(partition, contrast, rooms["stored"], telling.checkpoints)
            report.emissions = contrast.count
            if contrast.unlike(rooms["unlike"], telling.records):
                self._find_causes(rooms["unlike"], rooms["upon"])
            self._sort(contrast, rooms)
            self._sort_stored(rooms)
            for one in _by_story(rooms["stories"]):
                report.add(one)
        finally:
            backends.close()
        return report

    # -- the new code --------------------------------------------------------------------------------------------------

    def _redo(self, partition: int, contrast: Contrast, stored: Backend, progress: Progress) -> None:
        """Run one task through its part of the journal, and compare its stores."""
        journal = Journal(self._log, self._service.scope, partition)
        after, until = self._part(journal)
        backends = self._sandbox.scratch()
        try:
            scratch = backends.open("new")
            changelog = TopicPartition(f"{self._service.scope}.changelog", partition)
            if after and not entries_behind(self._log, changelog, after, scratch).whole:
                raise ConfigError(
                    f"the stores before checkpoint {after} are not known any more",
                    at=changelog,
                    why="newer values have replaced older ones on the changelog",
                    hint="leave --from out",
                )
            foresight = Foresight(self._log, self._service.scope, partition, backends.open("foresight"))
            leeway = Leeway(self._codec, foresight, self._report.seen, self._stub, self._chooser(partition))
            leeway.first_spec = self.first_spec
            rebuild = Rebuild(
                self._service, partition, self._log, self._registry, scratch, settings=self._sandbox.settings
            )
            try:
                self._drive(rebuild, leeway, contrast, (until, progress))
                # Kept over all tasks: fields are held against each other once the last of them is done.
                contrast.met_erased |= rebuild.codec.erased > 0
            finally:
                rebuild.close()
            if not self._window.sample.everything:
                self._leave_out("stores", "of a sample: others write to them too")
                return
            live = backends.open("live")
            if entries_behind(self._log, changelog, until, live).whole or self._window.last is None:
                alike = comparison(self._service, live, lambda: rebuild.codec.erased > 0)
                self._compare(partition, (live, scratch), stored, alike)
            else:
                self._leave_out("stores", "behind --to: newer values have replaced older ones on the changelog")
        finally:
            backends.close()

    def _drive(self, rebuild: Rebuild, leeway: Leeway, contrast: Contrast, span: tuple[int, Progress]) -> None:
        until, progress = span
        task, report = rebuild.task, self._report
        task.observe(Failures(report.failures))
        leeway.at_work(task)
        rebuild.latitude = leeway
        began, checkpoint, topics = time.perf_counter(), 0, set[str]()
        for page, _, outputs in rebuild.run(until):
            self._from = min(self._from, task.now) if task.now else self._from
            checkpoint = page.checkpoint
            topics.update(page.topics)
            contrast.published(Place(task.partition, checkpoint), outputs)
            report.checkpoints += 1
            progress(task.partition, checkpoint, until)
        contrast.published(Place(task.partition, checkpoint), rebuild.settle())
        report.busy_s += time.perf_counter() - began
        report.inputs += task.handled
        self._until = max(self._until, task.now)
        unread = [topic for topic in self._plan.topics if topic not in topics] if topics else []
        report.unread = tuple(dict.fromkeys([*report.unread, *unread]))

    def _part(self, journal: Journal) -> tuple[int, int]:
        """Behind which checkpoint the part begins that is run, and its last one."""
        first, last = self._window.first, self._window.last
        after = 0 if first is None else checkpoint_before(journal, first)
        end = None if last is None else checkpoint_before(journal, last)
        until = journal.last()
        if end is not None:
            until = min(end if isinstance(last, Moment) else end + 1, until)
        return until if after is None else min(after, until), until

    def _chooser(self, partition: int) -> Callable[[Record], bool]:
        """Which inputs the new code handles; notes how far it came."""
        sample, codec, everything = self._window.sample, self._codec, self._window.sample.everything
        spans = {topic: [-1, -1] for topic in self._plan.routes}
        self._spans[partition] = spans

        def chosen(record: Record) -> bool:
            topic, _, offset, _, _, _, _ = record
            span = spans.get(topic)
            if span is None:
                return False
            if span[0] < 0:
                span[0] = offset
            span[1] = offset
            return everything or sample.takes(_story(record, codec))

        return chosen

    def _leave_out(self, what: str, why: str) -> None:
        said = f"{what} {why}"
        if said not in self._report.partial:
            self._report.partial = (*self._report.partial, said)

    # -- both sides ----------------------------------------------------------------------------------------------------

    def _compare(self, partition: int, both: tuple[Backend, Backend], stored: Backend, alike: Compare) -> None:
        """Entries that differ in more than what was erased go to `stored`."""
        live, new = both
        beside = Beside(entries(live), entries(new))
        batch: dict[bytes, bytes | None] = {}
        for key, theirs, ours in beside.differences():
            if theirs is not None and ours is not None and alike(key, theirs, ours) is not Likeness.OTHER:
                continue
            batch[partition.to_bytes(4, "big") + key] = marshal.dumps((theirs, ours))
            if len(batch) >= 1000:
                stored.write(batch)
                batch = {}
        stored.write(batch)
        self._report.entries += beside.entries

    def _find_causes(self, unlike: Backend, upon: Backend) -> None:
        """Look for the inputs upon which anything differs: their names, and where they lie."""
        for records in read_whole(self._log, self._plan.topics):
            batch: dict[bytes, bytes | None] = {}
            for record in records:
                try:
                    event_id = self._codec.ids(record).event_id
                except DecodeError:
                    continue
                if next(unlike.scan(event_id), None) is not None:
                    name = _name(self._bodies, record)
                    batch[event_id] = marshal.dumps((name, record.topic, record.partition, record.offset, record.key))
            upon.write(batch)

    def _sort(self, contrast: Contrast, rooms: dict[str, Backend]) -> None:
        """What differs among the events, by story and time."""
        for number, (event_id, one) in enumerate(contrast.deviations(rooms["unlike"])):
            cause = self._cause(rooms["upon"], event_id)
            if self._judged(one, cause):
                key = _story_key(one.story) + (one.at or 0).to_bytes(8, "big") + number.to_bytes(8, "big")
                told = Upon(*cause) if cause else None
                rooms["stories"].write({key: marshal.dumps(_plain(one._replace(upon=told)))})
                rooms["upon"].write({b"key" + one.key.encode(): one.story.encode()})

    def _sort_stored(self, rooms: dict[str, Backend]) -> None:
        """What differs among the entries, each with the story that an event of its key differs in."""
        keepers: dict[str, tuple[str, ...]] = {}
        naming = self._sandbox.naming()
        for number, (place, packed) in enumerate(rooms["stored"].scan()):
            live, new = marshal.loads(packed)
            store, parts = entry_of(place[4:])
            texts = [part.decode(errors="replace") if isinstance(part, bytes) else str(part) for part in parts]
            key, first = "/".join(texts), texts[0] if texts else ""
            story = rooms["upon"].get(b"key" + first.encode())
            what, fields = _unlike_values(store, live, new)
            if what == "end":
                self._report.ends[_status(live), _status(new)] += 1
            handlers = keepers.setdefault(store, tuple(naming.keepers(store)))
            told = first if story is None else story.decode()
            saga = self._service.name.removeprefix("saga.") if what == "end" else None
            one = Deviation(what, store, handlers, told, key, 0, fields, saga, None, live, new)
            last = b"\xff" * 8 + number.to_bytes(8, "big")  # behind every event: it came to be so in the end
            rooms["stories"].write({_story_key(told) + last: marshal.dumps(_plain(one))})

    def _cause(self, upon: Backend, event_id: bytes) -> tuple[str, bytes, str, str] | None:
        found = upon.get(event_id)
        if found is None:
            return None
        name, topic, partition, offset, key = marshal.loads(found)
        return name, event_id, (key or b"").decode(errors="replace"), f"{topic}[{partition}]@{offset}"

    def _judged(self, one: Deviation, cause: tuple[str, bytes, str, str] | None) -> bool:
        """Whether the new code had the chance to do as the live one did: it was given what brought it about."""
        if one.new is not None:
            return True
        if cause is None:  # a timer
            if self._window.task is not None:
                self._leave_out(
                    "events upon timers that are missing", "of one task: nobody knows whose timers they were"
                )
                return False
            return self._from <= one.at <= self._until and self._window.sample.knows(one.story)
        topic, _, rest = cause[3].partition("[")
        partition, offset = map(int, rest.split("]@"))
        first, last = self._spans.get(partition, {}).get(topic, (-1, -1))
        return 0 <= first <= offset <= last and self._window.sample.knows(one.story)


def _by_story(room: Backend) -> Iterator[Deviation]:
    """Everything that differs, story by story; the first of each is its cause."""
    before = b""
    for key, packed in room.scan():
        one = Deviation(*marshal.loads(packed))
        live, new, upon = one.live, one.new, one.upon
        yield one._replace(
            cause=key[:16] != before,
            upon=None if upon is None else Upon(*upon),
            live=_side(live),
            new=_side(new),
        )
        before = key[:16]


def _plain(one: Deviation) -> Any:
    """As marshal takes it: plain tuples."""
    return tuple(tuple(part) if isinstance(part, tuple) else part for part in one)


def _side(packed: object) -> Side | bytes | None:
    return Side(*packed) if isinstance(packed, tuple) else packed  # type: ignore[return-value]  # bytes or None


def _story(record: Record, codec: Codec) -> str:
    try:
        return codec.ids(record).correlation_id
    except DecodeError:
        return ""


def _story_key(story: str) -> bytes:
    return blake2b(story.encode(), digest_size=16).digest()


def _name(bodies: Bodies, record: Record) -> str:
    try:
        return bodies.name(record)
    except (DecodeError, UnknownSchemaError):
        return f"a record of {record.topic}"


def _fields_of(value: bytes | None) -> dict[str, object] | None:
    """The fields of a store's value that has any."""
    try:
        found = None if value is None else json.loads(value[1:])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _unlike_values(store: str, live: bytes | None, new: bytes | None) -> tuple[What, tuple[str, ...]]:
    """Whether it is an entry or how a saga stands in the end, and which fields differ."""
    mine, theirs = _fields_of(live), _fields_of(new)
    what: What = "end" if store == INSTANCES and _status(live) != _status(new) else "entry"
    if mine is None or theirs is None:
        return what, ()
    return what, tuple(name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name))


def _status(value: bytes | None) -> str:
    """How a saga stands, by its entry."""
    return str((_fields_of(value) or {}).get("status", "none"))
