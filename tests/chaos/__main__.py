"""`make chaos`: all real orders on a real Kafka under more than a hundred kills, then on the embedded log; and what
reading the logs of whole runs again makes of them. docs/chaos.md says what is done, and what came of it.

`make soak ARGS="--minutes 60"` does it again and again, with another seed each time.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from choreo.log.embedded import EmbeddedLog
from choreo.log.kafka import KafkaLog
from tests.chaos.alone import place_of, wreak_alone
from tests.chaos.havoc import PROCESSES, Turns, wreak
from tests.chaos.judge import judge, judge_commands
from tests.chaos.orders import slice_orders
from tests.chaos.place import ROOT, Place
from tests.chaos.recovery import crowded, exact, recover
from tests.chaos.replays import WITHIN_S, replay_in_memory, replay_purchasing, replay_shop, timed
from tests.demo.command import cpu_s
from tests.demo.data import BESIDE
from tests.java import NotHereError
from tests.kafka.broker import Broker

ALL = 100_000
BENCH = ROOT.parent / "shared" / "bench"
DATA = Path(os.environ.get("CHOREO_DATA") or BESIDE)
FAULTS = ("checkpoint.begun:9", "checkpoint.appended:9", "checkpoint.offsets_sent:9", "checkpoint.committed:9", "") * 2


class Mortal:
    """A broker that dies, and what CPU it had used by then: none of that is the shop's."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.used_s = 0.0

    def restart(self) -> None:
        before = cpu_s()
        self._broker.kill()
        self.used_s += cpu_s() - before
        self._broker.start()


def say(line: str) -> None:
    print(line, flush=True)


def on_kafka(directory: Path, orders: Path, given: argparse.Namespace, seed: int) -> None:
    """One process per service, each killed twice a round, the broker twice in all, a second worker in between."""
    with Broker() as broker:
        place = Place.make(directory, f"kafka://{broker.bootstrap}")
        place.ask("topics", "apply")
        mortal = Mortal(broker)
        with KafkaLog.from_url(place.log_url) as log:
            with timed() as live:
                deaths = wreak(place, log, orders, Turns.rounds(given.rounds, seed=seed, broker=2), mortal, say)
            live.cpu_s -= mortal.used_s
            say(str(deaths))
            say(f"the run: {live}")
            say(f"compared: {judge(place, log, orders)}")
        _command_and_time(place, orders)
    assert all(deaths.of[name] >= 2 * given.rounds for name in PROCESSES), "somebody was killed too seldom"
    assert deaths.between >= given.rounds * len(PROCESSES) // 2, "too few deaths between begin and store write"


def on_embedded(directory: Path, orders: Path, given: argparse.Namespace, seed: int) -> None:
    """The whole shop in one process, ended at fault points and from outside in turn."""
    place = place_of(directory)
    with timed() as live:
        deaths = wreak_alone(place, orders, 13 * given.rounds, seed, say)
    say(str(deaths))
    say(f"the run: {live}")
    with EmbeddedLog(place.log_directory) as log:
        say(f"compared: {judge(place, log, orders)}")
    _command_and_time(place, orders)


def _command_and_time(place: Place, orders: Path) -> None:
    with timed() as took:
        compared = judge_commands(place, orders, WITHIN_S)
    say(f"compared: {compared}; `sagas list` and `replay verify` of every service: {took}")


def replays(directory: Path, orders: Path, given: argparse.Namespace, seed: int) -> None:
    """An undisturbed run on the embedded log: verified, shadowed by its own code and by a planted bug."""
    replay_shop(place_of(directory), orders, say)


def replays_on_kafka(directory: Path, orders: Path, given: argparse.Namespace, seed: int) -> None:
    """The same on a real Kafka."""
    with Broker() as broker:
        replay_shop(Place.make(directory, f"kafka://{broker.bootstrap}"), orders, say)


def replays_in_memory(directory: Path, orders: Path, given: argparse.Namespace, seed: int) -> None:
    """The same on the log in memory, verified only: nobody else can read that log."""
    replay_in_memory(orders, say)


def purchasing(directory: Path, orders: Path, given: argparse.Namespace, seed: int) -> None:
    """The saga over all real items of purchase orders, on the embedded log: verified, and shadowed by its own code."""
    if not given.purchases.is_dir():
        say(f"NOT REPLAYED: there are no real purchase orders in {given.purchases}; --purchases DIR names them")
        return
    replay_purchasing(place_of(directory), given.purchases, say)


def recovery(directory: Path, orders: Path, given: argparse.Namespace, seed: int) -> None:
    """How soon a killed process is back, and how long readers wait. On a machine of one's own: 3 s and 2 s."""
    with Broker() as broker:
        place = Place.make(directory, f"kafka://{broker.bootstrap}", ["tests.chaos.echo"])
        place.ask("topics", "apply", "tests.chaos.echo:echo")
        slower = crowded()
        with KafkaLog.from_url(place.log_url) as log:
            found = recover(place, log, broker.bootstrap, FAULTS)
        slower = max(slower, crowded())
    assert found.held is not None
    say(f"back after {', '.join(f'{seconds:.2f}' for seconds in sorted(found.back_s))} s")
    say(f"a reader stood still for {found.held.seconds:.2f} s at most; a start takes {slower:.1f} times its CPU time")
    assert max(found.back_s) <= 3 * slower, "a killed process came back late"
    assert found.held.seconds <= 2 * slower, "readers were held back"
    assert exact(found), "something was lost or said twice"


def peers(directory: Path, orders: Path, given: argparse.Namespace, seed: int) -> None:
    """The comparison that other frameworks were put to: a count by key under kills, its output counted by its judge."""
    if not (BENCH / "kill_peer.py").is_file():
        say(f"NOT COMPARED: there is no {BENCH / 'kill_peer.py'}")
        return
    directory.mkdir()
    with Broker() as broker:
        places = {"BROKER": broker.bootstrap, "LOGS": str(directory), "TMPDIR": str(directory)}
        environment = {**os.environ, **places, "PYTHONDONTWRITEBYTECODE": "1"}
        load = [sys.executable, str(BENCH / "load.py"), "orders", str(given.peer_orders)]
        subprocess.run(load, env=environment, check=True)
        program = [sys.executable, str(ROOT / "benchmarks" / "kill_program.py"), "{src}", "{dst}", "{group}"]
        judge = [sys.executable, str(BENCH / "kill_peer.py"), "choreo.bench", "orders", str(given.peer_orders), "8"]
        done = subprocess.run([*judge, "--", *program], env=environment, check=False, capture_output=True, text=True)
    say(done.stdout.strip() or done.stderr[-2000:])
    found = json.loads(done.stdout)
    faults = {name: found[name] for name in ("own_crashes", "extra", "same_twice", "counts_wrong")}
    assert not any(faults.values()), f"not exact: {faults}"


PARTS: dict[str, Callable[[Path, Path, argparse.Namespace, int], None]] = {
    "recovery": recovery,
    "embedded": on_embedded,
    "kafka": on_kafka,
    "replays": replays,
    "replays_on_kafka": replays_on_kafka,
    "replays_in_memory": replays_in_memory,
    "purchasing": purchasing,
    "peers": peers,
}


def main() -> int:
    """0 where everything held; an AssertionError that says what did not."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA / "olist_orders", help="the Olist orders")
    parser.add_argument("--purchases", type=Path, default=DATA / "bpic2019_purchase_orders", help="the purchase orders")
    parser.add_argument("--orders", type=int, default=ALL, help="so many of them, of every kind")
    parser.add_argument("--rounds", type=int, default=8, help="each kills every process twice")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone")
    parser.add_argument("--peer-orders", type=int, default=120_000, help="events of the peers' comparison")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=0, help="again and again, for so long")
    given = parser.parse_args()
    if not given.data.is_dir():
        sys.exit(f"there are no real orders in {given.data}; --data DIR names them")
    until, seed = monotonic() + given.minutes * 60, given.seed
    while True:
        for part in given.only or PARTS:
            scratch, began = Path(tempfile.mkdtemp(prefix="choreo-chaos-")), monotonic()
            say(f"== {part}, seed {seed}, in {scratch}")
            orders = slice_orders(given.data, scratch / "orders", given.orders)
            PARTS[part](scratch / "project", orders, given, seed)
            shutil.rmtree(scratch)  # what did not hold stays for whoever looks into it
            say(f"== {part} held ({monotonic() - began:.0f} s)")
        seed += 1
        if monotonic() >= until:
            return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotHereError as error:
        sys.exit(f"NO KAFKA, NO CHAOS: {error}")
