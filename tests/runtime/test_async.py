"""Asynchronous handlers: at once across keys, in order within one, saved in flight, replayed in their order."""

import asyncio
import time
from collections import Counter
from typing import ClassVar

import pytest

from choreo import Context, Downstream, Event, Handler, Retry, Service, Store
from choreo.clock import SystemClock
from choreo.log.memory import MemoryLog
from choreo.replay.verify import Verdict, verify
from choreo.resilience.dead_letter import read
from choreo.runtime.calls import Recorded, failure, result
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.outside import Outside, Reply
from choreo.runtime.task import Question
from choreo.runtime.topics import create_topics
from choreo.runtime.worker import Worker
from choreo.state.memory import MemoryBackends
from tests.runtime.town import Town


class FareEvent(Event, namespace="fares", topic="fares.rides", key="ride", abstract=True):
    ride: str


class RideEnded(FareEvent):
    kilometres: int


class FareCharged(FareEvent):
    cents: int
    card: str


class Bank:
    """Says what it was asked; `slow` calls take long."""

    def __init__(self) -> None:
        self.charged: dict[str, int] = {}
        self.asked: Counter[str] = Counter()
        self.delay_s = 0.0

    async def price(self, kilometres: int) -> int:
        self.asked["price"] += 1
        return kilometres * 100

    async def card(self, ride: str) -> str:
        self.asked["card"] += 1
        return f"card of {ride}"

    async def charge(self, key: str, card: str, cents: int) -> int:
        self.asked["charge"] += 1
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return self.charged.setdefault(key, cents)


class Charge(Handler[RideEnded]):
    bank: Bank
    bank_limits = Downstream("bank", timeout_s=0.2, concurrency=50)
    total = Store[str, int](default=0)
    retry = Retry(attempts=3, wait_s=1)
    concurrency = 1000
    stray: ClassVar[bool] = False

    async def handle(self, event: RideEnded, ctx: Context) -> FareCharged:
        if self.stray:
            await asyncio.sleep(0)
        price, card = await ctx.gather(
            ctx.ask("price", self.bank.price, event.kilometres), ctx.ask("card", self.bank.card, event.ride)
        )
        cents = await self.bank_limits.call("charge", self.bank.charge, card, price)
        self.total[event.ride] += cents
        return FareCharged(ride=event.ride, cents=self.total[event.ride], card=card)


class HeldOutside(Outside):
    """Answers calls in the order in which a test lets them go."""

    def __init__(self) -> None:
        self.open: list[tuple[int, Question]] = []
        self._replies: list[Reply] = []

    def ask(self, partition: int, question: Question) -> None:
        self.open.append((partition, question))

    def release(self, number: int = 0, error: Exception | None = None) -> None:
        """The `number`-th open call ends."""
        partition, question = self.open.pop(number)
        self._replies.append(Reply(partition, question, self._made(question, error)))

    def _made(self, question: Question, error: Exception | None) -> Recorded:
        call = question.call
        if error is not None:
            return failure(call.asked.name, call.use, error)
        return result(call.asked.name, call.use, asyncio.run(call.make()), call.codec)  # type: ignore[arg-type]  # a coroutine

    def replies(self, limit: int) -> list[Reply]:
        replies, self._replies = self._replies, []
        return replies

    def close(self) -> None:
        self.open.clear()


def service(bank: Bank) -> Service:
    Charge.stray = False
    return Service("fares", handlers=[Charge], provide={"bank": lambda: bank})


def charged(town: Town) -> list[tuple[str, int]]:
    events = town.events("fares.rides", (RideEnded, FareCharged))
    return [(event.ride, event.cents) for event in events if isinstance(event, FareCharged)]


def verdict(town: Town) -> Verdict:
    tasks = town.workers[0].tasks
    return verify(town.services[0], town.log, town.registry, lambda n: tasks[n].task.entries.backend)


@pytest.mark.parametrize("partitions", [1, 3])
def test_an_asynchronous_handler_is_answered_in_virtual_time(partitions: int) -> None:
    """It awaits recorded calls, one or several at once; stores rebuilt from the journal equal the live ones."""
    bank = Bank()
    town = Town(service(bank), partitions=partitions)
    town.tell(*[RideEnded(ride=f"r{n % 4}", kilometres=n) for n in range(1, 9)])
    assert sorted(charged(town)) == sorted(
        [(f"r{n % 4}", n * 100) for n in range(1, 5)] + [(f"r{n % 4}", n * 100 + (n - 4) * 100) for n in range(5, 9)]
    )
    asked = dict(bank.asked)
    assert verdict(town).clean
    assert dict(bank.asked) == asked


def test_keys_overtake_each_other_and_a_key_stays_in_order() -> None:
    """While one ride waits for its bank, others go on; the second event of the waiting ride waits behind the first."""
    outside = HeldOutside()
    town = Town(service(Bank()), outside=outside)
    town.step(
        RideEnded(ride="slow", kilometres=1),
        RideEnded(ride="slow", kilometres=2),
        RideEnded(ride="quick", kilometres=3),
    )
    assert {question.key for _, question in outside.open} == {b"slow", b"quick"}
    while any(question.key == b"quick" for _, question in outside.open):
        outside.release(next(n for n, (_, question) in enumerate(outside.open) if question.key == b"quick"))
        town.step()
    assert len(town.workers[0].tasks[0].task.flights) == 1
    town.clock.move_to(town.clock.now() + 50_000)
    town.step()
    assert charged(town) == [("quick", 300)]
    while outside.open:
        outside.release()
        town.step()
    town.clock.move_to(town.clock.now() + 50_000)
    town.step()
    assert charged(town) == [("quick", 300), ("slow", 100), ("slow", 300)]
    assert verdict(town).clean, verdict(town)


def test_what_is_in_flight_survives_a_crash() -> None:
    """A checkpoint does not wait for a slow call: the input and the results so far are saved, and a restart goes on."""
    bank, outside = Bank(), HeldOutside()
    town = Town(service(bank), outside=outside)
    town.step(RideEnded(ride="r1", kilometres=7), RideEnded(ride="r1", kilometres=1))
    outside.release()
    outside.release()
    town.step()
    town.clock.move_to(town.clock.now() + 300_000)
    town.step()
    town.crash()
    town.step()
    assert [question.call.asked.name for _, question in outside.open] == ["price", "card"]
    while outside.open:
        outside.release()
        town.step()
    town.clock.move_to(town.clock.now() + 50_000)
    town.step()
    assert charged(town) == [("r1", 700), ("r1", 800)]
    assert len(bank.charged) == 2
    assert verdict(town).clean, verdict(town)


class ChargeFew(Charge):
    concurrency = 50

    async def handle(self, event: RideEnded, ctx: Context) -> FareCharged:
        cents = await ctx.call("charge", self.bank.charge, "card", 100)
        return FareCharged(ride=event.ride, cents=cents, card="card")


def test_what_is_not_begun_stays_on_the_log() -> None:
    """Calls that are slower than reading do not fill the memory: with enough at hand, no more is read until later."""
    bank, outside = Bank(), HeldOutside()
    fares = Service("fares", handlers=[ChargeFew], provide={"bank": lambda: bank})
    town = Town(fares, outside=outside, options={"at_hand_records": 100})
    rides = 1200
    town.step(*[RideEnded(ride=f"r{n}", kilometres=1) for n in range(rides)])
    town.step()
    live = town.workers[0].tasks[0]
    assert len(live.task.flights) == 50
    assert live.inputs.count == 1000 - 50
    while outside.open:
        while outside.open:
            outside.release()
        town.step()
    town.clock.move_to(town.clock.now() + 300_000)
    town.step()
    assert sorted(charged(town)) == sorted((f"r{n}", 100) for n in range(rides))


def test_a_failed_call_is_tried_again_and_replayed() -> None:
    """An error of a call is the handler's; attempts follow its policy, and a replay meets the same errors."""
    outside = HeldOutside()
    town = Town(service(Bank()), outside=outside)
    town.step(RideEnded(ride="r1", kilometres=1))
    for _ in range(2):
        outside.release(0, error=OSError("no line"))
        outside.release(0)
        town.step()
    town.clock.move_to(town.clock.now() + 1_100_000)
    town.step()
    while outside.open:
        outside.release()
        town.step()
    town.clock.move_to(town.clock.now() + 50_000)
    town.step()
    assert charged(town) == [("r1", 100)]
    assert verdict(town).clean, verdict(town)


def test_awaiting_anything_else_is_refused() -> None:
    """Only recorded calls may be awaited; the error says what to await."""
    town = Town(service(Bank()))
    Charge.stray = True
    town.tell(RideEnded(ride="r1", kilometres=1))
    (letter,) = town.records("choreo.fares.dead-letters")
    assert "await ctx.call" in read(letter).error


def run_for_real(bank: Bank, rides: int, until: int, limit_s: float = 20) -> tuple[Town, float]:
    """Rides in real time, calls at the same time; answers how long it took."""
    place = Town(service(bank))
    place.workers[0].stop()
    place.workers = []
    log = MemoryLog(SystemClock())
    site = Site(log, place.registry, MemoryBackends(), SystemClock())
    worker = Worker(place.services[0], site, RunOptions(start_from="earliest"))
    create_topics(log, [worker.plan], 1)
    place.log = log
    place.step(*[RideEnded(ride=f"r{n}", kilometres=1) for n in range(rides)])
    worker.start()
    began = time.monotonic()
    while len(charged(place)) < until and time.monotonic() - began < limit_s:
        worker.step(site.clock.now(), worker.poll(0.002))
    took = time.monotonic() - began
    worker.stop()
    return place, took


def test_calls_run_at_the_same_time() -> None:
    """A hundred rides whose charge takes 50 ms, 50 at once, are done in far less than the five seconds one by one."""
    bank = Bank()
    bank.delay_s = 0.05
    place, took = run_for_real(bank, 100, 100)
    assert sorted(charged(place)) == sorted((f"r{n}", 100) for n in range(100))
    assert took < 2.5


def test_a_call_that_takes_too_long_is_a_timeout() -> None:
    """After the downstream's timeout the handler gets TimeoutError; after its last attempt there is a dead letter."""
    bank = Bank()
    bank.delay_s = 5
    place, _ = run_for_real(bank, 1, 1, limit_s=2.5)
    assert charged(place) == []
    (letter,) = place.records("choreo.fares.dead-letters")
    assert "bank: call 'charge' took longer than 0.2 s" in read(letter).error


class GivesUp(Bank):
    """Cancels its own calls."""

    async def charge(self, key: str, card: str, cents: int) -> int:
        raise asyncio.CancelledError


def test_a_call_that_cancels_itself_fails() -> None:
    """The handler gets an error that it can catch, and the loop goes on with other calls."""
    place, _ = run_for_real(GivesUp(), 2, 1, limit_s=2.5)
    letters = place.records("choreo.fares.dead-letters")
    assert ["it was cancelled from inside" in read(letter).error for letter in letters] == [True, True]
