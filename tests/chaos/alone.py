"""A chaos run on the embedded log: the whole shop in one process, which dies again and again."""

import random
from collections.abc import Callable
from pathlib import Path

from choreo.clock import SystemClock
from choreo.demo.olist import read_orders
from choreo.log.embedded import EmbeddedLog
from tests.chaos.company import BETWEEN, Company, Deaths, eventually
from tests.chaos.havoc import ARMED_LIFE_S
from tests.chaos.orders import Feed
from tests.chaos.place import Place

SHOP, LAST = "shop", "last"


def place_of(directory: Path) -> Place:
    """A project on an embedded log inside its own directory."""
    return Place.make(directory, f"embedded:{directory.absolute() / 'log'}")


def wreak_alone(place: Place, directory: Path, lives: int, seed: int, say: Callable[[str], None]) -> Deaths:
    """Play all orders over so many lives, each ended at a fault point or from outside; the last one ends when idle."""
    rnd = random.Random(seed)
    rows = read_orders(directory)
    place.ask("topics", "apply")
    with EmbeddedLog(place.log_directory) as log:
        feed = Feed(rows, place.registry, log.cluster_id())
    wave = -(-len(rows) // lives)
    with Company(place, {SHOP: (), LAST: ("--until-idle",)}) as company:
        for number in range(lives):
            with EmbeddedLog(place.log_directory) as log:
                feed.next(log, wave, SystemClock().now())
            # Every service counts its own checkpoints: one of them is the first to come to its point.
            fault = f"{BETWEEN[number // 2 % len(BETWEEN)]}:{rnd.randint(1, 8)}" if number % 2 else ""
            life = company.start(SHOP, fault)
            if fault:
                company.end(SHOP, ARMED_LIFE_S)
            else:
                assert eventually(lambda life=life: life.running or life.ended, 30), life.said()  # type: ignore[misc]
                eventually(lambda: False, rnd.uniform(0, 0.7))
                company.kill(SHOP)
            say(f"life {number + 1} of {lives}: {fault or 'killed from outside'}")
        last = company.start(LAST)
        assert last.wait(60 + len(rows) / 10) == 0, last.said()[-4000:]
        return company.deaths
