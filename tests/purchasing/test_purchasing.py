"""The saga of purchase to pay over handmade cases: what counts, what is reopened, what ends, on every log."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from choreo.demo.bpi import Deed, read_deeds
from choreo.demo.purchase_run import cast_of_purchasing, run_purchases
from choreo.demo.purchasing import load_purchasing
from choreo.demo.run import Stage
from choreo.errors import ConfigError
from choreo.record import Record
from tests.demo.outcome import records
from tests.purchasing.expected import Expected, expected
from tests.purchasing.standing import CASES, CREATE, GOODS, stage, standing, write_cases


def run(at: Stage, directory: Path) -> dict[str, Expected]:
    run_purchases(at, read_deeds(directory))
    return standing(at)


@pytest.mark.parametrize("partitions", [1, 4])
def test_every_case_stands_where_its_lines_say(tmp_path: Path, partitions: int) -> None:
    """Receipts, cancellations, clearing, deletion and each category: as calculated from the CSV alone."""
    directory, at = write_cases(tmp_path), stage(partitions)
    due = expected(directory)
    assert len(due) == len(CASES)
    assert run(at, directory) == due


@pytest.mark.parametrize(
    ("case", "status", "waits_for"),
    [
        ("through", "completed", ()),
        ("invoice_first", "completed", ()),
        ("no_goods", "waiting", ("purchasing.GoodsReceived",)),
        ("nothing", "waiting", ("purchasing.GoodsReceived", "purchasing.InvoiceReceived")),
        ("goods_cancelled", "waiting", ("purchasing.GoodsReceived", "purchasing.InvoiceCleared")),
        ("reopened", "waiting", ("purchasing.GoodsReceived",)),
        ("paid_again", "completed", ()),
        ("paid_for_another", "waiting", ("purchasing.InvoiceCleared",)),
        ("deleted", "cancelled", ()),
        ("deleted_when_through", "completed", ()),
        ("reactivated", "cancelled", ()),
        ("two_way", "completed", ()),
        ("consignment", "completed", ()),
        ("consignment_cancelled", "waiting", ("purchasing.GoodsReceived",)),
    ],
)
def test_the_calculation_follows_the_rules(tmp_path: Path, case: str, status: str, waits_for: tuple[str, ...]) -> None:
    """What the real cases are held against is itself held against cases that were worked out by hand."""
    found = expected(write_cases(tmp_path, {case: CASES[case]}))[case]
    assert (found.status, found.waits_for) == (status, waits_for)


def test_nothing_is_lost_on_the_way(tmp_path: Path) -> None:
    """One event a line, in the order of `seq` within a case, with the time of the line; no dead letter."""
    directory, at = write_cases(tmp_path), stage()
    deeds = read_deeds(directory)
    run_purchases(at, deeds)
    cast = cast_of_purchasing()
    keys = [record.key for record in records(at, [cast.purchasing.topic])]
    assert len(keys) == len(deeds) == sum(len(activities) for _, activities in CASES.values())
    assert list(records(at, [f"{cast.service.scope}.dead-letters"])) == []


def test_an_event_keeps_what_the_line_says() -> None:
    """Every activity of the published log has its event, which says item, number, activity and time."""
    sample = load_purchasing()
    assert len(sample.activities) == 42
    for activity in sample.activities:
        deed = Deed("i1", 3, activity, datetime(1948, 1, 26, 22, 59, tzinfo=UTC), "2-way match")
        event = sample.event(deed)
        said = {name: getattr(event, name) for name in ("item_id", "seq", "activity", "happened_at")}
        assert said == {"item_id": "i1", "seq": 3, "activity": activity, "happened_at": deed.happened_at}
        assert getattr(event, "category", "2-way match") == "2-way match"


def test_an_unknown_activity_is_refused(tmp_path: Path) -> None:
    """An activity without an event is named with its case, and the file where it belongs."""
    directory = write_cases(tmp_path, {"odd": ("", [CREATE, "Lose Goods"])})
    with pytest.raises(ConfigError, match="nobody knows the activity 'Lose Goods'") as refused:
        run_purchases(stage(), read_deeds(directory))
    assert refused.value.at == "case odd, event 1"


def test_a_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Cases that have gone on since are taken up; what is on the log already is not written again."""
    at, began = stage(), {"a": ("", [CREATE, GOODS]), "b": ("", [CREATE])}
    assert run_purchases(at, read_deeds(write_cases(tmp_path, began))).new == 3
    went_on = began | {"b": ("", [CREATE, GOODS]), "c": ("", [CREATE])}
    directory = write_cases(tmp_path, went_on)
    summary = run_purchases(at, read_deeds(directory))
    assert (summary.cases, summary.events, summary.new) == (3, 5, 2)
    assert standing(at) == expected(directory)
    assert run_purchases(at, read_deeds(directory)).new == 0


def test_a_log_with_other_cases_is_refused(tmp_path: Path) -> None:
    """Cases that are not those on the log are refused before anything is written."""
    at = stage()
    run_purchases(at, read_deeds(write_cases(tmp_path, {"a": ("", [CREATE])})))

    def written() -> list[Record]:
        return list(records(at, ["purchasing.items"]))

    before = written()
    with pytest.raises(ConfigError, match="already holds events of other cases, a for one"):
        run_purchases(at, read_deeds(write_cases(tmp_path, {"b": ("", [CREATE])})))
    assert written() == before


def test_the_summary_counts_cases_by_outcome(tmp_path: Path) -> None:
    """Cases by status, and by what they wait for in the order of the steps, with an example each."""
    directory, at = write_cases(tmp_path), stage()
    found, due = run_purchases(at, read_deeds(directory)), expected(directory)
    assert dict(found.statuses) == {
        status: sum(case.status == status for case in due.values()) for status in ("completed", "cancelled", "waiting")
    }
    events = ["purchasing.GoodsReceived", "purchasing.InvoiceReceived", "purchasing.InvoiceCleared"]
    assert list(found.waiting) == events
    assert dict(found.waiting) == {e: sum(e in case.waits_for for case in due.values()) for e in events}
    assert all(event in due[found.examples[event]].waits_for for event in events)
    assert (found.cases, found.new) == (len(CASES), found.events)
    assert found.wall_s > 0 < found.cpu_s
