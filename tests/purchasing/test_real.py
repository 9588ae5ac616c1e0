"""All real items of purchase orders: each stands where a calculation from the CSV alone says, on every log."""

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from choreo.cli.stores import ProjectBackends
from choreo.demo.bpi import read_deeds
from choreo.demo.purchase_run import cast_of_purchasing, run_purchases
from choreo.demo.run import Stage
from choreo.events.open import open_registry
from choreo.log.embedded import EmbeddedLog
from choreo.replay.contrast import served
from choreo.replay.sandbox import Sandbox
from choreo.replay.shadow import Shadow
from choreo.service.client import default_registry
from tests.demo.command import choreo
from tests.demo.data import bpic_directory
from tests.demo.outcome import dead_letters
from tests.purchasing.expected import DELETED, REACTIVATED, Expected, cases, expected, one_of_each_way, stands
from tests.purchasing.standing import stage, standing

WITHIN_S = 1700.0
GOODS = "purchasing.GoodsReceived"
SOME_GOODS = ("Record Goods Receipt", "Record Service Entry Sheet")
INVOICE = "Record Invoice Receipt"
STATUSES = {"completed": 6831, "waiting": 4870, "cancelled": 272}
AT_ONCE_S = 20.0
"""For the whole command, a process of its own, on a machine that does other things too."""


Way = dict[str, tuple[list[str], str]]
"""Items with their activities and their category."""


@pytest.fixture(scope="module")
def every_way() -> tuple[Stage, Way]:
    """A run of one item of each way that real items went, with all its lines, on the log in memory."""
    directory, at = bpic_directory(), stage(1)
    told = one_of_each_way(cases(directory))
    summary = run_purchases(at, [deed for deed in read_deeds(directory) if deed.case_id in told])
    assert (summary.cases, summary.new) == (1146, 66_547)
    return at, told


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_way_ends_where_its_lines_say(every_way: tuple[Stage, Way]) -> None:
    """On the log in memory with one partition, one item of each way that real items went (`one_of_each_way`), with all
    its lines: status, what it waits for and what counts as done. All items run once in this suite, with four
    partitions, on the embedded log, below.
    """
    at, told = every_way
    due = {key: stands(*one) for key, one in told.items()}
    assert (len(due), sum(len(activities) for activities, _ in told.values())) == (1146, 66_547)
    assert {*due.values()} == {*expected(bpic_directory()).values()}
    assert differing(standing(at), due) == {}
    assert dead_letters(at) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_own_code_over_its_own_log_finds_nothing(every_way: tuple[Stage, Way]) -> None:
    """A shadow run of the coordinator that followed those items: no event, no entry, no end of a saga differs. Over all
    items: `make chaos`.
    """
    at, _ = every_way
    service = cast_of_purchasing().service
    report = Shadow(Sandbox(service, at.log, at.registry), served(service)).run()
    assert report.clean, report
    assert report.inputs == 66_547
    assert min(report.emissions, report.entries) > 1146
    assert (report.seen.new_turns, report.seen.lost_turns) == (0, 0)


def differing(
    found: Mapping[str, Expected], due: Mapping[str, Expected]
) -> dict[str, tuple[Expected | None, Expected | None]]:
    """The items that stand elsewhere than they must, also those that should not be there or are missing."""
    both = ((key, found.get(key), due.get(key)) for key in found.keys() | due.keys())
    return {key: (one, other) for key, one, other in both if one != other}


def test_what_the_language_can_not_follow() -> None:
    """Of the items that a deletion ended many were wanted again later: for the saga they stay ended. Others wait though
    more receipts than cancellations were recorded. docs/purchasing.md says how many.
    """
    directory = bpic_directory()
    told = {key: activities for key, (activities, _) in cases(directory).items()}
    due = expected(directory)
    ended = [key for key, case in due.items() if case.status == "cancelled"]
    again = [key for key in ended if REACTIVATED in told[key][told[key].index(DELETED) :]]
    assert (len(ended), len(again)) == (272, 136)
    assert sum(_taken_back_though_there(one, {*SOME_GOODS}, "Cancel Goods Receipt") for one in told.values()) == 230
    assert sum(_taken_back_though_there(one, {INVOICE}, "Cancel Invoice Receipt") for one in told.values()) == 587
    page = (Path(__file__).parents[2] / "docs" / "purchasing.md").read_text()
    for said in ("Of 272 items", "136 were reactivated", "of 230 items", "of 587 the last word", "2,452 items"):
        assert said in page
    assert sum(case.there == {"goods_receipt"} and case.status == "waiting" for case in due.values()) == 2452


def _taken_back_though_there(activities: list[str], brings: set[str], takes: str) -> bool:
    words = [activity for activity in activities if activity in brings or activity == takes]
    return words[-1:] == [takes] and len(words) > 2 * words.count(takes)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # three minutes of CPU, on a machine that may be shared
def test_the_command_answers_which_items_wait_for_goods(tmp_path: Path) -> None:
    """`choreo demo purchasing` takes each of 11,973 items where its lines say, on the embedded log, no dead letter;
    then `choreo sagas` names at once the items that wait for goods, and a rebuilt store equals the live one.
    """
    directory, url = bpic_directory(), f"embedded:{tmp_path / 'log'}"
    (summary,) = choreo("demo", "purchasing", "--events", str(directory), "--log", url, cwd=tmp_path, within_s=WITHIN_S)
    due = expected(directory)
    assert (len(due), summary["cases"]) == (11_973, 11_973)
    assert (summary["events"], summary["events_new"]) == (338_247, 338_247)
    assert {status: n for status, n in summary["statuses"].items() if n} == STATUSES
    for_goods = {key for key, case in due.items() if GOODS in case.waits_for}
    assert summary["waiting"][GOODS] == len(for_goods)
    began = time.monotonic()
    listed = choreo("sagas", "list", "--step", "goods_receipt=waiting", "--log", url, cwd=tmp_path, within_s=WITHIN_S)
    assert time.monotonic() - began < AT_ONCE_S
    assert {row["key"] for row in listed} == for_goods
    (verdict,) = choreo("replay", "verify", "demo:purchasing", "--log", url, cwd=tmp_path, within_s=WITHIN_S)
    assert verdict["clean"]
    with EmbeddedLog(tmp_path / "log") as log, closing(ProjectBackends(tmp_path / "log" / "state")) as backends:
        at = Stage(log, open_registry(default_registry(url)), backends, 4)
        assert dead_letters(at) == []
        assert cast_of_purchasing().service.name == verdict["service"]
        assert differing(standing(at), due) == {}
