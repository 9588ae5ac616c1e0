"""A task's entries once more from the log, by the code at hand, in a scratch store that lasts: begun, left and gone on.

The live store is not looked at. What becomes of the new one is `replacing`'s.
"""

import json
from collections.abc import Iterator, Mapping
from heapq import merge
from typing import NamedTuple

from pydantic_core import to_json

from choreo.errors import DivergenceError
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.replay.pages import Journal
from choreo.replay.rebuild import Rebuild
from choreo.runtime.journal import last_page
from choreo.runtime.outputs import Outputs
from choreo.runtime.shapes import shapes_of
from choreo.service.service import Service
from choreo.state.backend import Backend
from choreo.state.changelog import logged
from choreo.state.keys import LOCAL
from choreo.state.meta import TaskMeta, meta_entry, read_meta
from choreo.state.rebuilt import RebuiltTo, rebuilt_entry

ORIGIN = LOCAL + b"renewal"
"""Local entry of a scratch store: what it is made of. Version byte 1, JSON."""
_VERSION = b"\x01"


class Origin(NamedTuple):
    """What a scratch store is made of: another log, journal or code is another store."""

    cluster_id: str
    journal_id: str
    code: str
    """A digest of all code that may decide what handlers do."""


class Renewal:
    """One task of a service, rebuilt into `scratch`: goes on behind what that holds already of the same origin."""

    def __init__(
        self, service: Service, partition: int, log: Log, registry: Registry, scratch: Backend, settings: object = None
    ) -> None:
        self.partition, self.scratch = partition, scratch
        self._service, self._log = service, log
        self._place = TopicPartition(f"{service.scope}.journal", partition)
        self._registry, self._settings = registry, settings
        self._rebuild: Rebuild | None = None

    @property
    def checkpoint(self) -> int:
        """The last one that is redone."""
        return last_page(self.scratch)

    def begin(self, code: str) -> bool:
        """Make sure that the scratch store is of this log and code; answers whether anything of it is kept."""
        its = Origin(self._log.cluster_id(), self._log.topics()[self._place.topic].topic_id, code)
        data = self.scratch.get(ORIGIN)
        if data is not None and data[:1] == _VERSION and Origin(**json.loads(data[1:])) == its:
            return self.checkpoint > 0
        self.scratch.wipe()
        self.scratch.write({ORIGIN: _VERSION + to_json(its._asdict())})
        return False

    def run(self, until: int | None = None) -> Iterator[tuple[int, int, Outputs]]:
        """Redo checkpoints up to that one (None: the last as of now); yields the number of each, how many there are,
        and what it would emit.

        Raises DivergenceError, with the checkpoint, where this code can't redo what was done: then `scratch` holds all
        before it.
        """
        last = Journal(self._log, self._service.scope, self.partition).last() if until is None else until
        if last <= self.checkpoint:
            return
        rebuild = self._rebuild = self._at_work()
        number = rebuild.checkpoint
        try:
            for page, _, outputs in rebuild.run(last):
                number = page.checkpoint
                yield number, last, outputs
        except DivergenceError as error:
            self.close()
            raise self._stopped(number + 1, error) from error
        except BaseException:  # left within a checkpoint: what was begun of that is not in the store
            self.close()
            raise
        finally:
            self._note(rebuild.task.now)

    def _at_work(self) -> Rebuild:
        """The replay that goes on behind what the store holds.

        What is in flight is whole only in memory: a store that was left with anything in flight is begun anew.
        """
        if self._rebuild is not None:
            self._rebuild.look_again()
            return self._rebuild
        made = self._made()
        if made.task.due_retry(0) is not None:  # all others that wait have a time
            made.close()
            origin = self.scratch.get(ORIGIN)
            self.scratch.wipe()
            self.scratch.write({ORIGIN: origin})
            made = self._made()
        return made

    def _made(self) -> Rebuild:
        return Rebuild(self._service, self.partition, self._log, self._registry, self.scratch, self._settings)

    def close(self) -> None:
        """Leave the store as it is, for another one to go on with."""
        if self._rebuild is not None:
            self._rebuild.close()
            self._rebuild = None

    def notes(self) -> dict[bytes, bytes]:
        """What the task is to note of its rebuilding: how far that went, and the shapes in which all was written."""
        noted = read_meta(self.scratch)
        to = RebuiltTo(self.checkpoint, noted.last_now if noted else 0)
        return dict([rebuilt_entry(to), *(its.alone for its in shapes_of(self._service).values())])

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """All that the changelog is to hold, in key order: what was rebuilt, and the notes."""
        notes = self.notes()
        rebuilt = (entry for entry in logged(self.scratch) if entry[0] not in notes)
        return merge(rebuilt, sorted(notes.items()))

    def meta(self, live: Log, changelog_offset: int, now: int, build: str) -> Mapping[bytes, bytes | None]:
        """What makes the scratch store one that a worker takes up: its place in the changelog, and the notes."""
        noted = read_meta(self.scratch)
        topic = live.topics()[f"{self._service.scope}.changelog"]
        key, value = meta_entry(
            TaskMeta(
                service=self._service.name,
                cluster_id=live.cluster_id(),
                changelog_topic_id=topic.topic_id,
                partitions=topic.partitions,
                changelog_offset=changelog_offset,
                checkpoint=self.checkpoint,
                last_now=noted.last_now if noted else 0,
                written_at=now,
                build=build,
            )
        )
        return {**self.notes(), key: value, ORIGIN: None}

    def _note(self, now: int) -> None:
        """The reading of the clock up to which a scratch store has come; it is nobody's store yet."""
        self.scratch.write(dict([meta_entry(TaskMeta("", "", "", 0, 0, self.checkpoint, now, 0, ""))]))

    def _stopped(self, checkpoint: int, error: DivergenceError) -> DivergenceError:
        return DivergenceError(
            f"service {self._service.name} can't be rebuilt by this code: {error.message}",
            at=f"{self._place}, checkpoint {checkpoint}" + (f", {error.at}" if error.at else ""),
            why=error.why,
            hint=error.hint or "nothing live was changed: mend the code and give the same command again",
        )
