"""Killed in the middle of calls on the embedded log: nothing is lost, nothing stands twice, the journal tells it."""

import json
import signal
from collections import defaultdict
from pathlib import Path

from tests.cli.conftest import Choreo, process

RIDES = '''
"""Rides that are priced, then charged, by calls that take a while; one of them may be the last of this process."""

import asyncio
import os
import signal

from choreo import Context, Downstream, Event, Handler, Service, Store


class RideEvent(Event, namespace="rides", topic="rides", key="ride", abstract=True):
    ride: str


class RideEnded(RideEvent):
    number: int


class RideCharged(RideEvent):
    number: int
    receipt: str
    rides: int


made = 0


async def note(line: str) -> None:
    """Write it down, and die with it where this is the call to die in."""
    global made
    with open("calls.txt", "a", encoding="utf-8") as calls:
        calls.write(line + "\\n")
    made += 1
    if str(made) == os.environ.get("DIE_IN_CALL"):
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(0.03)


async def price(number: int) -> int:
    await note(f"price {number}")
    return number * 100


async def charge(key: str, number: int, cents: int) -> str:
    await note(f"charge {number} {key}")
    return f"{key} {cents}"


def stamp(key: str, receipt: str) -> str:
    """Blocks."""
    return receipt + " stamped"


class Charge(Handler[RideEnded]):
    bank = Downstream("bank", concurrency=8, rate_per_s=500)
    rides = Store[str, int](default=0)

    async def handle(self, event: RideEnded, ctx: Context) -> RideCharged:
        cents = await ctx.ask("price", price, event.number)
        receipt = await self.bank.call("charge", charge, event.number, cents)
        stamped = await ctx.call("stamp", stamp, receipt)
        self.rides[event.ride] += 1
        return RideCharged(ride=event.ride, number=event.number, receipt=stamped, rides=self.rides[event.ride])


rides = Service("rides", handlers=[Charge])
'''
COUNT, KEYS = 60, 20
RUN = ("run", "rides.py", "--until-idle")


def killed(**environment: str) -> None:
    """One life that ends by kill -9."""
    life = process(*RUN, **environment)
    said = life.communicate(timeout=120)[1]
    assert life.returncode == -signal.SIGKILL, said


def test_killed_in_the_middle_of_calls(directory: Path, choreo: Choreo) -> None:
    """Six lives end inside a call or a checkpoint with others in flight; the seventh ends well.

    Every ride is charged once in the log, in its key's order; a call that was made again had the same key; a replay of
    the journal gives the very stores, and asks nobody.
    """
    (directory / "rides.py").write_text(RIDES, encoding="utf-8")
    rides = [json.dumps({"ride": f"r{n % KEYS}", "number": n}) for n in range(COUNT)]
    choreo("emit", "rides.py:RideEnded", "-", text="\n".join(rides))
    for call in (1, 30, 45):
        killed(DIE_IN_CALL=str(call))
    for place in ("checkpoint.appended:2", "checkpoint.committed:1", "checkpoint.stored:2"):
        killed(CHOREO_FAULT=place)
    last = process(*RUN)
    assert last.wait(timeout=120) == 0, last.communicate()[1]
    keys: dict[str, set[str]] = defaultdict(set)
    lines = (directory / "calls.txt").read_text(encoding="utf-8").splitlines()
    for what, number, *key in (line.split() for line in lines):
        if what == "charge":
            keys[number].update(key)
    assert len(keys) == COUNT
    assert all(len(found) == 1 for found in keys.values())
    assert len(lines) > 2 * COUNT
    verified = choreo("replay", "verify", "rides.py")
    assert verified.stdout.count("clean") == 1
    assert (directory / "calls.txt").read_text(encoding="utf-8").splitlines() == lines
    charged = _charged(directory)
    assert sorted(number for _, number, _ in charged) == list(range(COUNT))
    for ride in {ride for ride, _, _ in charged}:
        its = [(number, rides) for one, number, rides in charged if one == ride]
        assert its == sorted(its)
        assert [rides for _, rides in its] == [1, 2, 3]


def _charged(directory: Path) -> list[tuple[str, int, int]]:
    """Ride, number and count of each RideCharged, in the order of the log."""
    from rides import RideCharged, RideEnded  # type: ignore[import-not-found]  # written by the test

    from choreo.events.codec import Codec
    from choreo.events.registry import DirectoryRegistry
    from choreo.log.embedded import EmbeddedLog
    from choreo.record import TopicPartition

    registry = DirectoryRegistry(directory / ".choreo/log/schemas")
    found = []
    with EmbeddedLog(directory / ".choreo/log") as log:
        codec = Codec(registry, (RideCharged, RideEnded), log.cluster_id())
        parts = {TopicPartition("rides", n): 0 for n in range(log.topics()["rides"].partitions)}
        with log.reader(parts) as reader:
            while batch := reader.read(0):
                found += [codec.event(record) for record in batch]
    return [(event.ride, event.number, event.rides) for event in found if isinstance(event, RideCharged)]
