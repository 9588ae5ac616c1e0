"""The past: what stores held at any point, from wherever a replay starts, and what changed them."""

import pytest

from choreo import Service
from choreo.errors import ConfigError
from choreo.events.envelope import unpack
from choreo.record import Position, Record
from choreo.replay.past import Past
from choreo.replay.points import Moment, Point, expect_input, position_of
from choreo.replay.sandbox import Sandbox
from choreo.runtime.plan import plan_of
from choreo.state.backend import Backend
from choreo.state.changelog import entries
from choreo.state.keys import key_codec
from tests.runtime.test_thread import Placed, Reserve
from tests.runtime.town import Town

TOTALS = key_codec("totals", str)


def town_of_days(**options: object) -> Town:
    """Orders o0 to o3 are placed again and again, an hour apart, by a worker that dies now and then; reminders fire."""
    town = Town(Service("inventory", handlers=[Reserve]), options=options)
    for hour in range(8):
        town.tell(Placed(order_id=f"o{hour % 4}", pieces=1 + hour), Placed(order_id="bad", pieces=-1))
        town.wait(3600)
        if hour % 3 == 2:
            town.crash()
            town.time.settle()
    town.wait(1)
    return town


def sandbox_of(town: Town, *, snapshots: bool = False) -> Sandbox:
    kept = [town.backends["inventory"].snapshots("inventory-0")] if snapshots else []
    return Sandbox(town.services[0], town.log, town.registry, snapshots=lambda number: kept)


def totals(backend: Backend) -> dict[str, int]:
    """What the store `totals` says."""
    return {TOTALS.decode(key): int(value[1:]) for key, value in entries(backend) if key.startswith(TOTALS.start)}


def placed(town: Town) -> list[Record]:
    """The records of the orders that were placed well, in order."""
    return [
        r for r in town.records("town.orders") if r.key != b"bad" and not unpack(dict(r.headers)["choreo"]).causation_id
    ]


def test_the_stores_at_every_input_are_what_the_inputs_until_then_make() -> None:
    """Up to each input the totals are the sum of what was placed until then, itself included; so they are at the moment
    at which it was handled.
    """
    town = town_of_days()
    past = Past(sandbox_of(town), 0)
    sums: dict[str, int] = {}
    for hour, record in enumerate(placed(town)):
        key = (record.key or b"").decode()
        sums[key] = sums.get(key, 0) + 1 + hour
        points: list[Point] = [record.position, Moment(unpack(dict(record.headers)["choreo"]).at)]
        for point in points:
            with past.at(point) as backend:
                assert totals(backend) == sums, point
    with past.at(Moment(0)) as backend:
        assert list(entries(backend)) == []
    with past.at(Moment(1 << 62)) as backend:
        live = town.workers[0].tasks[0].task.entries.backend
        assert list(entries(backend)) == list(entries(live))


def test_a_snapshot_changes_nothing_but_the_work() -> None:
    """From snapshots the same comes out at every point as from the first input, and the last of them is what it starts
    from.
    """
    town = town_of_days(snapshot_every_inputs=6)
    numbers = town.backends["inventory"].snapshots("inventory-0").numbers()
    assert len(numbers) >= 3
    start = sandbox_of(town, snapshots=True).starts(0).at_or_before(1 << 40)
    assert start is not None
    assert start.checkpoint == numbers[-1] > 10
    from_nothing, from_snapshots = Past(sandbox_of(town), 0), Past(sandbox_of(town, snapshots=True), 0)
    for record in town.records("town.orders"):
        with from_nothing.at(record.position) as one, from_snapshots.at(record.position) as other:
            assert list(entries(one)) == list(entries(other)), record.position


def test_what_differs_between_two_points_is_told_with_its_cause() -> None:
    """Between two inputs of one key only that key's entries differ, the last act that changed each is named, and an
    entry that came back to what it was is left out.
    """
    town = town_of_days()
    past = Past(sandbox_of(town), 0)
    first, again = (r for r in placed(town) if r.key == b"o1")
    turns = {
        TOTALS.decode(t.key): t for t in past.between(first.position, again.position) if t.key.startswith(TOTALS.start)
    }
    assert sorted(turns) == ["o0", "o1", "o2", "o3"]
    assert (turns["o1"].before, turns["o1"].after) == (b"\x012", b"\x018")
    cause = turns["o1"].act.cause
    assert isinstance(cause, Record)
    assert cause.position == again.position
    assert list(past.between(again.position, again.position)) == []


def test_points_in_another_order_are_refused() -> None:
    """Two points of which the second does not lie behind the first are refused, whether inputs or moments."""
    town = town_of_days()
    past = Past(sandbox_of(town), 0)
    first, again = (r.position for r in placed(town) if r.key == b"o1")
    before, behind = Moment(0), Moment(1 << 52)
    for since, point in ((again, first), (behind, first), (again, before), (behind, before)):
        with pytest.raises(ConfigError, match="does not lie before"):
            list(past.between(since, point))


def test_what_was_not_handled_has_no_difference_to_anything() -> None:
    """An input that the journal does not reach is refused as the later of two points, too."""
    past = Past(sandbox_of(town_of_days()), 0)
    with pytest.raises(ConfigError, match="has not handled this input"):
        list(past.between(Moment(0), Position("town.orders", 0, 99_999)))


def test_an_offset_without_a_record_is_no_point() -> None:
    """Where a mark of a transaction lies, nothing was handled: it is said, instead of going on to the end."""
    town = town_of_days()
    taken = {record.offset for record in town.records("town.orders")}
    mark = next(offset for offset in range(max(taken)) if offset not in taken)
    past = Past(sandbox_of(town), 0)
    with pytest.raises(ConfigError, match="no record lies here"), past.at(Position("town.orders", 0, mark)):
        pass


def test_acts_tell_what_each_input_changed() -> None:
    """All acts up to a point, in order: each with what it changed from what to what, and what it published."""
    town = town_of_days()
    last = placed(town)[-1]
    acts = list(Past(sandbox_of(town), 0).acts(last.position))
    assert isinstance(acts[-1].cause, Record)
    assert acts[-1].cause.position == last.position
    changes = [act.changes[TOTALS.encode("o3")] for act in acts if TOTALS.encode("o3") in act.changes]
    assert changes == [(None, b"\x014"), (b"\x014", b"\x0112")]
    assert [len(act.outputs) for act in acts if TOTALS.encode("o3") in act.changes] == [1, 1]


def test_an_event_is_found_by_its_id() -> None:
    """An input is found by the id of its event; an id of none is refused, so are a topic and a partition."""
    town = town_of_days()
    sandbox = sandbox_of(town)
    plan, record = plan_of(sandbox.service), placed(town)[3]
    event_id = unpack(dict(record.headers)["choreo"]).event_id
    assert position_of(plan, sandbox.codec(), town.log, event_id) == record.position
    with pytest.raises(ConfigError, match="no input of inventory has this event id"):
        position_of(plan, sandbox.codec(), town.log, bytes(16))
    with pytest.raises(ConfigError, match=r"its inputs are town\.orders"):
        expect_input(plan, Position("elsewhere", 0, 3), 1)
    with pytest.raises(ConfigError, match=r"town\.orders has no partition 1"):
        expect_input(plan, Position("town.orders", 1, 3), 1)


def test_an_input_that_is_yet_to_be_handled_is_refused() -> None:
    """A position behind what the journal reaches has no state yet."""
    town = town_of_days()
    with (
        pytest.raises(ConfigError, match="has not handled"),
        Past(sandbox_of(town), 0).at(Position("town.orders", 0, 9999)),
    ):
        pass
