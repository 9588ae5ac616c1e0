"""`choreo replay state` and `choreo sagas show --at`: the past as it was, by every way of naming a point of it."""

import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from choreo.log.open import open_log
from choreo.record import TopicPartition
from tests.cli.conftest import Choreo

TOML = '[project]\nservices = ["shop"]\nsagas = "order.yaml"\n\n[log]\nurl = "embedded:.choreo/log"\n'


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def touched(place: Path) -> dict[str, Any]:
    """Whatever a replay must leave as it is: ends of all topics, what groups committed, the files of the stores."""
    with open_log(f"embedded:{place / '.choreo' / 'log'}") as log:
        places = [TopicPartition(name, n) for name, topic in log.topics().items() for n in range(topic.partitions)]
        groups = {group: log.committed(group, places) for group in ("choreo.inventory", "choreo.saga.order")}
        ends = log.ends(places)
    files = sorted((place / ".choreo" / "log" / "state").rglob("*.sst"))
    return {"ends": ends, "groups": groups, "files": {f: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}}


@pytest.fixture
def ran(project: Path, choreo: Choreo) -> Path:
    """Two orders after one another: o1 is declined, so its stock is released; o2 is paid."""
    (project / "choreo.toml").write_text(TOML, encoding="utf-8")
    for order in ('{"order_id": "o1", "total": 250}', '{"order_id": "o2", "total": 20}'):
        choreo("emit", "shop.py:OrderPlaced", "-", text=order)
        choreo("run", "--until-idle")
    return project


def steps(choreo: Choreo, *asked: str) -> list[dict[str, Any]]:
    return objects(choreo("replay", "state", "inventory", "--step", "--json", *asked).stdout)


def test_every_change_is_told_step_by_step(ran: Path, choreo: Choreo) -> None:
    """`--step` tells of each change what brought it about, which handler made it, and what it was before; by time."""
    told = steps(choreo)
    changes = [(row["cause"], row["key"], row["before"] is None, row["after"] is None) for row in told]
    assert changes == [
        ("shop.OrderPlaced", "o1", True, False),
        ("shop.ReleaseRequested", "o1", False, True),
        ("shop.OrderPlaced", "o2", True, False),
    ]
    assert told[0]["after"] == {"order_id": "o1", "total": 250}
    assert told[0]["handlers"] == ["ReserveStock"]
    assert told[0]["emitted"] == ["shop.StockReserved"]
    lines = choreo("replay", "state", "inventory", "--step", "--key", "o1").stdout.splitlines()
    assert len(lines) == 6
    assert "shop.OrderPlaced o1  orders[" in lines[0]
    assert lines[1] == '    reserved o1: - -> {"order_id": "o1", "total": 250}'
    assert lines[2] == "    emits shop.StockReserved"


def test_the_state_at_a_point(ran: Path, choreo: Choreo) -> None:
    """An event's id, the position of an input and a time name the same point: what stood there then, and no more."""
    first, released, second = steps(choreo)
    for name in ("event_id", "place", "at"):
        for row, keys in ((first, ["o1"]), (released, []), (second, ["o2"])):
            asked = ("replay", "state", "inventory", "--json", "--at", row[name])
            found = [one["key"] for one in objects(choreo(*asked).stdout)]
            assert found == keys, (name, row)
    assert [one["key"] for one in objects(choreo("replay", "state", "inventory", "--json").stdout)] == ["o2"]
    assert not objects(choreo("replay", "state", "inventory", "--json", "--at", "2020-01-01").stdout)
    assert not objects(choreo("replay", "state", "inventory", "--json", "--at", "2h").stdout)


def test_the_difference_of_two_points(ran: Path, choreo: Choreo) -> None:
    """`--diff` lists the entries that are not the same, with the input that changed each last."""
    second = steps(choreo)[-1]
    (row,) = objects(choreo("replay", "state", "inventory", "--json", "--diff", "2020-01-01", second["at"]).stdout)
    assert (row["store"], row["key"], row["before"]) == ("reserved", "o2", None)
    assert (row["cause"], row["event_id"]) == ("shop.OrderPlaced", second["event_id"])


def test_every_change_between_two_points(ran: Path, choreo: Choreo) -> None:
    """`--step` with `--diff` tells the changes behind the one point up to the other, in their order."""
    first, released, _ = steps(choreo)
    assert steps(choreo, "--diff", first["place"], released["place"]) == [released]
    assert (
        "nothing changed in between"
        in choreo("replay", "state", "inventory", "--step", "--diff", "2020-01-01", "2020-01-02").stderr
    )


def test_timers_are_entries_too(ran: Path, choreo: Choreo) -> None:
    """A timer that was set then stands among the entries, by its name, with the time at which it was due."""
    timers = [
        row for row in objects(choreo("replay", "state", "saga.order", "--json").stdout) if row["store"] == "timer due"
    ]
    assert sorted(row["key"] for row in timers) == ["o1 / ~saga", "o2 / ~saga"]
    assert all(datetime.fromisoformat(row["value"]).tzinfo is UTC for row in timers)


def test_what_other_code_did_is_said(ran: Path, choreo: Choreo) -> None:
    """Where another build did what is shown, the code at hand may make something else of it: every look says so."""
    looks = ((), ("--step",), ("--diff", "2020-01-01", "2100-01-01"))
    said = "other code ran then"
    for look in looks:
        assert said not in choreo("replay", "state", "inventory", *look).stderr
    text = (ran / "shop.py").read_text(encoding="utf-8")
    (ran / "shop.py").write_text(
        text.replace("order_id=order.order_id)", "order_id=str(order.order_id))"), encoding="utf-8"
    )
    del sys.modules["shop"]
    for look in looks:
        assert said in choreo("replay", "state", "inventory", *look).stderr
    assert said not in choreo("replay", "state", "inventory", "--at", "2020-01-01").stderr


def test_an_instance_as_it_stood(ran: Path, choreo: Choreo) -> None:
    """`sagas show --at` tells the story as it stood then, `--step` each turn that it took."""
    told = objects(choreo("sagas", "show", "o1", "--step", "--json").stdout)
    assert told[0]["cause"] == "shop.OrderPlaced"
    assert told[0]["status"] == "waiting"
    assert told[0]["moved"] == [["reserve", "idle", "waiting"], ["pay", "idle", "waiting"]]
    assert told[-1]["status"] == "compensated"
    for row in told:
        stood = objects(choreo("sagas", "show", "o1", "--json", "--at", row["event_id"]).stdout)[0]
        assert {name: stood[name] for name in ("status", "steps")} == {name: row[name] for name in ("status", "steps")}
    lines = choreo("sagas", "show", "o1", "--at", told[0]["event_id"]).stdout.splitlines()
    assert lines[0].startswith("waiting: reserve waits for StockReserved")
    assert "had not started" in choreo("sagas", "show", "o1", "--at", "2020-01-01").stderr
    for option in ((), ("--step",)):
        said = choreo("sagas", "show", "o2", "--at", told[0]["place"], *option)
        assert f"{told[0]['place']} is an input of task" in said.stderr


def test_nothing_live_is_touched(ran: Path, choreo: Choreo) -> None:
    """A look at the past writes to no topic, commits for no group and changes no store; nothing of it is left."""
    before = touched(ran)
    steps(choreo)
    choreo("replay", "state", "inventory", "--at", "2020-01-01")
    choreo("sagas", "show", "o1", "--step")
    choreo("replay", "verify")
    assert touched(ran) == before
    assert not (ran / ".choreo" / "log" / "state" / ".replay").exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("inventory", "--at", "yesterday"), "yesterday is no point of the past"),
        (("inventory", "--at", "elsewhere[0]@3"), "elsewhere is no input of inventory"),
        (("inventory", "--at", "orders[0]@99999"), "inventory has not handled this input"),
        (("inventory", "--at", "orders[7]@0"), "orders has no partition 7"),
        (("inventory", "--diff", "2020-01-02", "2020-01-01"), "does not lie before"),
        (("inventory", "--at", "00000000-0000-4000-8000-000000000000"), "no input of inventory has this event id"),
        (("inventory", "--store", "reservd"), "did you mean reserved?"),
        (("inventry",), "did you mean inventory?"),
        (("inventory", "--diff", "orders[0]@0", "orders[1]@0"), "these points lie in tasks 0 and 1"),
        (("inventory", "--at", "2020-01-01", "--diff", "2020-01-01", "2020-01-02"), "exclude each other"),
    ],
)
def test_what_makes_no_sense_is_refused(ran: Path, choreo: Choreo, asked: tuple[str, ...], said: str) -> None:
    """A point that is none, an input of others, one that was not handled, an unknown name: each says what to do."""
    assert said in choreo("replay", "state", *asked, code=2).stderr
