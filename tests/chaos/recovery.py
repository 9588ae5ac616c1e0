"""How soon a killed process works again, and how long its death holds readers back: one service under a steady flow."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic

from choreo.clock import SystemClock
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, derive_id
from choreo.log.interface import Log
from choreo.record import TopicPartition
from tests.chaos.company import Company, eventually
from tests.chaos.echo import Echoed, Said
from tests.chaos.place import Place, environment
from tests.chaos.readers import Held, Readers

NAMES = 50
EVERY_S = 0.02
OUT = Echoed.contract.topic


@dataclass
class Recovery:
    """What was measured. `back_s`: from each start after a death to the first event that it publishes."""

    back_s: list[float] = field(default_factory=list)
    held: Held | None = None
    """The longest standstill of a read-committed reader."""
    said: int = 0
    echoed: list[tuple[str, int]] = field(default_factory=list)


def recover(place: Place, log: Log, bootstrap: str, faults: Sequence[str]) -> Recovery:
    """One process of the echo service, killed at each of `faults` in turn, and from outside where it is empty."""
    found = Recovery()
    partitions = [TopicPartition(OUT, number) for number in range(log.topics()[OUT].partitions)]
    readers = Readers(bootstrap, {OUT: len(partitions)})
    processes = {"echo": ("tests.chaos.echo:echo",)}
    with Company(place, processes) as company, log.reader(dict.fromkeys(partitions, 0)) as out:
        codec = Codec(place.registry, (Echoed,), log.cluster_id())
        readers.start()

        def heard() -> bool:
            events = [codec.event(record) for record in out.read(0.02)]
            found.echoed += [(event.name, event.times) for event in events if isinstance(event, Echoed)]
            return bool(events)

        with _flow(place, log) as flow:
            company.start("echo")
            assert eventually(heard, 30), company.life("echo").said()
            for fault in faults:
                _die(company, fault)
                eventually(lambda: not heard(), 5)
                began = monotonic()
                company.start("echo")
                assert eventually(heard, 60), company.life("echo").said()
                found.back_s.append(monotonic() - began)
        found.said = flow.said
        eventually(lambda: not heard() and len(found.echoed) >= flow.said, 30)
        company.stop("echo")
    readers.stop()
    found.held = readers.worst
    return found


def _die(company: Company, fault: str) -> None:
    """A death in the middle of work: at a fault point of a life begun for it, or from outside."""
    if not fault:
        company.kill("echo")
        return
    company.stop("echo")
    company.start("echo", fault)
    assert company.end("echo", 30), company.life("echo").said()


class _Flow:
    """Says something every 20 ms."""

    def __init__(self, place: Place, log: Log) -> None:
        self.said = 0
        self._codec = Codec(place.registry, (), log.cluster_id())
        self._log = log

    def say(self) -> None:
        name = f"name-{self.said % NAMES}"
        ids = Ids(event_id=derive_id(bytes(16), "said", str(self.said), 0), correlation_id=name, at=SystemClock().now())
        self._log.append([self._codec.encode(Said(name=name), ids)])
        self.said += 1


@contextmanager
def _flow(place: Place, log: Log) -> Iterator[_Flow]:
    flow, ended = _Flow(place, log), Event()

    def run() -> None:
        while not ended.wait(EVERY_S):
            flow.say()

    thread = Thread(target=run, name="flow")
    thread.start()
    try:
        yield flow
    finally:
        ended.set()
        thread.join()


def crowded() -> float:
    """How many times longer than alone a process takes here now: wall time over CPU time of a start; at least 1."""
    began, before = monotonic(), os.times()
    subprocess.run([sys.executable, "-c", "import choreo.cli.run"], env=environment(), check=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return max(1.0, (monotonic() - began) / used)


def exact(found: Recovery) -> bool:
    """Whether everything said was echoed once, in order of each name."""
    per_name: dict[str, list[int]] = {}
    for name, times in found.echoed:
        per_name.setdefault(name, []).append(times)
    in_order = all(times == list(range(1, len(times) + 1)) for times in per_name.values())
    return in_order and len(found.echoed) == found.said
