"""What the stores of a service held at any point of its past, and what changed them on the way there."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from choreo.errors import ConfigError
from choreo.record import Position
from choreo.replay.pages import Journal
from choreo.replay.points import Moment, Point, checkpoint_before
from choreo.replay.rebuild import Act, Rebuild
from choreo.replay.sandbox import Sandbox
from choreo.state.backend import Backend


class Turn(NamedTuple):
    """One entry between two points: what it was, what it is, and what changed it last."""

    key: bytes
    before: bytes | None
    after: bytes | None
    act: Act


class Past:
    """One task of a service."""

    def __init__(self, sandbox: Sandbox, partition: int) -> None:
        self._sandbox, self._partition = sandbox, partition
        self._journal = Journal(sandbox.log, sandbox.service.scope, partition)
        self.builds: set[str] = set()
        """Which code did live what was done once more here."""

    @contextmanager
    def at(self, point: Point) -> Iterator[Backend]:
        """The entries as they were. Raises ConfigError where the point is an input that was not handled yet."""
        with self._before(point) as (rebuild, scratch):
            for _ in self._up_to(rebuild, point):
                pass
            yield scratch

    def acts(self, point: Point, since: Point | None = None) -> Iterator[Act]:
        """What the task did up to a point: from behind another one on, or from its first input.

        Raises ConfigError where a point is an input that was not handled yet, and where `since` lies behind the point.
        """
        last = self._checkpoint(point)
        if since is not None and self._behind(since, point, last):
            raise _no_span(since, point)
        start = self._sandbox.redoing(self._partition) if since is None else self._before(since)
        with start as (rebuild, _):
            self.builds = rebuild.builds
            behind = since is None
            for act in self._up_to(rebuild, point):
                if behind or (isinstance(since, Moment) and act.now > since.now):
                    behind = True
                    yield act
                else:
                    behind = act.takes(since)
        if not behind and not (isinstance(since, Moment) and isinstance(point, Moment)):
            raise _no_span(since, point)

    def checkpoints(self, point: Point) -> int:
        """How many checkpoints there are up to a point, as far as that is known without going there."""
        checkpoint = checkpoint_before(self._journal, point)
        return self._journal.last() if checkpoint is None else checkpoint + 1

    def between(self, first: Point, last: Point) -> Iterator[Turn]:
        """The entries that differ at two points, in key order. Their acts tell of the changed entry alone."""
        backends = self._sandbox.scratch()
        try:
            turns = backends.open("turns")
            for act in self.acts(last, first):
                found: dict[bytes, bytes | None] = {}
                for key, change in act.changes.items():
                    kept = turns.get(key)
                    before = change.before if kept is None else pickle.loads(kept)[1]
                    turn = Turn(key, before, change.after, act._replace(changes={key: change}, outputs=()))
                    found[key] = pickle.dumps(tuple(turn))
                turns.write(found)
            for _, kept in turns.scan():
                turn = Turn(*pickle.loads(kept))
                if turn.before != turn.after:
                    yield turn
        finally:
            backends.close()

    @contextmanager
    def _before(self, point: Point) -> Iterator[tuple[Rebuild, Backend]]:
        """The replay, at the last checkpoint before a point."""
        with self._sandbox.looking(self._partition, self._checkpoint(point)) as (rebuild, scratch):
            self.builds = rebuild.builds
            yield rebuild, scratch

    def _up_to(self, rebuild: Rebuild, point: Point) -> Iterator[Act]:
        """The acts from where a replay stands up to a point, it included. Raises ConfigError where that is no input."""
        latest = point.now if isinstance(point, Moment) else None
        for act in rebuild.acts(latest=latest):
            yield act
            if act.takes(point):
                return
        if isinstance(point, Position):
            raise ConfigError(
                "no record lies here", at=point, why="the mark of a transaction, or a record that was deleted"
            )

    def _behind(self, since: Point, point: Point, last: int) -> bool:
        """Whether one point lies behind another, as far as `last`, the checkpoint before that one, tells."""
        if isinstance(since, Moment) and isinstance(point, Moment):
            return since.now > point.now
        return self._checkpoint(since) > last

    def _checkpoint(self, point: Point) -> int:
        """The last checkpoint before a point. Raises ConfigError for an input that was not handled yet."""
        checkpoint = checkpoint_before(self._journal, point)
        if checkpoint is not None:
            return checkpoint
        last = self._journal.last()
        if isinstance(point, Position):
            raise ConfigError(
                f"{self._sandbox.service.name} has not handled this input",
                at=point,
                why="its journal does not reach it" if last else "it has never run on this log",
            )
        return last


def _no_span(since: Point | None, point: Point) -> ConfigError:
    return ConfigError(f"{since} does not lie before {point}", hint="the earlier one first")
