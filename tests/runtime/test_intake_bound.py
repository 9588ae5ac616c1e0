"""Intake: a backlog stays on the log until it can be handled."""

from choreo import Context, Event, Handler, Service
from choreo.clock import VirtualClock
from choreo.events.codec import Codec
from choreo.runtime.options import RunOptions
from choreo.service.client import fresh_ids
from tests.runtime.town import NOON, Town

BATCH = RunOptions().batch_records


class Heaped(Event, namespace="intake", topic="intake.heap", key="case"):
    case: str


class Plod(Handler[Heaped]):
    """Takes ten milliseconds for each."""

    clock: VirtualClock

    def handle(self, event: Heaped, ctx: Context) -> None:
        self.clock.move_to(self.clock.now() + 10_000)


def test_a_slow_handler_does_not_draw_the_backlog_into_memory() -> None:
    """However much lies on the log, at most two batches lie at hand, and all of it is handled in the end."""
    clock = VirtualClock(NOON)
    town = Town(Service("plod", handlers=[Plod], provide={"clock": lambda: clock}), partitions=2)
    town.clock = clock
    town.crash()
    (worker,) = town.workers
    codec = Codec(town.registry, (), town.log.cluster_id())
    town.log.append([codec.encode(Heaped(case=f"c{n}"), fresh_ids(NOON)) for n in range(6 * BATCH)])
    most = 0
    while worker.handled < 6 * BATCH:
        worker.step(clock.now(), worker.poll())
        most = max(most, sum(live.inputs.count for live in worker.tasks.values()))
    assert most <= 2 * BATCH
