"""A chaos run on Kafka: one process per service, orders in waves, a death at every turn, then peace and the verdict."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from choreo.clock import SystemClock
from choreo.demo.olist import read_orders
from choreo.demo.run import cast_of
from choreo.demo.shop import load_shop
from choreo.events.codec import Codec
from choreo.log.interface import Log
from choreo.record import TopicPartition
from tests.chaos.company import POINTS, Company, Deaths, eventually
from tests.chaos.orders import Feed
from tests.chaos.place import SERVICES, Place
from tests.demo.expected import expected

PROCESSES = (*SERVICES, "sagas")
SECOND = "inventory-1"
"""A second worker of inventory: joins, is killed like the others, and leaves again."""
ARMED_LIFE_S = 10.0
"""An armed process that finds no work for so long is killed from outside."""
QUIET_S = 1.5


class Restartable(Protocol):
    """A broker that is killed with -9 and comes back on the same data."""

    def restart(self) -> None: ...


@dataclass(frozen=True)
class Turns:
    """At each turn one victim is killed from outside, starts armed, dies at a fault point and starts again."""

    victims: tuple[str, ...]
    seed: int
    broker_dies: frozenset[int] = frozenset()
    """Turns before which the broker is killed and started again."""
    second_joins: int = 1
    second_leaves: int = 5

    @classmethod
    def rounds(cls, count: int, extra: int = 0, seed: int = 7, broker: int = 1) -> "Turns":
        """Every process `count` times in shuffled order, `extra` of them once more; spread over it the rest."""
        rnd = random.Random(seed)
        victims: list[str] = []
        for _ in range(count):
            victims += rnd.sample(PROCESSES, len(PROCESSES))
        victims += rnd.sample(PROCESSES, extra)
        total = len(victims)
        dies = frozenset(total * (n + 1) // (broker + 1) for n in range(broker))
        joins, leaves = total // 5, total * 4 // 5
        victims.insert((joins + leaves) // 2, SECOND)
        return cls(tuple(victims), seed, dies, joins, leaves)


class Follow:
    """Looks how the orders stand, through the lifecycle of their saga."""

    def __init__(self, place: Place, log: Log, directory: Path) -> None:
        lifecycle = cast_of(load_shop()).lifecycle
        topic = lifecycle.contract.topic
        self._due = {key: (order.status, order.waits_for) for key, order in expected(directory).orders.items()}
        self._stands: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._codec = Codec(place.registry, (lifecycle,), log.cluster_id())
        self._reader = log.reader({TopicPartition(topic, n): 0 for n in range(log.topics()[topic].partitions)})

    def open(self) -> list[str]:
        """Orders that do not stand as they should at the end."""
        while records := self._reader.read(0.0):
            for record in records:
                changed: Any = self._codec.event(record)
                self._stands[changed.key] = (changed.status, changed.waits_for)
        return [key for key, due in self._due.items() if self._stands.get(key) != due]

    def close(self) -> None:
        self._reader.close()


def wreak(
    place: Place, log: Log, directory: Path, turns: Turns, broker: Restartable, say: Callable[[str], None]
) -> Deaths:
    """Play all orders while everybody dies; answers when every order stands as expected and nothing moves any more."""
    rnd = random.Random(turns.seed)
    rows = read_orders(directory)
    feed = Feed(rows, place.registry, log.cluster_id())
    wave = -(-len(rows) // max(len(turns.victims), 1))
    arguments = {name: (name,) for name in PROCESSES} | {SECOND: ("inventory", "--worker", "1")}
    began = monotonic()
    with Company(place, arguments, broker_dies=bool(turns.broker_dies)) as company:
        for name in PROCESSES:
            company.start(name)
        for turn, victim in enumerate(turns.victims):
            feed.next(log, wave, SystemClock().now())
            if turn in turns.broker_dies:
                say(f"turn {turn}: the broker is killed and started again")
                broker.restart()
            if turn == turns.second_joins:
                company.start(SECOND)
            if turn == turns.second_leaves:
                assert eventually(lambda: company.life(SECOND).running, 30), company.life(SECOND).said()
                company.stop(SECOND)
            die_twice(company, victim, f"{POINTS[turn % len(POINTS)]}:{rnd.randint(1, 4)}", rnd.uniform(0, 0.8))
            say(f"turn {turn + 1} of {len(turns.victims)}, {monotonic() - began:.0f} s: {victim}")
        while feed.next(log, wave, SystemClock().now()):
            continue
        settle(company, place, log, directory, 40 + len(rows) / 20)
        company.stop(*company.names)
        return company.deaths


def die_twice(company: Company, victim: str, fault: str, after_s: float) -> None:
    """kill -9 at some moment of its work, then a death at a fault point in the life after that."""
    eventually(lambda: False, after_s)
    company.check()
    company.kill(victim)
    company.start(victim, fault)
    company.end(victim, ARMED_LIFE_S)
    company.start(victim)


def settle(company: Company, place: Place, log: Log, directory: Path, within_s: float) -> None:
    """Wait until every order stands as its row says and the log has not grown for a while."""
    follow = Follow(place, log, directory)
    try:

        def over() -> bool:
            company.check()
            return not follow.open()

        if not eventually(over, within_s):
            left = follow.open()
            raise AssertionError(
                f"after {within_s:.0f} s {len(left)} orders stand otherwise: {left[:5]}\n{company.stacks()}"
            )
    finally:
        follow.close()
    assert wait_for_quiet(log, list(log.topics()), within_s), "the log still grows"


def wait_for_quiet(log: Log, topics: Sequence[str], within_s: float) -> bool:
    """Whether the ends of these topics stand still for a while, in time."""
    known = log.topics()
    partitions = [TopicPartition(name, number) for name in topics for number in range(known[name].partitions)]
    ends, since, until = log.ends(partitions), monotonic(), monotonic() + within_s
    while monotonic() - since < QUIET_S:
        eventually(lambda: False, 0.25)
        now = log.ends(partitions)
        if now != ends:
            ends, since = now, monotonic()
        if monotonic() > until:
            return False
    return True
