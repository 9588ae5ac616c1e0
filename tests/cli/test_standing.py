"""How sagas stand, at the console: since when they are under way, and what became of each step and item."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from choreo.cli import saga_filters, saga_rows, sagas
from choreo.saga.instance import Glance, Instance, Status, glance
from tests.cli.conftest import Choreo
from tests.cli.kiosk import write_kiosk


@pytest.fixture
def kiosk(directory: Path, choreo: Choreo) -> Path:
    """b1 waits for its money, b2 was refused and unpacked, b3 was refused and can't be unpacked whole."""
    write_kiosk(directory)
    choreo("check", "--strict")
    baskets = {"b1": (["tea"], 0), "b2": (["tea", "milk"], 500), "b3": (["tea", "stuck"], 500)}
    told = [{"basket": key, "lines": lines, "total": total} for key, (lines, total) in baskets.items()]
    choreo("emit", "kiosk.py:BasketSent", "-", text="\n".join(map(json.dumps, told)))
    choreo("run", "--until-idle")
    return directory


def rows(choreo: Choreo, *arguments: str) -> dict[str, dict[str, Any]]:
    """A listing's rows by their keys."""
    said = choreo("sagas", *arguments, "--json").stdout
    return {row["key"]: row for row in map(json.loads, said.splitlines())}


class Later:
    """A clock that is two hours and a little before any other."""

    def now(self) -> int:
        """Microseconds since 1970."""
        return int((datetime.now(UTC) + timedelta(hours=2, minutes=1)).timestamp() * 1_000_000)


def test_a_listing_tells_how_long_each_is_under_way(
    kiosk: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since its start, as the filters by age count; for programs in seconds; also where the stores are asked."""
    monkeypatch.setattr(saga_filters, "SystemClock", Later)
    for filters in ((), ("--older-than", "2h")):
        head, *lines = choreo("sagas", "list", *filters).stdout.splitlines()
        assert head.split()[:4] == ["SAGA", "KEY", "STATUS", "AGE"]
        assert [line.split()[3:6] for line in lines] == [["2", "h", "1"]] * 3
        assert all(7260 <= row["age_s"] < 7320 for row in rows(choreo, "list", *filters).values())


def test_show_tells_since_when_it_stands_so(kiosk: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since its start, and since it came to its status, as its history has it."""
    monkeypatch.setattr(sagas, "SystemClock", Later)
    line = next(line for line in choreo("sagas", "show", "b2").stdout.splitlines() if " ago)" in line)
    assert re.fullmatch(r"  started \S+ \S+ \(2 h 1 min ago\), compensated since \S+ \S+ \(2 h [01] min\)", line)


def test_a_status_counts_from_when_it_came_last() -> None:
    """A saga that is stuck for the second time is so since then; one without a history since its start."""
    began = datetime(2026, 3, 2, tzinfo=UTC)
    went = ("compensating", "stuck", "compensating", "stuck", "stuck")
    history = [{"at": began + timedelta(hours=hour), "status": status} for hour, status in enumerate(went)]
    row = {"started_at": began, "status": "stuck"}
    hour, now = 3600, began + timedelta(hours=10)
    since = began + timedelta(hours=3)
    assert sagas.times_of(row, history, now) == {"age_s": 10 * hour, "status_since": since, "status_s": 7 * hour}
    assert sagas.times_of(row, [], now) == {"age_s": 10 * hour, "status_since": began, "status_s": 10 * hour}


def test_a_step_whose_items_were_undone_is_not_done(kiosk: Path, choreo: Choreo) -> None:
    """The step and each item stand as they are now: in what is shown, listed and filtered."""
    shown = choreo("sagas", "show", "b2").stdout
    assert "  pack                 compensated\n    pack[tea]            compensated\n" in shown
    stands = {"pack": "compensated", "pay": "failed", "pack[tea]": "compensated", "pack[milk]": "compensated"}
    assert rows(choreo, "show", "b2")["b2"]["steps"] == stands
    assert rows(choreo, "list")["b2"]["steps"] == stands
    assert list(rows(choreo, "list", "--step", "pack=compensated")) == ["b2"]
    assert list(rows(choreo, "list", "--step", "pack=done")) == ["b1"]


def test_a_step_of_which_one_item_cant_be_undone_says_so(kiosk: Path, choreo: Choreo) -> None:
    """The worst of its items is what holds the saga up."""
    stands = rows(choreo, "show", "b3")["b3"]["steps"]
    assert (stands["pack"], stands["pack[tea]"], stands["pack[stuck]"]) == (
        "compensation_failed",
        "compensated",
        "compensation_failed",
    )


def test_a_whole_key_is_found_without_reading_of_all_others(
    kiosk: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the coordinator's store; its history is whole, from its start to its end."""

    def too_much(*_: object) -> None:
        raise AssertionError("all that is told of all sagas is read")

    monkeypatch.setattr(saga_rows, "read_to_end", too_much)
    history = rows(choreo, "show", "b2")["b2"]["history"]
    assert history[0]["change"][0] == "started"
    assert history[-1]["change"][-1] == "compensating -> compensated"


@pytest.mark.parametrize("key", ["o1", 'a"b', "\\", "ö", '","status":"stuck'])
def test_a_stored_instance_is_known_at_first_sight(key: str) -> None:
    """Its key, its spec and its status, whatever the key and however it stands; another format is left to who reads."""
    codec = Instance.__value_codec__()
    for status in get_args(Status):
        whole = Instance(saga="s", key=key, version=3, digest="d1", status=status, remembered={"status": "x"})
        assert glance(codec.dump(whole)) == Glance(key, "d1", status)
    assert glance(b"\x02" + codec.dump(whole)[1:]) is None


def test_how_many_there_are_is_counted_at_first_sight(kiosk: Path, choreo: Choreo) -> None:
    """By status, also of those that other filters leave."""

    def counted(*filters: str) -> dict[str, int]:
        lines = choreo("sagas", "list", "--count", "--json", *filters).stdout.splitlines()
        return {row["status"]: row["count"] for row in map(json.loads, lines)}

    assert counted() == {"waiting": 1, "compensated": 1, "stuck": 1}
    assert counted("--status", "stuck", "--status", "waiting") == {"waiting": 1, "stuck": 1}
    assert counted("--key", "b2") == {"compensated": 1}
    assert counted("--younger-than", "1h") == counted()
    assert counted("--older-than", "1h") == {}
    assert counted("--step", "pack=done") == {"waiting": 1}


def test_a_limit_takes_the_first_by_their_keys(kiosk: Path, choreo: Choreo) -> None:
    """Whichever task they lie in."""
    assert list(rows(choreo, "list", "--limit", "2")) == ["b1", "b2"]
    assert list(rows(choreo, "list", "--limit", "1", "--status", "stuck", "--status", "compensated")) == ["b2"]


def test_senseless_filters_are_told_where_nothing_is_looked_at(kiosk: Path, choreo: Choreo) -> None:
    """No saga was cancelled: a step and a name that none has are mistakes all the same."""
    assert "has a step pak" in choreo("sagas", "list", "--status", "cancelled", "--step", "pak", code=2).stderr
    assert "saga.sum" in choreo("sagas", "list", "--status", "cancelled", "--where", "saga.sum > 1", code=2).stderr
