"""`choreo replay shadow`, as it is typed: another folder, a file, a spec; what is told, the page, the exit code."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from choreo.log.open import open_log
from choreo.record import TopicPartition
from tests.cli.conftest import Choreo

RUN = ("run", "shop.py", "order.yaml", "--until-idle")


@pytest.fixture
def ran(project: Path, choreo: Choreo) -> Path:
    """A project after four orders, two of which were undone, and a copy of it in `new`."""
    orders = [json.dumps({"order_id": f"o{n}", "total": 50 * n}) for n in range(1, 5)]
    choreo("emit", "shop.py:OrderPlaced", "-", text="\n".join(orders))
    choreo(*RUN)
    (project / "new").mkdir()
    for name in ("shop.py", "order.yaml"):
        shutil.copy(project / name, project / "new" / name)
    return project


def change(project: Path, before: str, after: str, name: str = "shop.py") -> None:
    file = project / "new" / name
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def row(choreo: Choreo, *words: str, code: int = 1) -> Any:
    """What a shadow run says to programs."""
    return json.loads(choreo("replay", "shadow", *words, "--json", code=code).stdout)


def everything(project: Path) -> object:
    """The whole log, what groups committed, every file of the state directory and of the registry."""
    with open_log("embedded:.choreo/log") as log:
        places = [TopicPartition(name, n) for name, topic in log.topics().items() for n in range(topic.partitions)]
        groups = ("choreo.inventory", "choreo.payments", "choreo.saga.order")
        told = log.ends(places), [log.committed(group, places) for group in groups]
    files = {str(path) for path in project.rglob("*") if path.is_file() and ".choreo/log" in str(path)}
    return told, sorted(name for name in files if "/state/" in name or "by-id" in name)


@pytest.mark.parametrize("service", ["inventory", "payments", "order"])
def test_the_same_code_reports_nothing(ran: Path, choreo: Choreo, service: str) -> None:
    """A copy of the project over what the project did differs in nothing, exits with 0, and leaves log, groups, stores
    and registry as they were; the code that was loaded is in its place again.
    """
    before, loaded = everything(ran), sys.modules.get("shop")
    found = row(choreo, service, "shop.py", "order.yaml", "--code", "new", code=0)
    assert found["same"]
    assert found["inputs"] > 3
    assert found["entries"] > 1
    assert everything(ran) == before
    assert sys.modules.get("shop") is not None
    assert loaded is None or sys.modules["shop"] is loaded
    assert not list((ran / "new").rglob("*.pyc"))


def test_other_code_is_told_by_order_and_shown_on_a_page(ran: Path, choreo: Choreo) -> None:
    """A payments service that takes more lets through one order that was declined: that order alone is told, with the
    event that is new and the one that is missing; the page says so without script and without the network.
    """
    change(ran, "order.total < 100", "order.total < 101")
    said = ("payments", "shop.py", "order.yaml", "--code", "new/shop.py", "--html", "page.html")
    found = row(choreo, *said)
    assert {(one["event"], one["what"]): one["count"] for one in found["by_event"]} == {
        ("shop.PaymentTaken", "only new"): 1,
        ("shop.PaymentDeclined", "missing"): 1,
    }
    assert found["stories"] == 1
    (first, *_) = found["most_telling"]
    assert (first["key"], first["upon"]["name"], first["handlers"]) == ("o2", "shop.OrderPlaced", ["TakePayment"])
    page = (ran / "page.html").read_text(encoding="utf-8")
    assert "1 story differs" in page
    assert "shop.PaymentDeclined o2" in page
    assert "<script" not in page
    assert "http" not in page
    lines = choreo("replay", "shadow", *said[:-2], code=1).stdout
    assert "payments: 1 story differs" in lines
    assert "shop.PaymentDeclined: not emitted any more" in lines


def test_a_new_event_registers_no_schema(ran: Path, choreo: Choreo) -> None:
    """An event class with another field is compared field by field; the project's registry does not learn of it."""
    change(ran, "class StockReserved(OrderEvent): ...", "class StockReserved(OrderEvent):\n    shelf: int = 3")
    before = everything(ran)
    found = row(choreo, "inventory", "shop.py", "order.yaml", "--code", "new")
    assert [(one["field"], one["count"]) for one in found["fields"]] == [("shelf", 4)]
    assert everything(ran) == before


def test_another_spec_is_followed_by_new_sagas(ran: Path, choreo: Choreo) -> None:
    """A spec in which stock needs no undo: the sagas that were undone end otherwise, and no release is asked for."""
    change(ran, "compensate: {emit: ReleaseRequested, done_on: StockReleased}", "compensate: none", "order.yaml")
    found = row(choreo, "order", "shop.py", "order.yaml", "--code", "new/order.yaml")
    missing = {one["event"]: one["count"] for one in found["by_event"] if one["what"] == "missing"}
    assert missing["shop.ReleaseRequested"] == 3


def test_what_can_not_be_run_is_refused(ran: Path, choreo: Choreo) -> None:
    """A place without code, a service that is none, a sample that is none: usage errors that say what would do."""
    assert "there is no" in choreo("replay", "shadow", "payments", "shop.py", "--code", "nowhere", code=2).stderr
    assert "one of" in choreo("replay", "shadow", "payment", "shop.py", "--code", "new", code=2).stderr
    said = choreo("replay", "shadow", "payments", "shop.py", "--code", "new", "--sample", "lots", code=2).stderr
    assert "a share of all stories" in said
    backwards = ("--from", "2026-01-02", "--to", "2026-01-01")
    said = choreo("replay", "shadow", "payments", "shop.py", "--code", "new", *backwards, code=2).stderr
    assert "--from 2026-01-02 is not before --to 2026-01-01" in said


def test_a_folder_without_the_services_code_is_refused(ran: Path, choreo: Choreo) -> None:
    """Where the folder lacks the service's modules the project's own would be compared with themselves: it is said."""
    (ran / "choreo.toml").write_text('[project]\nservices = ["shop"]\n', encoding="utf-8")
    (ran / "empty").mkdir()
    said = choreo("replay", "shadow", "payments", "--code", "empty", code=2).stderr
    assert "there is no code of payments in" in said
    assert str(ran / "shop.py") in said
    choreo("replay", "shadow", "payments", "--code", "new")


def test_a_page_that_can_not_be_written_is_refused_at_once(ran: Path, choreo: Choreo) -> None:
    """A place for the page where none can lie is a usage error before anything is run."""
    (ran / "file").touch()
    for page in ("nowhere/page.html", "new", "file/page.html"):
        done = choreo("replay", "shadow", "payments", "shop.py", "--code", "new", "--html", page, code=2)
        assert "Invalid value for '--html'" in done.stderr
        assert not done.stdout


def test_a_part_of_the_past_with_nothing_in_it_says_so(ran: Path, choreo: Choreo) -> None:
    """Where no input lies in the part that is asked for, it is not said that nothing differs."""
    said = choreo("replay", "shadow", "payments", "shop.py", "--code", "new", "--from", "2100-01-01").stdout
    assert "payments: nothing was tried: it was given nothing there" in said


LIMITED = """
from choreo import Context, Handler, Service
from shop import OrderPlaced, PaymentDeclined, PaymentTaken


class Bank:
    def limit(self, order_id: str) -> int:
        raise AssertionError("nobody is called")


class TakePayment(Handler[OrderPlaced]):
    bank: Bank

    async def handle(self, order: OrderPlaced, ctx: Context) -> PaymentTaken | PaymentDeclined:
        limit = await ctx.ask("limit", self.bank.limit, order.order_id)
        return (PaymentTaken if order.total < limit else PaymentDeclined)(order_id=order.order_id)


payments = Service("payments", handlers=[TakePayment], provide={"bank": Bank})
"""
"""Payments that ask a bank how much is too much; live nobody was asked."""


@pytest.fixture
def limited(ran: Path) -> Path:
    (ran / "new" / "payments.py").write_text(LIMITED, encoding="utf-8")
    return ran


def changes(found: Any) -> dict[tuple[str, str], int]:
    return {(one["event"], one["what"]): one["count"] for one in found["by_event"]}


ASKING = ("payments", "shop.py", "order.yaml", "--code", "new/payments.py")


def test_new_calls_are_answered_by_a_function(limited: Path, choreo: Choreo) -> None:
    """--answers FILE.py:function gets the name and the arguments of each call that the journal lacks; the new code goes
    by what it answers, and sees what it raises.
    """
    answers = "def answer(name, order_id):\n    assert name == 'limit'\n    return 101 if order_id == 'o2' else 100\n"
    (limited / "answers.py").write_text(answers, encoding="utf-8")
    found = row(choreo, *ASKING, "--answers", "answers.py:answer")
    assert (found["new_calls"], found["unanswered_calls"]) == ({"limit": 4}, {})
    assert changes(found) == {("shop.PaymentTaken", "only new"): 1, ("shop.PaymentDeclined", "missing"): 1}
    assert sorted(one["arguments"][0] for one in found["calls"]) == ["'o1'", "'o2'", "'o3'", "'o4'"]
    assert {one["key"] for one in found["most_telling"]} == {"o2"}
    (limited / "answers.py").write_text("def answer(name, order_id):\n    raise KeyError(name)\n", encoding="utf-8")
    sys.modules.pop("answers", None)
    found = row(choreo, *ASKING, "--answers", "answers.py:answer")
    assert {(one["handler"], one["error"]) for one in found["failed_attempts"]} == {("TakePayment", "KeyError")}


def test_new_calls_are_answered_by_a_file(limited: Path, choreo: Choreo) -> None:
    """--answers FILE.json has one answer for each name, of the type that the call has; a name that is not there is a
    downstream that is away, as all are without --answers.
    """
    (limited / "answers.json").write_text('{"limit": 100}', encoding="utf-8")
    found = row(choreo, *ASKING, "--answers", "answers.json")
    assert changes(found) == {}
    assert (found["new_calls"], found["unanswered_calls"]) == ({"limit": 4}, {})
    (limited / "answers.json").write_text('{"other": 100}', encoding="utf-8")
    assert row(choreo, *ASKING, "--answers", "answers.json")["unanswered_calls"]["limit"] >= 4
    assert row(choreo, *ASKING)["unanswered_calls"]["limit"] >= 4


def test_answers_that_are_none_are_refused(limited: Path, choreo: Choreo) -> None:
    """A file that can't be read, one that holds no object, a thing that is no function, an answer of another type."""
    (limited / "answers.json").write_text('{"limit": "much"}', encoding="utf-8")
    (limited / "list.json").write_text("[100]", encoding="utf-8")
    (limited / "answers.py").write_text("limit = 100\n", encoding="utf-8")
    for answers, said in {
        "answers.json": "the answer of limit is of another type",
        "nothing.json": "can't be read",
        "list.json": "is no object",
        "answers.py:limit": "is no function",
        "answers.py": "is no function",
    }.items():
        assert said in choreo("replay", "shadow", *ASKING, "--answers", answers, code=2).stderr


def test_a_part_and_a_sample_are_chosen_by_options(ran: Path, choreo: Choreo) -> None:
    """--from and --to take a time or an event's id, --sample a share of the stories or the first so many."""
    change(ran, "order.total < 100", "order.total >= 100")
    asked = ("payments", "shop.py", "order.yaml", "--code", "new")
    whole = row(choreo, *asked)
    assert whole["stories"] == 4
    assert row(choreo, *asked, "--from", "2100-01-01", code=0)["inputs"] == 0
    assert row(choreo, *asked, "--to", "2020-01-01", code=0)["inputs"] == 0
    assert row(choreo, *asked, "--from", "2020-01-01", "--to", "2100-01-01")["stories"] == 4
    upon = {one["key"]: one["upon"]["event_id"] for one in whole["most_telling"] if one["upon"]}
    one_task = row(choreo, *asked, "--from", upon["o2"])  # an input is a point of its own task
    assert (one_task["tasks"], {one["key"] for one in one_task["most_telling"]}) == (1, {"o2"})
    said = choreo("replay", "shadow", *asked, "--from", upon["o2"], "--to", upon["o3"], code=2).stderr
    assert "inputs of two tasks have no order" in said
    assert row(choreo, *asked, "--sample", "100%")["stories"] == 4
    sampled = row(choreo, *asked, "--sample", "2")
    assert (sampled["stories"], set(sampled["in_stories"]) < set(whole["in_stories"])) == (2, True)
