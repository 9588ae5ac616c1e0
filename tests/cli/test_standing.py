"""How sagas stand, at the console: since when they are under way, and what became of each step and item."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from choreo.cli import saga_filters, sagas
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
