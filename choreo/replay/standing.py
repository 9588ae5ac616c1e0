"""Standing in for a service: all of its partitions held as the one member of its group, so that nobody is at work."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from choreo.clock import Clock
from choreo.errors import StartError
from choreo.log.interface import Identity, Log, Membership
from choreo.record import TopicPartition
from choreo.runtime.plan import Plan

POLL_S = 0.2
SLACK_S = 15.0
"""How much longer than a session it may take until all partitions are ours: members that died are thrown out first."""


class Standing:
    """A member of the group of a service that handles nothing. Close it to leave.

    Raises StartError where some of its partitions stay with somebody else.
    """

    def __init__(self, log: Log, plan: Plan, instance: str, clock: Clock, session_timeout_s: float) -> None:
        self.committed: dict[TopicPartition, int | None] = {}
        """What the group has committed of each input, once all are ours."""
        self._log, self._plan, self._clock = log, plan, clock
        known = log.topics()
        self._all = {TopicPartition(name, n) for name in plan.topics for n in range(known[name].partitions)}
        membership = Membership(plan.service.scope, plan.topics, instance, session_timeout_s)
        self.member = log.join(membership, self)
        try:
            self._wait(clock.now() + round((session_timeout_s + SLACK_S) * 1_000_000))
        except BaseException:
            self.member.close()
            raise

    def identity(self) -> Identity:
        """The right under which the group's offsets are committed. Raises StartError where it is lost."""
        identity = self.member.identity()
        if identity is None or self.committed.keys() != self._all:
            raise self._not_alone()
        return identity

    def close(self) -> None:
        """Leave the group: what is committed stays."""
        self.member.close()

    def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
        """These are ours; nothing of them is handled, so any place to read from will do."""
        self.committed |= committed
        return {tp: offset or 0 for tp, offset in committed.items()}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Somebody else joins."""
        for tp in partitions:
            self.committed.pop(tp, None)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Somebody else has them."""
        self.revoked(partitions)

    def beat(self) -> None:
        """Stay a member, and read nothing."""
        with suppress(KeyError):
            self.member.pause(self.committed)
        self.member.poll(0.0, 1)

    def _wait(self, until: int) -> None:
        while self.committed.keys() != self._all:
            if self._clock.now() > until:
                raise self._not_alone()
            self.member.poll(POLL_S, 1)
        self.beat()

    def _not_alone(self) -> StartError:
        mine = {tp.partition for tp in self.committed}
        others = sorted({tp.partition for tp in self._all} - mine)
        return StartError(
            f"service {self._plan.service.name} does not stand still",
            at=f"group {self._plan.service.scope}, {self._log.url}",
            why=f"somebody else has the tasks {', '.join(map(str, others)) or 'again'}",
            hint="stop all of its workers, on other machines too, and give the same command again: "
            "what was rebuilt is kept",
        )
