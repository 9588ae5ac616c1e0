"""Inventory alone: all lines or none, and everything back when it is asked back."""

from datetime import UTC, datetime

import pytest

from choreo import Event
from services.shop.inventory.events import (
    LineHeld,
    LineReleased,
    LineReleaseRequested,
    LineRequested,
    LineShort,
    PickConfirmed,
    PickRefused,
    PickRequested,
    StockRejected,
    StockReleased,
    StockReleaseRequested,
    StockReserved,
)
from services.shop.inventory.service import KeepShelf, inventory
from tests.shop.bench import Bench
from tests.shop.words import counted, placed

RELEASE = StockReleaseRequested(order_id="o1")
CONFIRMED = PickConfirmed(order_id="o1")


@pytest.fixture
def bench() -> Bench:
    bench = Bench(inventory)
    bench.tell(counted("tea", 5), counted("cup", 1))
    return bench


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def test_each_line_is_one_request_to_its_shelf(bench: Bench) -> None:
    """An order asks every shelf for its line, and the clerk once; each shelf answers about its line."""
    assert bench.tell(placed("tea", "cup")) == [
        LineRequested(product_id="tea", order_id="o1", line=0, quantity=1),
        LineRequested(product_id="cup", order_id="o1", line=1, quantity=1),
        PickRequested(order_id="o1", pieces=2),
        LineHeld(order_id="o1", line=0),
        LineHeld(order_id="o1", line=1),
    ]
    assert bench.stored(KeepShelf.stock) == {"tea": 4, "cup": 0}


def test_reserved_once_all_is_held_and_picked(bench: Bench) -> None:
    """The order is reserved when the last of the shelves and the clerk has said yes, once."""
    bench.tell(placed("tea", "tea"))
    assert bench.tell(CONFIRMED) == [StockReserved(order_id="o1")]
    assert bench.tell(CONFIRMED, LineHeld(order_id="o1", line=0)) == []


def test_an_order_without_lines_is_reserved(bench: Bench) -> None:
    """Nothing to hold is no reason to wait for anybody but the clerk."""
    assert kinds(bench.tell(placed())) == [PickRequested]
    assert bench.tell(CONFIRMED) == [StockReserved(order_id="o1")]


def test_a_short_line_rejects_and_gives_the_others_back(bench: Bench) -> None:
    """All lines or none: where one is short, what the other shelves hold goes back."""
    told = bench.tell(placed("tea", "cup", "cup"))
    assert LineShort(order_id="o1", line=2) in told
    assert StockRejected(order_id="o1", reason="a line is short") in told
    assert bench.stored(KeepShelf.stock) == {"tea": 5, "cup": 1}
    assert bench.tell(CONFIRMED) == []


def test_a_refused_pick_rejects_and_gives_all_back(bench: Bench) -> None:
    """Where the clerk can't find the goods, every line goes back and the order is rejected once."""
    bench.tell(placed("tea", "cup"))
    refused = PickRefused(order_id="o1", reason="not in the warehouse")
    assert bench.tell(refused)[0] == StockRejected(order_id="o1", reason="not in the warehouse")
    assert bench.stored(KeepShelf.stock) == {"tea": 5, "cup": 1}
    assert bench.tell(refused) == []


def test_release_answers_when_every_line_is_back(bench: Bench) -> None:
    """StockReleased is said after the last shelf has its pieces back, and again whenever asked again."""
    bench.tell(placed("tea", "cup"), CONFIRMED)
    assert bench.tell(RELEASE) == [
        LineReleaseRequested(product_id="tea", order_id="o1", line=0),
        LineReleaseRequested(product_id="cup", order_id="o1", line=1),
        LineReleased(order_id="o1", line=0),
        LineReleased(order_id="o1", line=1),
        StockReleased(order_id="o1"),
    ]
    assert bench.stored(KeepShelf.stock) == {"tea": 5, "cup": 1}
    assert bench.tell(RELEASE) == [StockReleased(order_id="o1")]
    assert bench.stored(KeepShelf.stock) == {"tea": 5, "cup": 1}


def test_release_while_asking_never_becomes_reserved(bench: Bench) -> None:
    """A reservation that is being released stays so, whatever the clerk and the shelves still say."""
    bench.tell(placed("tea"))
    assert bench.tell(RELEASE)[-1] == StockReleased(order_id="o1")
    assert bench.tell(CONFIRMED, LineHeld(order_id="o1", line=0), PickRefused(order_id="o1", reason="")) == []


def test_release_before_the_order_refuses_it(bench: Bench) -> None:
    """An order that comes after its own release holds nothing."""
    assert bench.tell(RELEASE) == [StockReleased(order_id="o1")]
    assert bench.tell(placed("tea")) == []
    assert bench.stored(KeepShelf.stock) == {"tea": 5, "cup": 1}


def test_release_of_a_rejected_order_is_answered(bench: Bench) -> None:
    """A rejected order has given everything back by itself; a request to release it is answered all the same."""
    bench.tell(placed("tea"), PickRefused(order_id="o1", reason=""))
    assert bench.tell(RELEASE) == [StockReleased(order_id="o1")]
    assert bench.stored(KeepShelf.stock)["tea"] == 5


def test_a_shelf_holds_each_line_once(bench: Bench) -> None:
    """The same line asked for twice is held once, and given back once."""
    request = LineRequested(product_id="tea", order_id="o9", line=0, quantity=2)
    bench.tell(request, request)
    assert bench.stored(KeepShelf.stock)["tea"] == 3
    back = LineReleaseRequested(product_id="tea", order_id="o9", line=0)
    bench.tell(back, back)
    assert bench.stored(KeepShelf.stock)["tea"] == 5


def test_a_line_asked_back_early_is_never_held(bench: Bench) -> None:
    """A line whose release came first holds nothing when its request comes."""
    bench.tell(LineReleaseRequested(product_id="tea", order_id="o9", line=0))
    told = bench.tell(LineRequested(product_id="tea", order_id="o9", line=0, quantity=2))
    assert told == [LineReleased(order_id="o9", line=0)]
    assert bench.stored(KeepShelf.stock)["tea"] == 5


def test_a_count_is_the_truth_once(bench: Bench) -> None:
    """A later count says how many pieces are free; the same one, come again, does not."""
    bench.tell(LineRequested(product_id="tea", order_id="o9", line=0, quantity=2))
    bench.tell(counted("tea", 5))
    assert bench.stored(KeepShelf.stock)["tea"] == 3
    bench.tell(counted("tea", 7), at=datetime(2026, 3, 2, tzinfo=UTC))
    assert bench.stored(KeepShelf.stock)["tea"] == 7
