"""replay verify: a clean run is clean, and planted faults are found where they are."""

from collections.abc import Callable

from choreo import Context, Service, Store
from choreo.log.memory import MemoryLog, MemoryPartition
from choreo.record import TopicPartition
from choreo.replay.verify import Verdict, verify
from choreo.state.backend import Backend
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


def test_a_run_with_crashes_retries_and_timers_is_clean() -> None:
    """Stores rebuilt from log and journal equal the live ones, entry by entry."""
    verdict = verdict_of(run_town())
    assert verdict.divergences == []
    assert [str(difference) for difference in verdict.differences] == []
    assert verdict.entries > 15
    assert verdict.inputs > 30


def test_a_flipped_value_is_found() -> None:
    """One value changed behind the service's back is named with its store and key."""
    town = run_town()
    backend = next(live.task.entries.backend for live in town.workers[0].tasks.values())
    key, value = next((key, value) for key, value in backend.scan(b"\x01totals"))
    backend.write({key: value + b"9"})
    (difference,) = verdict_of(town).differences
    assert difference.store == "totals"
    assert difference.live == value + b"9"
    assert difference.replayed == value


def test_a_changed_handler_is_found() -> None:
    """Code that decides otherwise than it did live gives other entries."""

    class Changed(Reserve):
        totals = Store[str, int](default=0)

        def handle(self, event: Placed, ctx: Context) -> Reserved:
            answer = super().handle(event, ctx)
            self.totals[event.order_id] += 1
            return answer

    assert not verdict_of(run_town(), Service("inventory", handlers=[Changed])).clean


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
