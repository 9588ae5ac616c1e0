"""A chaos run on the embedded log: the whole shop in one process, which dies again and again."""

import random
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from choreo.clock import SystemClock
from choreo.demo.olist import read_orders
from choreo.errors import ChoreoError
from choreo.log.embedded import EmbeddedLog
from choreo.log.embedded_client import EmbeddedClient
from tests.chaos.company import BETWEEN, Company, Deaths, eventually
from tests.chaos.havoc import ARMED_LIFE_S
from tests.chaos.orders import Feed
from tests.chaos.place import Place

SHOP, LAST = "shop", "last"
AT_ONCE = 2
"""Orders in one append from outside."""


def place_of(directory: Path) -> Place:
    """A project on an embedded log inside its own directory."""
    return Place.make(directory, f"embedded:{directory.absolute() / 'log'}")


def wreak_alone(place: Place, directory: Path, lives: int, seed: int, say: Callable[[str], None]) -> Deaths:
    """Play all orders over so many lives; the last one ends when idle.

    Each is ended either at a fault point, or from outside while another process appends orders through it.
    """
    rnd = random.Random(seed)
    rows = read_orders(directory)
    place.ask("topics", "apply")
    with EmbeddedLog(place.log_directory) as log:
        feed = Feed(rows, place.registry, log.cluster_id())
    wave = -(-len(rows) // lives)
    with Company(place, {SHOP: (), LAST: ("--until-idle",)}) as company:
        for number in range(lives):
            with EmbeddedLog(place.log_directory) as log:
                feed.look(log)
                feed.next(log, wave, SystemClock().now())
            # Every service counts its own checkpoints: one of them is the first to come to its point.
            fault = f"{BETWEEN[number // 2 % len(BETWEEN)]}:{rnd.randint(1, 8)}" if number % 2 else ""
            company.start(SHOP, fault)
            if fault:
                company.end(SHOP, ARMED_LIFE_S)
            else:
                _kill_while_appending(company, place, feed, wave, rnd.random())
            say(f"life {number + 1} of {lives}: {fault or 'killed from outside'}")
        with EmbeddedLog(place.log_directory) as log:
            feed.look(log)
            feed.next(log, len(rows), SystemClock().now())
        last = company.start(LAST)
        assert last.wait(60 + len(rows) / 10) == 0, last.said()[-4000:]
        return company.deaths


def _kill_while_appending(company: Company, place: Place, feed: Feed, wave: int, share: float) -> None:
    """kill -9 from outside after this share of a wave, with an append of another process under way."""
    life = company.life(SHOP)
    assert eventually(lambda: life.running or life.ended, 30), life.said()
    enough = max(len(feed.left) - round(wave * share), 0)

    def append() -> None:
        try:
            with EmbeddedClient(place.log_directory) as client:
                for _ in range(wave // AT_ONCE):
                    feed.next(client, AT_ONCE, SystemClock().now())
        except ChoreoError:
            company.deaths.cut_off += 1

    appending = Thread(target=append, name="appending")
    appending.start()
    while appending.is_alive() and len(feed.left) > enough:
        continue
    company.kill(SHOP)
    appending.join()
