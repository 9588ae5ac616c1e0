"""The short version of `make chaos ARGS="--only replays"`: a few real orders, by the command line."""

from pathlib import Path

import pytest

from tests.chaos.alone import place_of
from tests.chaos.orders import slice_orders
from tests.chaos.replays import find_nothing, find_planted
from tests.demo.data import olist_directory
from tests.demo.planted import late


@pytest.mark.timeout(300)
def test_a_planted_bug_is_found_in_the_orders_of_the_rows(tmp_path: Path) -> None:
    """`choreo replay shadow --code --html` of payments that refund twice names exactly the paid orders that were
    cancelled, in its JSON and on its page; of the code that ran it finds nothing.
    """
    orders = slice_orders(olist_directory(), tmp_path / "orders", 60)
    place = place_of(tmp_path / "project")
    place.output("demo", "--orders", str(orders))
    find_nothing(place, "payments")
    assert 3 <= find_planted(place, orders) == len(late(orders)) < 60
