"""replay verify: is what the service left behind what the log says? Redo it in a scratch place and compare.

Three things are compared: the entries of the stores, in key order; what each checkpoint wrote to the changelog, as far
as that was not compacted; and every event that was emitted. Where snapshots tell which code ran when, each build's part
of the past is judged by itself: it starts at what the build found.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from uuid import uuid4

from choreo.errors import DivergenceError
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.replay.changes import Changes, Rewritten
from choreo.replay.emissions import Emissions, Place, Unlike, cause_of
from choreo.replay.findings import Difference, Verdict
from choreo.replay.likeness import Compare, Likeness, comparison
from choreo.replay.locate import Suspect, locate
from choreo.replay.naming import entry_of
from choreo.replay.notes import Note, Notes
from choreo.replay.sandbox import Sandbox
from choreo.replay.segments import Segment, segments_of
from choreo.resilience.operations import TOPIC as OPERATIONS
from choreo.runtime.build import build_of
from choreo.service.service import Service
from choreo.state.backend import Backend
from choreo.state.changelog import entries
from choreo.state.rebuilt import RebuiltTo, rebuilt_to
from choreo.told import Told
from choreo.told import untold as untold_emissions

Progress = Callable[[int, int, int], None]
"""Told the partition, how many checkpoints of it were redone, and how many there are."""
FORMAT = 2
"""Of what outlives an interruption."""
KEPT = 20
"""So many of each kind of difference are looked into."""
MOST_NOTED = 10_000


def untold(partition: int, done: int, total: int) -> None:
    """Nobody listens."""


def verify(
    service: Service,
    log: Log,
    registry: Registry,
    live: Callable[[int], Backend],
    progress: Progress = untold,
    settings: object = None,
) -> Verdict:
    """Redo every task of `service` from `log` and compare it with `live(partition)`, whose worker must stand still.

    In memory; `settings` are the service's own, where it has any.
    """
    return Verification(Sandbox(service, log, registry, settings), live).run(progress)


class Verification:
    """One service, all its tasks."""

    def __init__(self, sandbox: Sandbox, live: Callable[[int], Backend]) -> None:
        self._sandbox, self._live = sandbox, live
        self._build = build_of(sandbox.service)
        self._verdict = Verdict(sandbox.service.name, build=self._build)
        self._segments: list[Segment] = []
        self._builds: set[str | None] = set()
        """Which code made them."""
        self._suspects: list[Suspect] = []
        self._rebuilt: dict[int, RebuiltTo] = {}
        """How far the stores of each task were rebuilt."""
        self._erased = 0
        """Fields that the replay of the task at hand met erased."""
        self._stores = blake2b(digest_size=16)
        """Of the live entries of the task at hand."""
        self._written: set[tuple[int, bytes]] = set()
        """Entries that a checkpoint wrote otherwise: that they differ in the end needs no cause of its own."""

    def run(self, progress: Progress = untold, emissions_told: Told = untold_emissions) -> Verdict:
        """Compare everything, telling how far it is.

        Raises what can't be read, and StateInUseError where the service is at work.
        """
        sandbox, verdict = self._sandbox, self._verdict
        verdict.partitions = sandbox.partitions
        with sandbox.lasting() as backends:
            repeated = OPERATIONS in sandbox.log.topics()
            emissions = Emissions(sandbox.service, sandbox.codec(), backends, sandbox.log, repeated=repeated)
            self._redo_all(Notes(backends.open("notes"), self._rests_on(repeated)), emissions, progress)
            if not verdict.divergences:  # a task that was not redone to its end published too little
                for unlike in emissions.compare(emissions_told):
                    self._saw_unlike(unlike)
            verdict.emissions = emissions.count
        verdict.findings = locate(sandbox, self._suspects)
        return verdict

    def _rests_on(self, repeated: bool) -> str:
        """What must be the same for a task that was redone before to be as it was; an id that may have been published
        twice can't be told from one that was noted twice, so then nothing is.
        """
        log, scope = self._sandbox.log, self._sandbox.service.scope
        names = [f"{scope}.journal", *(name for name in (f"{scope}.changelog",) if name in log.topics())]
        ends = log.ends([TopicPartition(name, n) for name in names for n in range(self._verdict.partitions)])
        return repr((FORMAT, log.cluster_id(), self._build, sorted(ends.items()), uuid4().hex if repeated else ""))

    def _redo_all(self, notes: Notes, emissions: Emissions, progress: Progress) -> None:
        """Every task, but for those that came out clean before an interruption."""
        verdict = self._verdict
        if notes.fresh:
            emissions.forget()
        self._segments = [one for number in range(verdict.partitions) for one in segments_of(self._sandbox, number)]
        self._builds = {segment.build for segment in self._segments}
        for number in range(verdict.partitions):
            segments = [segment for segment in self._segments if segment.partition == number]
            note = notes.of(number)
            if note is not None and note.stores == self._digest_of(segments):
                self._take_over(note, emissions)
                with segments[-1].left(self._live) as live:
                    self._rebuilt[number] = rebuilt_to(live)
                continue
            before, faults, self._stores = _counted(verdict, emissions), verdict.faults, blake2b(digest_size=16)
            for segment in segments:
                self._redo(segment, emissions, progress)
            emissions.flush()
            if verdict.faults == faults and not verdict.older:
                counts = (a - b for a, b in zip(_counted(verdict, emissions), before, strict=True))
                made, took, held, erased, said = counts
                where, stores = emissions.topics, self._stores.hexdigest()
                notes.add(number, Note(made, took, held, erased, said, sorted(verdict.builds), where, stores))

    def _digest_of(self, segments: list[Segment]) -> str:
        """Of the stores of one task as they are now: somebody may have changed them since they came out clean."""
        stores = blake2b(digest_size=16)
        for segment in segments:
            with segment.left(self._live) as live:
                for _ in _taken_in(stores, live):
                    pass
        return stores.hexdigest()

    def _take_over(self, note: Note, emissions: Emissions) -> None:
        self._verdict.checkpoints += note.checkpoints
        self._verdict.inputs += note.inputs
        self._verdict.entries += note.entries
        self._verdict.erased += note.erased
        self._verdict.builds |= set(note.builds)
        emissions.remember(note.published, note.topics)

    def _redo(self, segment: Segment, emissions: Emissions, progress: Progress) -> None:
        sandbox, verdict, partition = self._sandbox, self._verdict, segment.partition
        place = TopicPartition(f"{sandbox.service.scope}.changelog", partition)
        with segment.left(self._live) as live:
            self._rebuilt[partition] = rebuilt_to(live)
            alike = comparison(sandbox.service, live, lambda: self._erased > 0)
            changes = Changes(sandbox.log, place, segment.changelog_offset, segment.after, alike)
            try:
                with sandbox.redoing(partition, segment.start) as (rebuild, scratch):
                    for done, (page, logged, outputs) in enumerate(rebuild.run(segment.last), 1):
                        verdict.checkpoints += 1
                        verdict.builds.add(page.build)
                        self._erased = rebuild.codec.erased
                        emissions.met_erased = self._erased > 0
                        emissions.published(Place(partition, page.checkpoint), outputs)
                        for rewritten in changes.redone(page.checkpoint, logged):
                            self._saw_rewritten(segment, rewritten)
                        progress(partition, segment.after + done, segment.last)
                    verdict.inputs += rebuild.task.handled
                    self._compare(segment, live, scratch, alike)
            except DivergenceError as error:
                verdict.divergences.append(str(error))
            finally:
                changes.close()

    def _compare(self, segment: Segment, live: Backend, scratch: Backend, alike: Compare) -> None:
        """The stores in the end."""
        beside = Beside(_taken_in(self._stores, live), entries(scratch))
        for key, theirs, ours in beside.differences():
            likeness = alike(key, theirs, ours) if theirs is not None and ours is not None else Likeness.OTHER
            self._verdict.erased += likeness is Likeness.ERASED
            if likeness is Likeness.OTHER and self._counts(segment):
                store, parts = entry_of(key)
                self._verdict.saw(Difference(segment.partition, store, parts, theirs, ours))
                if (segment.partition, key) not in self._written:
                    self._suspect(Suspect("entry", segment.partition, None, key, theirs, ours))
        self._verdict.entries += beside.entries

    def _saw_rewritten(self, segment: Segment, one: Rewritten) -> None:
        if one.checkpoint <= self._rebuilt[segment.partition].checkpoint:
            self._verdict.older += 1
        elif self._counts(segment):
            self._verdict.rewritten += 1
            if len(self._written) < MOST_NOTED:
                self._written.add((segment.partition, one.key))
            self._suspect(Suspect("write", segment.partition, one.checkpoint, one.key, one.live, one.replayed))

    def _saw_unlike(self, one: Unlike) -> None:
        """An event that is on the log otherwise than in the replay, or on one side only."""
        partition, checkpoint = one.place or (None, None)
        if one.kind == "erased":
            self._verdict.erased += 1
            return
        if self._was_rebuilt(one):
            self._verdict.older += 1
            return
        its = [s for s in self._segments if s.partition == partition and s.after < (checkpoint or 0) <= s.last]
        if not its or self._counts(its[0]):
            self._verdict.unlike += 1
            cause_id = cause_of(one.live) if one.place is None and one.live is not None else None
            self._suspect(Suspect("event", partition, checkpoint, one.event_id, one.live, cause_id=cause_id))

    def _was_rebuilt(self, one: Unlike) -> bool:
        """Whether it was emitted, or not, before the stores of its task were rebuilt by other code."""
        if one.place is not None:
            return one.place.checkpoint <= self._rebuilt[one.place.partition].checkpoint
        when = None if one.live is None else self._sandbox.codec().emitted_at(one.live)
        return when is not None and when <= min(to.now for to in self._rebuilt.values())

    def _counts(self, segment: Segment) -> bool:
        """Whether what differs there is a fault; where other code ran, and that at hand has taken over since, it is
        none, and counted by itself.
        """
        if segment.build in (None, self._build) or self._build not in self._builds:
            return True
        self._verdict.older += 1
        return False

    def _suspect(self, suspect: Suspect) -> None:
        """Keeps the first of each kind."""
        if sum(one.what == suspect.what for one in self._suspects) < KEPT:
            self._suspects.append(suspect)


def _counted(verdict: Verdict, emissions: Emissions) -> tuple[int, int, int, int, int]:
    return verdict.checkpoints, verdict.inputs, verdict.entries, verdict.erased, emissions.count


def _taken_in(stores: blake2b, live: Backend) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a store, each added to a digest as it is come to."""
    for key, value in entries(live):
        stores.update(b"%d %d " % (len(key), len(value)) + key + value)
        yield key, value


class Beside:
    """The entries of two stores of one task, one by one, in key order."""

    def __init__(self, live: Iterator[tuple[bytes, bytes]], replayed: Iterator[tuple[bytes, bytes]]) -> None:
        self._live, self._replayed = live, replayed
        self.entries = 0
        """How many the live one has, of those that were come to."""

    def differences(self) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
        """The logical entries that differ: key, live and replayed value (None for no entry)."""
        left, right = self._live, self._replayed
        mine, theirs = next(left, None), next(right, None)
        while mine is not None or theirs is not None:
            if mine == theirs:
                self.entries += 1
                mine, theirs = next(left, None), next(right, None)
            elif mine is not None and theirs is not None and mine[0] == theirs[0]:
                self.entries += 1
                yield mine[0], mine[1], theirs[1]
                mine, theirs = next(left, None), next(right, None)
            elif theirs is None or (mine is not None and mine[0] < theirs[0]):
                assert mine is not None, "one of them is there"
                self.entries += 1
                yield mine[0], mine[1], None
                mine = next(left, None)
            else:
                yield theirs[0], None, theirs[1]
                theirs = next(right, None)
