"""`choreo replay rebuild`: stores made anew from the log, put in place whole or not at all."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from choreo.log.interface import Log
from choreo.log.open import open_log
from choreo.record import TopicPartition
from choreo.state.rocks import RocksBackends, glimpse
from tests.cli.conftest import Choreo, process

SHOP = """
from datetime import timedelta
from pydantic import BaseModel
from choreo import Context, Event, GiveUp, Handler, Service, Store, Timer

class OrderEvent(Event, namespace="till", topic="till.orders", key="order_id", abstract=True):
    order_id: str

class Ordered(OrderEvent):
    pieces: int

class Counted(OrderEvent):
    total: int

class Reminded(OrderEvent): ...

class Line(BaseModel):
    pieces: int
#more

class Count(Handler[Ordered]):
    totals = Store[str, int](default=0)
    lines = Store[str, Line]()
    reminder = Timer[str]()

    def handle(self, order: Ordered, ctx: Context) -> Counted:
        self.totals[order.order_id] += order.pieces
        self.lines[order.order_id] = Line(pieces=order.pieces)
        self.reminder.set(order.order_id, after=timedelta(days=100))
        if order.pieces == 0:
            self.reminder.cancel(order.order_id)
        return Counted(order_id=order.order_id, total=self.totals[order.order_id])

    @reminder.due
    def remind(self, key: str, ctx: Context) -> Reminded:
        return Reminded(order_id=key)

till = Service("till", handlers=[Count])
"""
MENDED = SHOP.replace("+= order.pieces", "+= 2 * order.pieces")
NOTED = SHOP.replace("Line(pieces=order.pieces)", 'Line(pieces=order.pieces, note="n")')
GROWN = NOTED.replace("#more", "    note: str")
COUNT = "        self.totals["
PRICE = "def price() -> int:\n    return 1\n\nclass Count("
CALLING = SHOP.replace(COUNT, f"        ctx.call('price', price)\n{COUNT}", 1).replace("class Count(", PRICE)
FAILING = SHOP.replace(COUNT, f"        if order.pieces == 3:\n            raise GiveUp('no')\n{COUNT}", 1)
WHY = ("--yes", "--why", "totals were wrong")


class Till:
    """A project with one service, and what lies on its log and disk."""

    def __init__(self, directory: Path, choreo: Choreo) -> None:
        self.directory, self._choreo = directory, choreo

    def write(self, code: str) -> None:
        (self.directory / "till.py").write_text(code, encoding="utf-8")

    def choreo(self, *arguments: str, code: int = 0) -> Any:
        """A command with the code that lies there now."""
        import sys

        sys.modules.pop("till", None)
        return self._choreo(*arguments, code=code)

    def order(self, *orders: tuple[str, int]) -> None:
        for order_id, pieces in orders:
            self.choreo("emit", "till.py:Ordered", f"order_id={order_id}", f"pieces={pieces}")

    def run(self, code: int = 0) -> Any:
        return self.choreo("run", "till.py", "--until-idle", code=code)

    def rebuild(self, *options: str, code: int = 0) -> Any:
        return self.choreo("replay", "rebuild", "till", "till.py", *options, code=code)

    def verified(self) -> str:
        return str(self.choreo("replay", "verify", "till.py").stdout)

    @property
    def state(self) -> Path:
        return next(self.directory.rglob("till-0")).parent

    def totals(self) -> dict[str, int]:
        """What the stores on disk say."""
        found = {}
        for number in range(4):
            with_prefix = glimpse(self.state / f"till-{number}").scan(b"\x01totals\x00")
            found |= {key[9:-1].decode(): int(value[1:]) for key, value in with_prefix}
        return found

    def log(self) -> Log:
        """The log of the project."""
        return open_log(f"embedded:{next(self.directory.rglob('.choreo'))}/log")

    def lose_disk(self) -> None:
        """As on another machine: only the log is left."""
        import shutil

        shutil.rmtree(self.state)

    def seen(self) -> dict[str, Any]:
        """All that is live: topics, their ends, what the group has committed, and every file of the stores."""
        with self.log() as log:
            known = {name: topic for name, topic in log.topics().items() if "__" not in name}
            places = [TopicPartition(name, n) for name, topic in known.items() for n in range(topic.partitions)]
            inputs = [place for place in places if place.topic == "till.orders"]
            return {
                "ends": log.ends(places),
                "committed": log.committed("choreo.till", inputs),
                "files": sorted(str(path) for path in self.state.rglob("*") if path.is_file()),
                "totals": self.totals(),
            }


@pytest.fixture
def till(directory: Path, choreo: Choreo) -> Till:
    """Six orders, counted by the old code."""
    found = Till(directory, choreo)
    found.write(SHOP)
    found.order(("a", 1), ("b", 2), ("c", 3), ("d", 0), ("a", 4), ("e", 5))
    found.run()
    assert found.totals() == {"a": 5, "b": 2, "c": 3, "d": 0, "e": 5}
    return found


TWICE = {"a": 10, "b": 4, "c": 6, "d": 0, "e": 10}


def test_mended_logic_gives_other_totals(till: Till) -> None:
    """The stores are what the mended code makes of the log; it says how many events would be others, and sends none;
    verify is clean, and the service goes on from there.
    """
    orders = till.choreo("topics", "show", "till.orders").stdout
    till.write(MENDED)
    assert "DIFFERS" in till.choreo("replay", "verify", "till.py", code=1).stdout
    said = till.rebuild(*WHY)
    assert "5 of 6 emitted events would be other ones today" in said.stderr
    assert till.totals() == TWICE
    assert till.choreo("topics", "show", "till.orders").stdout == orders
    assert "clean" in till.verified()
    till.order(("a", 1))
    till.run()
    assert till.totals()["a"] == 12
    assert "clean" in till.verified()
    assert not list(till.directory.rglob(".rebuild/till"))


def test_a_restore_elsewhere_gives_the_same(till: Till) -> None:
    """The changelog got exactly the difference: a machine without the disk restores the rebuilt stores."""
    till.write(MENDED)
    till.rebuild(*WHY)
    till.lose_disk()
    till.run()
    assert till.totals() == TWICE
    assert "clean" in till.verified()


def test_a_field_without_a_default(till: Till) -> None:
    """A start with a store that gained a field without a default is refused and names the command, which mends it."""
    till.write(GROWN)
    refused = till.run(code=1).stderr
    assert "store 'lines' of service till holds what this code can't read" in refused
    assert "note: was added and has no default" in refused
    assert "there stands a record of pieces, the code says a record of pieces, note" in refused
    assert "choreo replay rebuild till" in refused
    till.rebuild(*WHY)
    till.order(("a", 1))
    till.run()
    assert "clean" in till.verified()
    assert till.totals()["a"] == 6


def test_a_dry_run_changes_nothing(till: Till) -> None:
    """Topics, ends, committed offsets and stores are as before; what would change is told."""
    till.write(MENDED)
    before = till.seen()
    rows = [json.loads(line) for line in till.rebuild("--dry-run", "--json").stdout.splitlines()]
    assert till.seen() == before
    assert [row["task"] for row in rows] == [0, 1, 2, 3]
    # Four totals are others, and each task notes that it was rebuilt.
    assert sum(row["put"] for row in rows) == 4 + 4
    assert sum(row["deleted"] for row in rows) == 0


def test_it_is_told_on_the_log(till: Till) -> None:
    """Who rebuilt what, and why, is an event, once; without a reason it is not done."""
    till.write(MENDED)
    assert "needs a reason" in till.rebuild("--yes", code=2).stderr
    till.rebuild("--who", "ada", *WHY)
    place = TopicPartition("choreo.operations", 0)
    with till.log() as log, log.reader({place: 0}) as reader:
        began, ended = reader.read(1.0)
    assert b"rebuild" in (began.value or b"")
    assert b"ada" in (began.value or b"")
    assert b"totals were wrong" in (began.value or b"")
    assert b"put" in (ended.value or b"")


def test_without_yes_nobody_is_asked_in_a_script(till: Till) -> None:
    """Where there is no terminal it is refused, with how many entries it would be, and nothing has changed."""
    till.write(MENDED)
    before = till.totals()
    assert "--yes" in till.rebuild("--why", "x", code=2).stderr
    assert till.totals() == before


def test_one_task_only(till: Till) -> None:
    """--partition N leaves all other tasks as they were."""
    till.write(MENDED)
    (row,) = [json.loads(line) for line in till.rebuild("--partition", "2", "--json", *WHY).stdout.splitlines()]
    assert row["task"] == 2
    assert row["put"] > 1
    assert "has no task 9" in till.rebuild("--partition", "9", *WHY, code=2).stderr
    changed = {key for key, total in till.totals().items() if total == TWICE[key] and total}
    assert changed
    assert changed != {key for key, total in TWICE.items() if total}


def test_what_new_code_can_not_redo_stops_it(till: Till) -> None:
    """A recorded call that the old code did not make ends it with the checkpoint; all is as it was."""
    till.write(CALLING)
    before = till.seen()
    said = till.rebuild(*WHY, code=1).stderr
    assert "can't be rebuilt by this code" in said
    assert "checkpoint 1" in said
    assert till.seen() == before


def test_what_new_code_fails_on_is_told(till: Till) -> None:
    """A dry run says how many inputs would be dead letters that were handled before."""
    till.write(FAILING)
    assert "1 inputs would be dead letters today" in till.rebuild("--dry-run").stderr


FAULTS = ("forgotten", "begun", "appended", "committed", "installed")


def test_inputs_that_wait_are_not_let_go_in_silence(till: Till) -> None:
    """Where the code at hand handles what the old one gave up, it is told, before it is done, that what follows from
    that and from what waits behind it was never emitted; once the service has handled them there is nothing to tell.
    """
    till.write(FAILING)
    till.order(("z", 3), ("z", 4))
    till.run()
    till.write(SHOP)
    said = "2 inputs that wait"
    assert said in till.rebuild("--dry-run").stderr
    assert f"{said} to let go" in till.rebuild("--why", "x", code=2).stderr
    till.choreo("parked", "release", "z", "--why", "mended")
    till.run()
    assert "that wait" not in till.rebuild("--dry-run").stderr


@pytest.mark.parametrize("place", [f"replace.{name}:1" for name in FAULTS])
def test_a_crash_leaves_the_old_state_or_the_new(till: Till, place: str) -> None:
    """Wherever it dies, the next start finds one of both whole, and the same command comes to the end.

    A copy on disk that is not what the changelog says is never part of it.
    """
    old = till.totals()
    for number in range(4):
        with closing(RocksBackends(till.state)) as backends:
            store = backends.open(f"till-{number}")
            store.write({key: b"\x01999" for key, _ in store.scan(b"\x01totals\x00")})
    till.write(MENDED)
    died = process("replay", "rebuild", "till", "till.py", *WHY, CHOREO_FAULT=place)
    assert died.wait(60) == -signal.SIGKILL, died.communicate()
    till.run()
    found = till.totals()
    assert found == (TWICE if place.startswith(("replace.committed", "replace.installed")) else old)
    till.rebuild(*WHY)
    assert till.totals() == TWICE
    assert "clean" in till.verified()


def test_an_interrupted_rebuild_goes_on(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was redone before an interruption is not redone; with other code it begins anew."""
    from choreo.replay import renewal

    redone = []
    at_work = renewal.Rebuild.run

    def counted(self: Any, until: int | None = None) -> Iterator[Any]:
        for one in at_work(self, until):
            redone.append(one.page.checkpoint)
            yield one

    monkeypatch.setattr(renewal.Rebuild, "run", counted)
    till.write(MENDED)
    till.rebuild("--dry-run")
    first = len(redone)
    assert first >= 4
    till.rebuild(*WHY)
    assert len(redone) == first
    till.write(SHOP)
    till.rebuild("--dry-run")
    assert len(redone) == 2 * first


def stopped(running: Any) -> Callable[[], None]:
    return lambda: running.send_signal(signal.SIGTERM)


def test_a_service_at_work_is_not_replaced(till: Till) -> None:
    """While it runs it is redone but not replaced: the command says what to stop, and keeps what it has."""
    running = process("run", "till.py")
    while "running till" not in (line := running.stderr.readline()):  # type: ignore[union-attr]  # it is a pipe
        assert line, running.communicate()
    old = till.totals()
    till.write(MENDED)
    said = till.rebuild(*WHY, code=3).stderr
    assert "service till must stand still" in said
    assert "what is rebuilt is kept" in said
    assert "would be replaced" in till.rebuild("--dry-run").stdout
    assert till.totals() == old
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0, running.communicate()
    till.rebuild(*WHY)
    assert till.totals() == TWICE
