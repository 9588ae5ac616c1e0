"""Stories in tests that are asynchronous themselves: a loop runs there already."""

import asyncio
from collections.abc import AsyncIterator

from choreo import Context, Event, Handler, Service, Store
from choreo.testing import Scenario


class LineEvent(Event, namespace="line", topic="line", key="box", abstract=True):
    box: str


class Dialled(LineEvent): ...


class Connected(LineEvent):
    number: int


class Exchange:
    """Counts the calls that it puts through, as long as it is open."""

    def __init__(self) -> None:
        self.calls = 0
        self.open = True

    async def connect(self, key: str, box: str) -> int:
        await asyncio.sleep(0)
        assert self.open
        self.calls += 1
        return self.calls


class Connect(Handler[Dialled]):
    """Has a call put through."""

    exchange: Exchange
    numbers = Store[str, int]()

    async def handle(self, dialled: Dialled, ctx: Context) -> Connected:
        number = await ctx.call("connect", self.exchange.connect, dialled.box)
        self.numbers[dialled.box] = number
        return Connected(box=dialled.box, number=number)


opened: list[Exchange] = []


async def open_exchange() -> AsyncIterator[Exchange]:
    """A provider that is asynchronous, too."""
    exchange = Exchange()
    opened.append(exchange)
    yield exchange
    exchange.open = False


line = Service("line", handlers=[Connect], provide={"exchange": open_exchange})


def test_a_story_is_told_inside_an_asynchronous_test() -> None:
    """Asynchronous handlers and providers run to their end in an `async def` test, before and after a restart; it
    needs no await, and the test's own loop goes on working.
    """
    opened.clear()

    async def test() -> None:
        story = Scenario(line).when(Dialled(box="a")).then(Connected(box="a", number=1))
        await asyncio.sleep(0)
        story.restart().then_stored(Connect.numbers, {"a": 1})
        story.when(Dialled(box="b")).then(Connected(box="b", number=1)).then_stored(Connect.numbers, {"a": 1, "b": 1})

    asyncio.run(test())
    assert len(opened) == 4  # two worlds, each started twice
    assert not any(exchange.open for exchange in opened[:2])  # the restart closed them
