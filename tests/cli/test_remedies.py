"""`choreo sagas why` proposes orders: the line for each that would be taken as the saga stands, and what it does."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Choreo
from tests.cli.given import can_be_given
from tests.cli.kiosk import write_kiosk


@pytest.fixture
def kiosk(directory: Path, choreo: Choreo) -> Path:
    """b1 waits for its money, b3 was refused and can't be unpacked whole, b5 is paid."""
    write_kiosk(directory)
    baskets = {"b1": (["tea"], 0), "b3": (["tea", "stuck"], 500), "b5": (["tea"], 5)}
    told = [{"basket": key, "lines": lines, "total": total} for key, (lines, total) in baskets.items()]
    choreo("emit", "kiosk.py:BasketSent", "-", text="\n".join(map(json.dumps, told)))
    choreo("run", "--until-idle")
    return directory


def orders(choreo: Choreo, key: str, *options: str) -> dict[str, dict[str, Any]]:
    """What why proposes, by the lines to type."""
    found = json.loads(choreo("sagas", "why", "--json", *options, "--", key).stdout)["orders"]
    return {row["command"]: row for row in found}


def typed(line: str) -> list[str]:
    """The words of a line, once its reason is filled in."""
    return shlex.split(line.replace('"..."', "'seen to'"))[1:]


def looked_at(choreo: Choreo, line: str) -> dict[str, Any]:
    """What a line would do, as its dry run says; it has to be taken."""
    sagas, order, *rest = typed(line)
    (made,) = map(json.loads, choreo(sagas, order, "--dry-run", "--json", *rest).stdout.splitlines())
    assert made["refused"] is None
    found: dict[str, Any] = made
    return found


def test_what_is_proposed_of_a_stuck_saga_is_what_would_be_taken(kiosk: Path, choreo: Choreo) -> None:
    """Nothing else: neither the step that failed nor a cancellation of what is undone already."""
    found = orders(choreo, "b3")
    assert list(found) == [
        "choreo sagas retry 'pack[stuck]' b3 --why \"...\"",
        "choreo sagas answer 'pack[stuck]' Unpacked b3 --why \"...\"",
        "choreo sagas resolve 'pack[stuck]' compensated b3 --why \"...\"",
        "choreo sagas skip 'pack[stuck]' b3 --why \"...\"",
    ]
    said = choreo("sagas", "why", "b3").stdout
    for line, row in found.items():
        can_be_given(line)
        assert f"    {line}\n        {row['does']}\n" in said
        made = looked_at(choreo, line)
        assert made["changes"] == row["changes"]
        assert made["emits"] == [event.rpartition(".")[2] for event in row["emits"]]
    choreo("sagas", "cancel", "b3", "--dry-run", code=1)


def test_a_proposed_answer_names_the_fields_that_somebody_has_to_fill_in(kiosk: Path, choreo: Choreo) -> None:
    """Those with a default and those that the saga knows are left out; filled in, it is taken and heard."""
    line = 'choreo sagas answer pay Paid b1 cents=... --why "..."'
    row = orders(choreo, "b1")[line]
    assert row["does"] == "emits Paid in place of whoever should, which completes pay"
    choreo(*typed(line.replace("cents=...", "cents=500")))
    choreo("run", "--until-idle")
    assert choreo("sagas", "show", "b1").stdout.startswith("completed: ")


def test_a_proposed_line_repeats_what_this_one_was_told(kiosk: Path, choreo: Choreo) -> None:
    """Another log, and which saga: else it would speak of another one."""
    line = next(iter(orders(choreo, "b3", "--saga", "basket", "--log", "embedded:.choreo/log")))
    told = "--log embedded:.choreo/log --saga basket"
    assert line == f"choreo sagas retry 'pack[stuck]' b3 {told} --why \"...\""
    looked_at(choreo, line)


@pytest.mark.parametrize("key", ["a=b", "-x", "two words", "it's"])
def test_a_proposed_line_is_understood_whatever_the_key(directory: Path, choreo: Choreo, key: str) -> None:
    """One that reads as a field, as an option, or as several words."""
    write_kiosk(directory)
    choreo("emit", "kiosk.py:BasketSent", "-", text=json.dumps({"basket": key, "lines": ["tea"], "total": 0}))
    choreo("run", "--until-idle")
    found = orders(choreo, key)
    assert len(found) == 7
    for line in found:
        assert looked_at(choreo, line.replace("cents=...", "cents=1"))["key"] == key


def test_nothing_is_proposed_of_what_has_ended(kiosk: Path, choreo: Choreo) -> None:
    """It is over."""
    assert orders(choreo, "b5") == {}
    assert "what you can order" not in choreo("sagas", "why", "b5").stdout


def test_a_retry_that_would_wait_behind_a_held_key_says_so(directory: Path, choreo: Choreo) -> None:
    """The service gave up on the request and takes nothing more of this key: one more would not be handled."""
    write_kiosk(directory)
    choreo("emit", "kiosk.py:BasketSent", "-", text='{"basket": "b13", "lines": ["tea"], "total": 13}')
    choreo("run", "--until-idle")
    found = {row["order"]: row["does"] for row in orders(choreo, "b13").values()}
    held = "; but kiosk holds back what comes for this key, so it would wait there"
    assert found["retry"] == f"asked for once more; emits PayWanted{held}"
    assert [order for order, does in found.items() if "holds back" in does] == ["retry"]
