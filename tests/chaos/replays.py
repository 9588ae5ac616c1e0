"""All real orders and purchase orders, run undisturbed, and what reading their logs again makes of them.

Every service is verified, by less CPU than the run took; its own code over its own log finds nothing; and a planted bug
is found in exactly the orders that the rows say.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, process_time

from choreo.clock import VirtualClock
from choreo.demo.olist import read_orders
from choreo.demo.run import Stage, run_virtual
from choreo.events.registry import MemoryRegistry
from choreo.log.memory import MemoryLog
from choreo.state.memory import MemoryBackends
from tests.chaos.place import ROOT, SERVICES, Place
from tests.demo.command import cpu_s
from tests.demo.outcome import verify_all
from tests.demo.planted import late, plant

COORDINATOR = "saga.order_fulfilment"
WITHIN_S = 7200.0
"""For each command: this is no measure of speed."""
FOUND = 1

Say = Callable[[str], None]


@dataclass
class Took:
    """Seconds on the wall and of CPU."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.wall_s:.0f} s, {self.cpu_s:.0f} s of CPU"


@contextmanager
def timed(cpu: Callable[[], float] = cpu_s) -> Iterator[Took]:
    """What the block takes; `cpu` counts that of the processes that were started and have ended."""
    took, began, used = Took(), monotonic(), cpu()
    yield took
    took.wall_s, took.cpu_s = monotonic() - began, cpu() - used


def replay_shop(place: Place, orders: Path, say: Say) -> None:
    """The shop's log: run by `choreo demo`, then read again by `choreo replay`."""
    with timed() as live:
        place.output("demo", "--orders", str(orders), timeout_s=WITHIN_S)
    say(f"the run: {live}")
    with timed() as again:
        verdicts = {row["service"]: row for row in place.ask("replay", "verify", timeout_s=WITHIN_S)}
    say(f"verify: {again}; {sum(row['inputs'] for row in verdicts.values()):,} inputs")
    assert verdicts.keys() == {*SERVICES, COORDINATOR}, sorted(verdicts)
    assert all(row["clean"] for row in verdicts.values()), verdicts
    assert again.cpu_s <= live.cpu_s, f"verify took {again}, the run {live}"
    with timed() as took:
        for service in (*SERVICES, COORDINATOR):
            find_nothing(place, service)
    say(f"every service against its own code, nothing differs: {took}")
    with timed() as took:
        found = find_planted(place, orders)
    say(f"the planted bug, found in the {found} orders of the rows and in no other: {took}")


def find_nothing(place: Place, service: str, *targets: str) -> None:
    """A shadow run of the code that ran: no event, entry, call or timer differs."""
    code = place.directory / "same"
    if not code.exists():
        code.mkdir()
        for part in ("services", "saga_specs"):
            (code / part).symlink_to(ROOT / part, target_is_directory=True)
    asked = ("replay", "shadow", service, *targets, "--code", str(code))
    (report,) = place.ask(*asked, timeout_s=WITHIN_S)
    assert report["same"], report
    assert report["inputs"] > 0
    assert report["turns"] == {"new": 0, "lost": 0}, report["turns"]
    assert [report[left_out] for left_out in ("not_compared", "unread_topics", "failed_attempts")] == [[], [], []]


def find_planted(place: Place, orders: Path) -> int:
    """A payments service that refunds twice what was paid and cancelled: answers in how many orders it is found."""
    page = place.directory / "shadow.html"
    bad = plant(ROOT, place.directory / "planted")
    asked = ("replay", "shadow", "payments", "--code", str(bad), "--html", str(page))
    (report,) = place.ask(*asked, code=FOUND, timeout_s=WITHIN_S)
    due = late(orders)
    assert due, "no order of these is hit"
    assert set(report["in_stories"]) == due, set(report["in_stories"]) ^ due
    assert report["by_event"] == [{"event": "shop.PaymentRefunded", "what": "only new", "count": len(due)}]
    assert report["by_handler"] == [{"handler": "TakePayment", "what": "only new", "count": len(due)}]
    assert report["consequences"] == 0
    shown, text = report["most_telling"], page.read_text(encoding="utf-8")
    assert len(shown) == min(len(due), 10)
    assert all(one["story"] in due and one["story"] in text for one in shown)
    assert f"payments: {len(due):,} stories differ" in text
    return len(due)


def replay_in_memory(orders: Path, say: Say, partitions: int = 4) -> None:
    """The same run on the log in memory, verified in this process."""
    stage = Stage(MemoryLog(VirtualClock(0), "olist"), MemoryRegistry(), MemoryBackends(), partitions)
    with timed(process_time) as live:
        run_virtual(stage, read_orders(orders))
    say(f"the run: {live}")
    with timed(process_time) as again:
        inputs = verify_all(stage)
    say(f"verify: {again}; {inputs:,} inputs")
    assert again.cpu_s <= live.cpu_s, f"verify took {again}, the run {live}"


def replay_purchasing(place: Place, events: Path, say: Say) -> None:
    """The saga over real purchase orders: verified, and its own code over its own log finds nothing."""
    asked = ("demo", "purchasing", "--events", str(events))
    with timed() as live:
        place.output(*asked, timeout_s=WITHIN_S)
    say(f"the run: {live}")
    with timed() as again:
        verdicts = place.ask("replay", "verify", "demo:purchasing", timeout_s=WITHIN_S)
    say(f"verify: {again}; {sum(row['inputs'] for row in verdicts):,} inputs")
    assert [(row["service"], row["clean"]) for row in verdicts] == [("saga.purchase_to_pay", True)], verdicts
    assert again.cpu_s <= live.cpu_s, f"verify took {again}, the run {live}"
    with timed() as took:
        find_nothing(place, "saga.purchase_to_pay", "demo:purchasing")
    say(f"against its own code, nothing differs: {took}")
