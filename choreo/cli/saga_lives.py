"""All sagas of one coordinator, one after the other, each with its changes and what its coordinator took for it.

Changes and inputs lie in many places of the log: a scratch store brings them together, so that memory stays flat.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from choreo.cli.judged import Known
from choreo.cli.project import Project
from choreo.cli.records import Bodies
from choreo.cli.saga_past import STARTED, Pasts, Told, told_of
from choreo.cli.saga_rows import CLOCKS_APART_MS, lifecycle_topic, lifecycle_topics
from choreo.cli.scratch import Batched, loaded, scratch
from choreo.cli.story_code import Code
from choreo.cli.time_span import TimeSpan, read_span
from choreo.clock import to_micros
from choreo.errors import ChoreoError, DecodeError, DivergenceError
from choreo.events.codec import Codec
from choreo.log.up_to import places_on, read_up_to
from choreo.record import Record
from choreo.replay.conformance import Change, Heard, Life
from choreo.replay.walk import Rang, Stride, Took, walk
from choreo.saga.lifecycle import SagaChanged, lifecycle_event
from choreo.saga.refold import History
from choreo.saga.rules import Spec
from choreo.saga.shelf import shelf
from choreo.state.backend import Backend
from choreo.state.keys import key_codec

KEYS = key_codec("lives", tuple[bytes, int, int])
"""The saga's key; 0 for a change, 1 for what its task did; and the order."""

NEAR_THE_END = 10
"""Records at the end of a partition among which a change is looked for; some are markers of transactions."""


class Lives:
    """The sagas of one coordinator that started within a span of time."""

    def __init__(self, project: Project, known: Known, code: Code, span: TimeSpan) -> None:
        self._project, self._known, self._code, self._span = project, known, code, span
        self._saga = known.service.name.removeprefix("saga.")
        self._pasts = Pasts(project, known.service)
        self._bodies = Bodies(project.registry)
        self._changes = Codec(project.registry, [lifecycle_event(self._saga)], project.past.cluster_id())
        self._torn: dict[int, str] = {}
        """By task, why what it took can't be told in its order, where it can't."""

    def __iter__(self) -> Iterator[Life]:
        """One after the other, by their keys."""
        with scratch(self._project) as backend:
            started = self._gather_changes(backend)
            self._gather_strides(backend)
            rows = ((KEYS.decode(key), value) for key, value in backend.scan(KEYS.start))
            with self._project.progress.of("judging", "sagas") as told:
                done = 0
                for key, group in groupby(rows, lambda row: row[0][0]):
                    for life in self._lives(key, [(kind, loaded(value)) for (_, kind, _), value in group]):
                        yield life
                        done += 1
                        told(done, max(done, started))

    def _gather_changes(self, backend: Backend) -> int:
        """Answers how many sagas started. It comes first: what is handled meanwhile is among the inputs, untold."""
        kept, log, started = Batched(backend), self._project.past, 0
        with self._project.progress.of("changes of sagas", "records") as told:
            changes = read_span(log, [lifecycle_topic(self._saga)], TimeSpan(self._span.since), told)
            for number, record in enumerate(changes):
                if (change := self._change(record)) is not None:
                    kept.put(KEYS.encode((record.key or b"", 0, number)), change)
                    started += change[-1]
        kept.flush()
        return started

    def _gather_strides(self, backend: Backend) -> None:
        kept, log, scope = Batched(backend), self._project.past, self._known.service.scope
        journal = log.topics().get(f"{scope}.journal")
        from_then = None if self._span.since is None else self._span.since - CLOCKS_APART_MS * 1000
        with self._project.progress.of("what the coordinator took", "inputs") as told:
            done, total = 0, self._pasts.inputs_on_log(TimeSpan(from_then))
            for task in range(journal.partitions if journal is not None else 0):
                try:
                    for stride in walk(log, scope, task, from_then):
                        done += 1
                        if (key := self._pasts.key_of(stride)) is not None:
                            kept.put(KEYS.encode((key, 1, done)), (task, _plain(stride)))
                        if done % 1000 == 0:
                            told(done, max(done, total))
                except DivergenceError as error:
                    self._torn[task] = error.message
        kept.flush()

    def _change(self, record: Record) -> tuple[Any, ...] | None:
        try:
            told = self._changes.event(record)
        except DecodeError:
            return self._as_written(record)
        assert isinstance(told, SagaChanged)
        says, status, at = told.change, str(told.status), to_micros(told.at)
        return told.caused_by.bytes, at, told.digest, status, told.reason, told.steps, says[:1] == (STARTED,)

    def _as_written(self, record: Record) -> tuple[Any, ...] | None:
        """A change that was written by a later release, say."""
        try:
            body = self._bodies.read(record)
            says, steps = list(map(str, body["change"])), {str(k): str(v) for k, v in body["steps"].items()}
            caused_by = UUID(str(body["caused_by"])).bytes
            status, reason = str(body["status"]), body["reason"]
            return caused_by, to_micros(body["at"]), str(body["digest"]), status, reason, steps, says[0] == STARTED
        except (ChoreoError, KeyError, ValueError, IndexError):
            return None  # no change of a saga: `choreo sagas list` counts them

    def _lives(self, key: bytes, rows: Sequence[tuple[int, Any]]) -> Iterator[Life]:
        """A key may be started again, long after its end."""
        changes = [row for kind, row in rows if kind == 0]
        strides = [_stride(row[1]) for kind, row in rows if kind == 1]
        torn = next((self._torn[row[0]] for kind, row in rows if kind == 1 and row[0] in self._torn), None)
        torn = torn or ("" if strides else next(iter(self._torn.values()), ""))
        starts = [number for number, row in enumerate(changes) if row[-1]]
        for number, start in enumerate(starts):
            end = starts[number + 1] if number + 1 < len(starts) else len(changes)
            own = [Change(*row[:-1]) for row in changes[start:end]]
            later = changes[end][0] if end < len(changes) else None
            if self._span.since is not None and own[0].at < self._span.since:
                continue
            if self._span.until is None or own[0].at < self._span.until:
                yield self._life(key.decode("utf-8", "backslashreplace"), own, self._before(strides, later), torn)

    def _before(self, strides: Sequence[Stride], event_id: bytes | None) -> Sequence[Stride]:
        """What the task did before it took the event with which another life begins."""
        for number, stride in enumerate(strides if event_id is not None else ()):
            if isinstance(stride, Took) and self._heard(stride, event_id) is not None:
                return strides[:number]
        return strides

    def _life(self, key: str, changes: Sequence[Change], strides: Sequence[Stride], torn: str) -> Life:
        told = [Told(one.caused_by, one.at, one.digest, number == 0) for number, one in enumerate(changes)]
        past: History | str = torn or self._pasts.lived(key, strides, told)
        specs: Mapping[str, Spec] = self._known.specs
        if isinstance(past, History) and not _all_known(past, changes, specs):
            past = "a version that it has followed can't be read here"
        heard = [one for stride in strides if isinstance(stride, Took) and (one := self._heard(stride)) is not None]
        first = next((n for n, one in enumerate(heard) if one.event_id == changes[0].caused_by), 0)
        return Life(key, changes, heard[first:], past, specs)

    def _heard(self, took: Took, only: bytes | None = None) -> Heard | None:
        """The event of a record; None for an operator's command, and for another than the `only` one."""
        record = took.record
        if record.topic.startswith("choreo.saga.") and ".by-" not in record.topic:
            return None
        try:
            ids = self._code.codec.ids(record)
            if only is not None and ids.event_id != only:
                return None
            author = None if only is not None else self._code.origins.of(ids)
            return Heard(ids.event_id, self._code.name(record), ids.at, took.now, ids.causation_id, author)
        except (ChoreoError, DecodeError):
            return None


def _all_known(past: History, changes: Sequence[Change], specs: Mapping[str, Spec]) -> bool:
    return {past.digest, *(one.digest for one in changes)} <= specs.keys()


def _plain(stride: Stride) -> tuple[Any, ...]:
    if isinstance(stride, Rang):
        return tuple(stride)
    record = stride.record
    return stride.now, (*record[:6], [tuple(header) for header in record.headers])


def _stride(row: tuple[Any, ...]) -> Stride:
    return Took(row[0], Record(*row[1])) if len(row) == 2 else Rang(*row)


def last_digest(project: Project, saga: str) -> str:
    """The spec that sagas follow: the one deployed last; where none was, as for a sample, that of the last change.

    Raises ConfigError where no such saga has run on the log.
    """
    (topic,) = lifecycle_topics(project, [saga])
    if deployed := shelf(project.past, saga):
        return deployed[-1].digest
    places = places_on(project.past, [topic])
    starts, ends = project.past.starts(places), project.past.ends(places)
    behind = {place: max(starts[place], ends[place] - NEAR_THE_END) for place in places}
    bodies = Bodies(project.registry)
    for records, _ in read_up_to(project.past, behind, ends):
        for record in records:
            if (told := told_of(bodies, record)) is not None:
                return told.digest
    return ""
