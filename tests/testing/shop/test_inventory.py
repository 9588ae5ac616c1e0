"""Inventory alone: given, when, then."""

from choreo.testing import Scenario
from tests.testing.shop.inventory.events import StockRejected, StockReleased, StockReleaseRequested, StockReserved
from tests.testing.shop.inventory.service import ReserveStock, inventory
from tests.testing.shop.stories import counted, placed


def test_reserves_every_line() -> None:
    """An order whose lines are all there is reserved."""
    story = Scenario(inventory).given(counted(pieces=5))
    story.when(placed("o1", quantity=2))
    story.then(StockReserved(order_id="o1", warehouse="vienna"))
    story.then_stored(ReserveStock.stock, {("vienna", "tea"): 3})


def test_reserves_nothing_when_a_line_is_short() -> None:
    """A single short line rejects the order and leaves the stock alone."""
    story = Scenario(inventory).given(counted(pieces=1)).when(placed("o1", quantity=2))
    story.then(StockRejected(order_id="o1", missing=("tea",)))
    story.then_stored(ReserveStock.stock, {("vienna", "tea"): 1})


def test_release_survives_a_restart() -> None:
    """What was reserved before a crash is put back after it."""
    story = Scenario(inventory).given(counted(pieces=5), placed("o1", quantity=2)).restart()
    story.when(StockReleaseRequested(order_id="o1", warehouse="vienna"))
    story.then(StockReleased(order_id="o1"))
    story.then_stored(ReserveStock.stock, {("vienna", "tea"): 5})
