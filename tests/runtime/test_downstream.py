"""Downstreams in virtual time: an open breaker parks, a rate puts off, and a replay asks nobody."""

from collections.abc import Callable
from typing import ClassVar

import pytest

from choreo import Breaker, Context, Downstream, Event, Handler, Retry, Service
from choreo.replay.verify import verify
from choreo.resilience.dead_letter import read
from tests.runtime.town import Town


class TollEvent(Event, namespace="tolls", topic="tolls.cars", key="car", abstract=True):
    car: str


class CarPassed(TollEvent):
    cents: int


class TollPaid(TollEvent):
    receipt: str


class Office:
    """Takes tolls, unless it is shut; notes when it was asked."""

    def __init__(self) -> None:
        self.shut = False
        self.asked: list[int] = []
        self.now: Callable[[], int] = lambda: 0

    def take(self, key: str, cents: int) -> str:
        self.asked.append(self.now())
        if self.shut:
            raise OSError("shut")
        return f"{cents} paid"

    async def take_async(self, key: str, cents: int) -> str:
        return self.take(key, cents)


class Pay(Handler[CarPassed]):
    """Waits for the office."""

    office: Office
    desk = Downstream("office", breaker=Breaker(failures=3, within_s=30, open_s=60))
    retry = Retry(attempts=2, wait_s=1, then="skip")
    attempts: ClassVar[list[int]] = []

    def handle(self, event: CarPassed, ctx: Context) -> TollPaid:
        self.attempts.append(ctx.attempt)
        return TollPaid(car=event.car, receipt=self.desk.call("take", self.office.take, event.cents))


class PayAsync(Handler[CarPassed]):
    """Goes on with other cars meanwhile."""

    office: Office
    desk = Pay.desk
    retry = Pay.retry

    async def handle(self, event: CarPassed, ctx: Context) -> TollPaid:
        Pay.attempts.append(ctx.attempt)
        return TollPaid(car=event.car, receipt=await self.desk.call("take", self.office.take_async, event.cents))


class PayAtRate(PayAsync):
    """Two a second."""

    desk = Downstream("slow office", rate_per_s=2)


class Forget(PayAsync):
    """Does not await its call."""

    async def handle(self, event: CarPassed, ctx: Context) -> TollPaid:
        ctx.call("take", self.office.take_async, event.cents)
        return TollPaid(car=event.car, receipt="none")


def town_of(handler: type[Handler[CarPassed]]) -> tuple[Town, Office]:
    office = Office()
    Pay.attempts.clear()
    town = Town(Service("tolls", handlers=[handler], provide={"office": lambda: office}))
    office.now = town.clock.now
    return town, office


def paid(town: Town) -> list[str]:
    events = town.events("tolls.cars", (CarPassed, TollPaid))
    return [event.car for event in events if isinstance(event, TollPaid)]


def cars(count: int) -> list[CarPassed]:
    return [CarPassed(car=f"c{n}", cents=n) for n in range(count)]


def is_clean(town: Town) -> bool:
    tasks = town.workers[0].tasks
    return verify(town.services[0], town.log, town.registry, lambda n: tasks[n].task.entries.backend).clean


@pytest.mark.parametrize("handler", [Pay, PayAsync])
def test_an_open_breaker_parks_instead_of_failing(handler: type[Handler[CarPassed]]) -> None:
    """Three failures open it; from then on nobody is asked, no attempt counts, and all is paid once the office is open
    again. What failed twice before is a dead letter.
    """
    town, office = town_of(handler)
    office.shut = True
    town.tell(*cars(1))
    assert len(office.asked) == 2
    assert len(town.records("choreo.tolls.dead-letters")) == 1
    town.tell(*[CarPassed(car=f"later{n}", cents=n) for n in range(5)])
    assert len(office.asked) == 3
    town.wait(30)
    assert len(office.asked) == 3
    assert is_clean(town)
    office.shut = False
    town.wait(120)
    assert sorted(paid(town)) == [f"later{n}" for n in range(5)]
    assert len(town.records("choreo.tolls.dead-letters")) == 1
    assert max(Pay.attempts) == 2
    asked = len(office.asked)
    assert is_clean(town)
    assert len(office.asked) == asked


def test_while_it_is_half_open_one_call_decides() -> None:
    """The office is shut for two hours: it is asked once a minute, not by every car."""
    town, office = town_of(PayAsync)
    office.shut = True
    town.tell(*cars(40))
    asked = len(office.asked)
    town.wait(7200)
    assert asked < len(office.asked) <= asked + 120
    office.shut = False
    town.wait(120)
    buried = len(town.records("choreo.tolls.dead-letters"))
    assert len(paid(town)) + buried == 40
    assert is_clean(town)


def test_a_rate_puts_calls_off() -> None:
    """Two a second, in virtual time: ten cars take four and a half seconds, the same in every run."""

    def run() -> list[int]:
        town, office = town_of(PayAtRate)
        began = town.clock.now()
        town.tell(*cars(10))
        assert len(office.asked) == 1
        town.wait(10)
        assert len(paid(town)) == 10
        assert is_clean(town)
        return [at - began for at in office.asked]

    assert run() == run() == [n * 500_000 for n in range(10)]


def test_a_call_that_was_not_awaited_is_told() -> None:
    """It would never have been made: the event is a dead letter that names it."""
    town, office = town_of(Forget)
    town.tell(*cars(1))
    (letter,) = town.records("choreo.tolls.dead-letters")
    assert "call 'take' was not awaited" in read(letter).error
    assert office.asked == []
