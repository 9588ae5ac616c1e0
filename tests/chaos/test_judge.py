"""The judge of the chaos runs finds what they look for: planted faults."""

from contextlib import closing
from pathlib import Path

import pytest

from choreo.cli.stores import ProjectBackends
from choreo.log.embedded import EmbeddedLog
from choreo.record import NewRecord, TopicPartition
from services.shop.inventory.service import KeepShelf
from tests.chaos.alone import place_of
from tests.chaos.judge import judge, judge_commands
from tests.chaos.orders import slice_orders
from tests.chaos.place import Place
from tests.demo.data import olist_directory


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Path]:
    """Sixty orders of every kind, played undisturbed."""
    base = tmp_path_factory.mktemp("judge")
    orders = slice_orders(olist_directory(), base / "orders", 60)
    place = place_of(base / "project")
    place.output("demo", "--orders", str(orders), "--wall-time")
    with EmbeddedLog(place.log_directory) as log:
        assert judge(place, log, orders)["orders"] == 60
    judge_commands(place, orders)
    return place, orders


def test_a_changed_store_is_found(played: tuple[Place, Path]) -> None:
    """One piece more on one shelf: the stock is wrong, and the store is not what the log says."""
    place, orders = played
    keys, values = KeepShelf.stock.codecs()
    with closing(ProjectBackends(place.state)) as backends:
        backend = backends.open("inventory-0")
        key, raw = next(iter(backend.scan(keys.start)))
        backend.write({key: values.dump(values.load(raw) + 1)})
        backend.close()
    try:
        with EmbeddedLog(place.log_directory) as log, pytest.raises(AssertionError, match="stock"):
            judge(place, log, orders)
        with pytest.raises(AssertionError, match="inventory"):
            judge_commands(place, orders)
    finally:
        with closing(ProjectBackends(place.state)) as backends:
            backend = backends.open("inventory-0")
            backend.write({key: raw})
            backend.close()


@pytest.mark.parametrize(("topic", "said"), [("shop.bank", "stand twice"), ("shop.orders", "OrderPlaced")])
def test_an_event_that_stands_twice_is_found(played: tuple[Place, Path], topic: str, said: str) -> None:
    """A copy of an event is found by its id, and by the count of what each order must have said."""
    place, orders = played
    with EmbeddedLog(place.log_directory) as log:
        partition = TopicPartition(topic, 0)
        with log.reader({partition: 0}) as reader:
            first = reader.read(1.0, 1)[0]
        log.append([NewRecord(topic, first.key, first.value, first.headers, 0)])
        with pytest.raises(AssertionError, match=said):
            judge(place, log, orders)
