"""Intake: a backlog stays on the log until it can be handled."""

from choreo import Context, Event, Handler, Service, Store
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


class Cause(Event, namespace="intake", topic="intake.causes", key="case"):
    case: str


class Effect(Event, namespace="intake", topic="intake.effects", key="case"):
    case: str


class Follow(Handler[Cause | Effect]):
    """Keeps what came first of each."""

    seen = Store[str, list[str]]()

    def handle(self, event: Cause | Effect, ctx: Context) -> Heaped:
        self.seen[event.case] = [*self.seen.get(event.case, []), type(event).__name__]
        return Heaped(case=event.case)


def test_an_input_that_others_wait_for_is_never_held() -> None:
    """However much of one input is at hand, what may hold its causes is read: else they would wait for it for ever."""
    town = Town(Service("follow", handlers=[Follow]), partitions=2, options={"at_hand_records": 20})
    town.crash()
    (worker,) = town.workers
    codec = Codec(town.registry, (), town.log.cluster_id())
    causes = [codec.encode(Cause(case=f"c{n}"), fresh_ids(NOON)) for n in range(2 * BATCH)]
    effects = [codec.encode(Effect(case=f"c{n}"), fresh_ids(NOON + 1)) for n in range(2 * BATCH)]
    town.log.append([*effects, *causes])
    most = 0
    for _ in range(1000):
        worker.step(NOON + 2, worker.poll())
        most = max(most, *(live.inputs.count for live in worker.tasks.values()))
    assert worker.handled == 4 * BATCH
    assert most <= 20 + 2 * BATCH
