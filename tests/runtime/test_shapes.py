"""The shape of what stands in a store is on record: code that can read it goes on, other code is refused at start."""

from typing import Any

import pytest
from pydantic import BaseModel

from choreo import Context, Handler, Service, Store
from choreo.errors import LogUnavailableError, StartError, TransactionAbortedError
from choreo.replay.verify import verify
from choreo.runtime.shapes import news_of
from choreo.state.backend import Backend
from choreo.state.keys import key_codec
from choreo.state.shapes import SHAPES, shapes_on_record
from tests.runtime.test_thread import Placed, Reserved
from tests.runtime.town import Town


class Bin(BaseModel):
    pieces: int


class Noted(BaseModel):
    pieces: int
    note: str = "old"


class Strict(BaseModel):
    pieces: int
    note: str


def keeper(values: Any, keys: Any = str) -> Service:
    """A service that keeps the pieces of an order in a store of these types."""

    class Keep(Handler[Placed]):
        bins = Store[keys, values]()

        def handle(self, event: Placed, ctx: Context) -> Reserved:
            key = event.order_id if keys is str else (event.order_id, 1)
            before = self.bins.get(key)
            fields = {"note": "new"} if values is Strict else {}
            self.bins[key] = values(pieces=event.pieces + (before.pieces if before else 0), **fields)
            return Reserved(order_id=event.order_id, total=event.pieces)

    return Service("keeper", handlers=[Keep])


def restarted(town: Town, service: Service) -> None:
    """The same log and disks, other code."""
    for worker in town.workers:
        worker.abandon()
    town.services = (service,)
    town.start()
    town.time.settle()


def stood(town: Town) -> list[list[str]]:
    """The fields of each shape on record, the oldest first."""
    backend = town.workers[0].tasks[0].task.entries.backend
    return [list(shape.values["properties"]) for shape in shapes_on_record(backend, "bins")]


def changelog_of(town: Town) -> list[bytes | None]:
    """The keys of all records about shapes."""
    return [r.key for r in town.records("choreo.keeper.changelog") if (r.key or b"").startswith(SHAPES.start)]


def test_a_field_with_a_default_is_gained() -> None:
    """Old values take the default; both shapes are on record, each written once, and the replay agrees."""
    town = Town(keeper(Bin))
    town.tell(Placed(order_id="o1", pieces=2), Placed(order_id="o2", pieces=3))
    town.crash()
    town.time.settle()
    assert stood(town) == [["pieces"]]
    restarted(town, keeper(Noted))
    town.tell(Placed(order_id="o1", pieces=5))
    assert stood(town) == [["pieces"], ["pieces", "note"]]
    assert len(changelog_of(town)) == 2


def test_a_field_without_a_default_is_refused_at_start() -> None:
    """The error names store, field, what stands there and the command that rebuilds."""
    town = Town(keeper(Bin), partitions=2)
    town.tell(Placed(order_id="o1", pieces=2))
    before = town.records("choreo.keeper.changelog")
    with pytest.raises(StartError) as refused:
        restarted(town, keeper(Strict))
    text = str(refused.value)
    assert "store 'bins' of service keeper holds what this code can't read" in text
    assert "Keep.bins, task" in text
    assert "note: was added and has no default" in text
    assert "there stands a record of pieces, the code says a record of pieces, note" in text
    assert "choreo replay rebuild keeper" in text
    assert town.records("choreo.keeper.changelog") == before


def test_what_two_releases_ago_wrote_counts() -> None:
    """A default that is taken away again is refused where values of the time before it may still stand."""
    town = Town(keeper(Bin))
    town.tell(Placed(order_id="o1", pieces=2))
    restarted(town, keeper(Noted))
    with pytest.raises(StartError, match="note: was added and has no default"):
        restarted(town, keeper(Strict))


def test_keys_of_another_type_are_refused() -> None:
    """A store whose keys have changed is named with what they were and are."""
    town = Town(keeper(Bin))
    town.tell(Placed(order_id="o1", pieces=2))
    with pytest.raises(StartError, match=r"its keys were \(str\), now \(str, int\)"):
        restarted(town, keeper(Bin, tuple[str, int]))


def test_the_shape_is_known_where_a_store_is_restored() -> None:
    """The record is on the changelog: a disk that was lost does not hide what stands there."""
    town = Town(keeper(Bin))
    town.tell(Placed(order_id="o1", pieces=2))
    town.lose_stores()
    town.time.settle()
    assert stood(town) == [["pieces"]]
    for worker in town.workers:
        worker.abandon()
    town.backends = {"keeper": type(town.backends["keeper"])()}
    with pytest.raises(StartError, match="note"):
        restarted(town, keeper(Strict))


def test_a_store_without_a_record_is_taken_as_it_is() -> None:
    """What was written before shapes were noted counts as of the code that finds it, and is noted so."""
    town = Town(keeper(Bin))
    town.tell(Placed(order_id="o1", pieces=2))
    backend = town.workers[0].tasks[0].task.entries.backend
    backend.write({SHAPES.encode("bins"): None})
    restarted(town, keeper(Noted))
    assert stood(town) == [["pieces", "note"]]


def test_a_refused_first_checkpoint_loses_no_shape() -> None:
    """A checkpoint that the log refuses takes the shape with it, and the next one brings it again."""
    refusals = [1]

    def reach(name: str) -> None:
        if name == "checkpoint.appended" and refusals:
            refusals.pop()
            raise TransactionAbortedError("the log refused") from LogUnavailableError("away")

    town = Town(keeper(Bin), reach=reach)
    town.tell(Placed(order_id="o1", pieces=2))
    assert not refusals
    assert stood(town) == [["pieces"]]


def test_a_replay_is_clean_across_shapes() -> None:
    """Values of an older shape equal what the newer code writes where they say the same; another number is found."""
    town = Town(keeper(Bin))
    town.tell(Placed(order_id="o1", pieces=2), Placed(order_id="o2", pieces=2))
    restarted(town, keeper(Noted))
    town.tell(Placed(order_id="o1", pieces=2))
    live: dict[int, Backend] = {n: task.task.entries.backend for n, task in town.workers[0].tasks.items()}
    verdict = verify(town.services[0], town.log, town.registry, live.__getitem__)
    assert verdict.clean
    assert verdict.entries == 3
    key = key_codec("bins", str).encode("o2")
    assert live[0].get(key) == b'\x01{"pieces":2}'
    live[0].write({key: b'\x01{"pieces":3}'})
    (difference,) = verify(town.services[0], town.log, town.registry, live.__getitem__).differences
    assert difference.key == ("o2",)


def test_a_store_that_holds_nothing_refuses_nothing() -> None:
    """Where nothing stands in a store any code may take it up, and the shape on record is that of the new code."""
    town = Town(keeper(Bin))
    town.time.settle()
    assert stood(town) == [["pieces"]]
    restarted(town, keeper(Strict))
    assert stood(town) == [["pieces", "note"]]


def test_nothing_is_noted_twice() -> None:
    """A task that is opened by the code that wrote it has no news."""
    town = Town(keeper(Bin))
    town.tell(Placed(order_id="o1", pieces=2))
    backend = town.workers[0].tasks[0].task.entries.backend
    assert news_of(town.services[0], 0, backend) == {}
    town.crash()
    town.tell(Placed(order_id="o2", pieces=2))
    assert len(changelog_of(town)) == 1
