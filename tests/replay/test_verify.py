"""replay verify: a clean run is clean, and planted faults are found where they are."""

import random
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from choreo import Context, Service, Store
from choreo.events.envelope import unpack
from choreo.log.memory import MemoryLog, MemoryPartition
from choreo.record import NewRecord, Record, TopicPartition
from choreo.replay.findings import Finding, Verdict
from choreo.replay.sandbox import Sandbox
from choreo.replay.scratch import lasting
from choreo.replay.verify import Verification, verify
from choreo.runtime.build import build_of
from choreo.state.backend import Backend
from tests.replay.archived import forget
from tests.runtime.test_thread import Placed, Reserve, Reserved
from tests.runtime.town import Town


def run_town(partitions: int = 3) -> Town:
    town = Town(Service("inventory", handlers=[Reserve]), partitions=partitions)
    for round_number in range(3):
        town.tell(*[Placed(order_id=f"o{n}", pieces=n + round_number) for n in range(9)])
        town.tell(Placed(order_id="bad", pieces=-1), Placed(order_id="o1", pieces=13))
        town.crash()
        town.wait(3 + 4000 * round_number)
    return town


def verdict_of(town: Town, service: Service | None = None) -> Verdict:
    live: Callable[[int], Backend] = lambda n: town.workers[0].tasks[n].task.entries.backend  # noqa: E731
    return verify(service or town.services[0], town.log, town.registry, live)


def cause_of(finding: Finding) -> tuple[str, str, tuple[str, ...]]:
    """What a finding says that brought it about: the event, its key, the handlers."""
    return finding.cause.name, finding.cause.key, finding.handlers


def test_a_run_with_crashes_retries_and_timers_is_clean() -> None:
    """Stores rebuilt from log and journal equal the live ones, entry by entry; so do their changes, and every event
    emitted.
    """
    town = run_town()
    verdict = verdict_of(town)
    assert verdict.clean, verdict
    assert verdict.entries > 15
    assert verdict.inputs > 30
    letters = len(town.records("choreo.inventory.dead-letters"))
    emitted = [ids for ids in town.ids("town.orders") if ids.causation_id is not None]
    assert letters == 2
    assert verdict.emissions == len(emitted) + letters


def test_a_header_that_nobody_can_read_is_no_obstacle() -> None:
    """Records of others whose header is empty, cut off or of a later version stand beside the service's events."""
    town = run_town()
    strange = [b"", b"\1\1" + bytes(24), b"\xff" + bytes(40), b"\1\x40" + bytes(30)]
    town.log.append([NewRecord("town.orders", b"o1", b"x", [("choreo", header)]) for header in strange])
    town.wait(1)
    verdict = verdict_of(town)
    assert verdict.clean, verdict
    assert len(town.records("choreo.inventory.dead-letters")) == 2 + len(strange)


def test_a_flipped_value_is_found() -> None:
    """One value changed behind the service's back is named with its store and key, both values, and the input that
    wrote it last.
    """
    town = run_town()
    backend = next(live.task.entries.backend for live in town.workers[0].tasks.values())
    key, value = next((key, value) for key, value in backend.scan(b"\x01totals"))
    backend.write({key: value + b"9"})
    verdict = verdict_of(town)
    (difference,) = verdict.differences
    assert difference.store == "totals"
    assert difference.live == value + b"9"
    assert difference.replayed == value
    (finding,) = verdict.findings
    assert finding.what == "entry"
    assert finding.name == f"totals {difference.key[0]!r}"
    assert (finding.live, finding.replayed) == (value + b"9", value)
    assert cause_of(finding) == ("town.Placed", difference.key[0], ("Reserve",))
    last = [r for r in town.records("town.orders") if str(r.position) == finding.cause.place]
    assert [record.key for record in last] == [str(difference.key[0]).encode()]
    assert verdict.rewritten == verdict.unlike == 0


def test_a_changed_handler_is_found() -> None:
    """Code that decides otherwise than it did live is found at the first input where it does: what it wrote and what
    it emitted, with both values.
    """

    class Changed(Reserve):
        totals = Store[str, int](default=0)

        def handle(self, event: Placed, ctx: Context) -> Reserved:
            if event.order_id == "o7" and self.totals["o7"] == 7:
                self.totals["o7"] += 100
            return super().handle(event, ctx)

    Changed.__name__ = "Reserve"
    verdict = verdict_of(run_town(), Service("inventory", handlers=[Changed]))
    assert not verdict.clean
    emitted, written = sorted(verdict.findings, key=lambda finding: finding.what)
    assert (emitted.what, written.what) == ("event", "write")
    assert cause_of(written) == cause_of(emitted) == ("town.Placed", "o7", ("Reserve",))
    assert written.cause.place == emitted.cause.place
    assert written.name == "totals 'o7'"
    assert (written.live, written.replayed) == (b"\x0115", b"\x01115")
    assert emitted.name == "town.Reserved"
    assert isinstance(emitted.live, Record)
    assert isinstance(emitted.replayed, NewRecord)
    assert emitted.live.value != emitted.replayed.value


def test_what_no_handler_answers_is_not_blamed() -> None:
    """An entry that the code no longer writes is laid to an event that a handler got, not to another of the same key
    that it passed over.
    """

    class Forgetful(Reserve):
        totals = Store[str, int](default=0)

        def handle(self, event: Placed, ctx: Context) -> Reserved:
            return Reserved(order_id=event.order_id, total=event.pieces)

    Forgetful.__name__ = "Reserve"
    town = Town(Service("inventory", handlers=[Reserve]))
    town.tell(Placed(order_id="o7", pieces=1), Reserved(order_id="o7", total=9))
    (finding,) = verdict_of(town, Service("inventory", handlers=[Forgetful])).findings
    assert cause_of(finding) == ("town.Placed", "o7", ("Reserve",))


def test_an_event_that_only_one_side_emits_is_found() -> None:
    """A handler that emitted more live than the replay does, or less, is named, with the event that made the
    difference.
    """

    class Silent(Reserve):
        totals = Store[str, int](default=0)

        def handle(self, event: Placed, ctx: Context) -> Reserved | None:  # type: ignore[override]
            answer = super().handle(event, ctx)
            return None if event.order_id == "o7" else answer

    Silent.__name__ = "Reserve"
    more, less = Service("inventory", handlers=[Reserve]), Service("inventory", handlers=[Silent])
    for live, replayed in ((more, less), (less, more)):
        town = Town(live, partitions=2)
        town.tell(Placed(order_id="o6", pieces=1), Placed(order_id="o7", pieces=1))
        verdict = verdict_of(town, replayed)
        assert (verdict.unlike, len(verdict.differences), verdict.rewritten) == (1, 0, 0)
        (finding,) = verdict.findings
        assert finding.name == "town.Reserved"
        assert cause_of(finding) == ("town.Placed", "o7", ("Reserve",))
        assert (finding.live is None) == (live is less)
        assert (finding.replayed is None) == (live is more)


def test_an_event_that_stands_twice_is_found() -> None:
    """What was published once and lies on the log twice is no clean run."""
    town = run_town()
    record = next(r for r in town.records("town.orders") if unpack(dict(r.headers)["choreo"]).causation_id)
    town.log.append([NewRecord(record.topic, record.key, record.value, record.headers)])
    verdict = verdict_of(town)
    assert verdict.unlike == 1


ANSWERS = count(1)
"""Somebody outside who never says the same twice."""


@pytest.mark.parametrize("asked", [time.perf_counter, random.random, lambda: float(next(ANSWERS))])
def test_what_a_replay_can_not_repeat_is_found(asked: Callable[[], float]) -> None:
    """A handler that asks the machine for the time, for a random number, or somebody outside by a call that is not
    recorded, is named: its replay gives other values.
    """

    class Asking(Reserve):
        totals = Store[str, int](default=0)
        answers = Store[str, float]()

        def handle(self, event: Placed, ctx: Context) -> Reserved:
            self.answers[event.order_id] = asked()
            return super().handle(event, ctx)

    service = Service("inventory", handlers=[Asking])
    town = Town(service, partitions=2)
    town.tell(Placed(order_id="o1", pieces=1))
    (finding,) = verdict_of(town, service).findings
    assert finding.name == "answers 'o1'"
    assert cause_of(finding) == ("town.Placed", "o1", ("Asking",))


def after_another_build() -> tuple[Town, Sandbox, Callable[[int], Backend]]:
    """A town whose service was another one at first; a snapshot tells the two apart."""

    class Before(Reserve):
        totals = Store[str, int](default=0)

        def handle(self, event: Placed, ctx: Context) -> Reserved:
            self.totals[event.order_id] += 1000
            return super().handle(event, ctx)

    Before.__name__ = "Reserve"
    now = Service("inventory", handlers=[Reserve])
    town = Town(Service("inventory", handlers=[Before]), options={"build": "before"})
    town.tell(*[Placed(order_id=f"o{n}", pieces=1) for n in range(4)])
    town.services, town.options["build"] = (now,), build_of(now)
    town.crash()
    town.tell(*[Placed(order_id=f"o{n}", pieces=1) for n in range(2, 6)])
    kept = town.backends["inventory"].snapshots("inventory-0")
    assert len(kept.numbers()) == 1
    sandbox = Sandbox(now, town.log, town.registry, snapshots=lambda n: [kept])
    return town, sandbox, lambda n: town.workers[0].tasks[n].task.entries.backend


def test_another_builds_past_is_judged_by_itself() -> None:
    """Where a snapshot tells two builds apart, what differs in the older one is counted as its own: the code at hand is
    judged by what it did, from what it found.
    """
    town, sandbox, live = after_another_build()
    verdict = Verification(sandbox, live).run()
    assert verdict.clean, verdict
    assert verdict.older > 4
    assert verdict.builds == {"before", build_of(sandbox.service)}
    assert not verify(sandbox.service, town.log, town.registry, live).clean


def test_a_journal_whose_beginning_is_gone_is_a_divergence_of_its_task() -> None:
    """Though a snapshot would tell builds apart in it: the verdict says what is missing, and what to do about it."""
    town, sandbox, live = after_another_build()
    journal = TopicPartition("choreo.inventory.journal", 0)
    forget(town.log, journal, town.records(journal.topic)[-1].offset)
    verdict = Verification(sandbox, live).run()
    (said,) = verdict.divergences
    assert "the journal goes from checkpoint 0 to" in said
    assert "older ones were deleted: restore an archive" in said


def test_a_dropped_journal_record_is_found() -> None:
    """A gap in the checkpoint numbers is named with the numbers around it."""
    town = run_town()
    assert isinstance(town.log, MemoryLog)
    partition = town.log.partition(TopicPartition("choreo.inventory.journal", 0))
    assert isinstance(partition, MemoryPartition)
    del partition.records[2], partition.offsets[2]
    (divergence,) = verdict_of(town).divergences
    assert "from checkpoint 2 to 4" in divergence
    assert "choreo.inventory.journal[0]" in divergence


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


def test_one_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    """Tasks that came out clean are not redone, the rest is, and the verdict is that of one that ran through; nothing
    is left behind. Where the service went on meanwhile, everything is redone.
    """
    town = run_town()
    live: Callable[[int], Backend] = lambda n: town.workers[0].tasks[n].task.entries.backend  # noqa: E731
    place = tmp_path / "begun" / "verify"
    sandbox = Sandbox(town.services[0], town.log, town.registry, lasting=lambda: lasting(place))
    whole = verdict_of(town)

    def interrupted_at(task: int, done: int) -> list[int]:
        seen: list[int] = []

        def progress(partition: int, at: int, total: int) -> None:
            seen.append(partition)
            if (partition, at) == (task, done):
                raise Interrupted

        with pytest.raises(Interrupted):
            Verification(sandbox, live).run(progress)
        return sorted(set(seen))

    def interrupted_by_emissions() -> None:
        def progress(done: int, total: int) -> None:
            raise Interrupted

        with pytest.raises(Interrupted):
            Verification(sandbox, live).run(emissions_told=progress)

    assert interrupted_at(1, 2) == [0, 1]
    assert interrupted_at(2, 1) == [1, 2]
    interrupted_by_emissions()
    interrupted_by_emissions()
    seen: list[int] = []
    verdict = Verification(sandbox, live).run(lambda partition, done, total: seen.append(partition))
    assert seen == []
    assert verdict == whole
    assert not place.parent.exists()
    assert interrupted_at(2, 1) == [0, 1, 2]
    town.tell(Placed(order_id="o1", pieces=1))
    town.wait(1)
    assert interrupted_at(2, 1) == [0, 1, 2]


def test_what_differs_is_looked_at_again(tmp_path: Path) -> None:
    """A task that did not come out clean is redone after an interruption, and told of with its cause."""
    town = run_town()
    live: Callable[[int], Backend] = lambda n: town.workers[0].tasks[n].task.entries.backend  # noqa: E731
    backend = live(0)
    key, value = next((key, value) for key, value in backend.scan(b"\x01totals"))
    backend.write({key: value + b"9"})
    sandbox = Sandbox(town.services[0], town.log, town.registry, lasting=lambda: lasting(tmp_path / "begun"))

    def progress(partition: int, done: int, total: int) -> None:
        if partition == 2:
            raise Interrupted

    for _ in range(2):
        with pytest.raises(Interrupted):
            Verification(sandbox, live).run(progress)
    verdict = Verification(sandbox, live).run()
    assert verdict == verdict_of(town)
    assert verdict.different == 1
    assert verdict.findings


def test_a_store_that_was_changed_meanwhile_is_looked_at_again(tmp_path: Path) -> None:
    """What somebody does by hand to the stores of a task that has come out clean, while its verification is
    interrupted, is found when that goes on; tasks whose stores are as they were are not redone.
    """
    town = run_town()
    live: Callable[[int], Backend] = lambda n: town.workers[0].tasks[n].task.entries.backend  # noqa: E731
    sandbox = Sandbox(town.services[0], town.log, town.registry, lasting=lambda: lasting(tmp_path / "begun"))

    def progress(partition: int, done: int, total: int) -> None:
        if partition == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        Verification(sandbox, live).run(progress)
    key, value = next((key, value) for key, value in live(0).scan(b"\x01totals"))
    live(0).write({key: value + b"9"})
    seen: set[int] = set()
    verdict = Verification(sandbox, live).run(lambda partition, done, total: seen.add(partition))
    assert seen == {0, 2}
    assert verdict == verdict_of(town)
    (finding,) = verdict.findings
    assert (finding.live, finding.replayed) == (value + b"9", value)
