"""docs/people.md: what waits for people is listed, its form is shown, and an answer is taken or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Choreo
from tests.cli.given import can_be_given
from tests.cli.people_page import BLOCKS, COMMANDS, write_office
from tests.testing.test_plugin import run

WHY = ("--why", "within the budget", "--who", "ada")
ROLE = ("--role", "approver")


def objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a listing."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def office(directory: Path, choreo: Choreo) -> Path:
    """Two purchases wait for approval."""
    write_office(directory)
    for key, what in (("r1", "two lamps"), ("r2", "a chair")):
        choreo("emit", "office.py:PurchaseWanted", f"request={key}", f"what={what}", "total=250")
    choreo("run", "--until-idle")
    return directory


def late_office(directory: Path, choreo: Choreo) -> None:
    """One purchase that should have been decided long ago."""
    write_office(directory)
    for name, old, new in (
        ("office.py", "    what: str\n", "    what: str\n    decide_by: datetime\n"),
        ("office.py", "from decimal", "from datetime import datetime\nfrom decimal"),
        ("purchase.yaml", "    within: 2d\n", "    within: saga.decide_by\n"),
    ):
        text = (directory / name).read_text(encoding="utf-8")
        assert old in text
        (directory / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    decide_by = "decide_by=2026-01-02T12:00:00Z"
    choreo("emit", "office.py:PurchaseWanted", "request=r1", "what=two lamps", "total=250", decide_by)
    choreo("run", "--until-idle")


def keys(choreo: Choreo, *options: str) -> list[str]:
    """Whose questions are listed."""
    return [row["key"] for row in objects(choreo("sagas", "tasks", "--json", *options).stdout)]


def shown(choreo: Choreo, key: str = "r1") -> dict[str, Any]:
    """How a saga stands, with its history."""
    return objects(choreo("sagas", "show", key, "--json").stdout)[0]


def changes(choreo: Choreo, key: str = "r1") -> list[str]:
    """All that happened to it."""
    return [change for past in shown(choreo, key)["history"] for change in past["change"]]


def test_the_page_runs_as_pasted(tmp_path: Path) -> None:
    """Its scenarios pass: approved, rejected, reminded and escalated, decided by any producer."""
    write_office(tmp_path)
    (tmp_path / "test_purchase.py").unlink()
    assert "4 passed" in run(tmp_path, dict(BLOCKS)["test_purchase.py"], "--rootdir=.")


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_on_the_page_can_be_given(line: str) -> None:
    """Its words, options and arguments are understood; nothing is run."""
    can_be_given(line)


def test_check_takes_decisions_for_what_people_emit(directory: Path, choreo: Choreo) -> None:
    """Nobody in the project emits them, and nothing is amiss; exploring and drawing know the step too."""
    write_office(directory)
    said = choreo("check", "--explore", "--diagram", "drawn")
    assert "all of it fits" in said.stderr
    assert "every run keeps every promise" in said.stdout
    drawn = [path.read_text(encoding="utf-8") for path in (directory / "drawn").iterdir()]
    assert any("decided by approver, then manager" in text for text in drawn)
    text = (directory / "purchase.yaml").read_text(encoding="utf-8")
    before, rest = text.split("    human:\n")
    (directory / "purchase.yaml").write_text(before + rest[rest.index("    completes_on") :], encoding="utf-8")
    assert "nobody-emits" in choreo("check", code=1).stdout


def test_what_waits_for_people_is_listed(office: Path, choreo: Choreo) -> None:
    """The question with its values, who may answer it, since when and until when, and what may be decided."""
    one, two = objects(choreo("sagas", "tasks", "--json").stdout)
    assert (one["saga"], one["key"], two["key"]) == ("purchase", "r1", "r2")
    assert (one["step"], one["role"], one["overdue"]) == ("approve", "approver", False)
    assert (one["question"], two["question"]) == ("Buy two lamps for 250.00?", "Buy a chair for 250.00?")
    assert one["decisions"] == ["office.PurchaseApproved", "office.PurchaseRejected"]
    assert one["since"] < one["due"]
    assert keys(choreo, "--role", "manager") == keys(choreo, "--overdue") == []
    assert keys(choreo, "--role", "manager", "--role", "approver") == ["r1", "r2"]
    line = choreo("sagas", "tasks", "purchase").stdout.splitlines()[1]
    assert "Buy two lamps for 250.00?" in line
    assert line.endswith("PurchaseApproved, PurchaseRejected")


def test_without_its_spec_a_question_is_left_out_and_it_is_said(office: Path, choreo: Choreo) -> None:
    """A listing that can't read a spec does not look as if nobody were asked."""
    (office / "choreo.toml").write_text("", encoding="utf-8")
    (office / "purchase.yaml").unlink()
    said = choreo("sagas", "tasks")
    assert (said.stdout, "left out 2 sagas" in said.stderr) == ("", True)


def test_a_form_shows_what_is_to_be_filled_in(office: Path, choreo: Choreo) -> None:
    """Fields with type, choices, limits, default and text; what the saga fills in is told. For programs: a schema."""
    lines = choreo("sagas", "form", "approve", "r1").stdout.splitlines()
    assert lines[:2] == ["purchase r1, step approve: approver", "  Buy two lamps for 250.00?"]
    assert "PurchaseApproved" in lines
    limit = f"  {'limit':<20} number, at least 0, 2 decimal places at most; required  The most that it may cost."
    assert limit in lines
    assert f"  {'comment':<20} text; default empty" in lines
    assert f"  {'reason':<20} one of too expensive, not needed; required" in lines
    assert "  filled by the saga: request=r1, total=250.00" in lines
    form = objects(choreo("sagas", "form", "approve", "r1", "--json").stdout)[0]
    approved, rejected = form["decisions"]
    assert approved["filled"] == {"request": "r1", "total": "250.00"}
    assert list(approved["schema"]["properties"]) == ["limit", "comment"]
    assert approved["schema"]["required"] == ["limit"]
    assert rejected["schema"]["properties"]["reason"]["enum"] == ["too expensive", "not needed"]


def test_there_is_no_form_where_nobody_is_asked(office: Path, choreo: Choreo) -> None:
    """A step that services do, one that there is not, and one that has been decided."""
    assert "is not for people to decide" in choreo("sagas", "form", "order", "r1", code=2).stderr
    assert "there is no step aprove" in choreo("sagas", "form", "aprove", "r1", code=2).stderr
    choreo("sagas", "answer", "approve", "PurchaseRejected", "r1", "reason=not needed", *ROLE, *WHY)
    choreo("run", "--until-idle")
    said = choreo("sagas", "form", "approve", "r1", code=2).stderr
    assert "step approve of saga purchase r1 waits for nobody" in said
    assert "it is failed" in said


def test_an_answer_decides(office: Path, choreo: Choreo) -> None:
    """The decision goes on the log with what the saga fills in; who decided, in which role and why is kept."""
    choreo("sagas", "answer", "approve", "PurchaseApproved", "r1", "limit=300", *ROLE, *WHY)
    choreo("run", "--until-idle")
    assert shown(choreo)["status"] == "completed"
    assert shown(choreo)["data"] == {"saga.total": "250.00", "saga.what": "two lamps", "steps.approve.limit": "300.00"}
    said = "answer approve office.PurchaseApproved (by ada as approver: within the budget)"
    assert said in changes(choreo)
    assert keys(choreo) == ["r2"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("PurchaseApproved", "limit=1"), "step approve is decided by approver; say so: --role approver"),
        (("PurchaseApproved", "limit=1", "--role", "manager"), "step approve is decided by approver; not by manager"),
        (("GoodsOrdered", *ROLE), "step approve does not wait for office.GoodsOrdered"),
        (("PurchaseApproved", "limit=much", *ROLE), "limit: Input should be a valid decimal"),
        (("PurchaseApproved", *ROLE), "limit: Field required"),
        (("PurchaseApproved", "limit=1", "coment=x", *ROLE), "coment: Extra inputs are not permitted"),
        (("PurchaseRejected", "reason=no", *ROLE), "reason: Input should be 'too expensive' or 'not needed'"),
        (("PurchaseApproved", "limit=1", "total=1", *ROLE), "the saga fills total (250.00) by itself: leave it out"),
    ],
)
def test_an_answer_that_is_none_is_refused(office: Path, choreo: Choreo, arguments: list[str], why: str) -> None:
    """With its reason, before anything is put on the log; what is wrong with a field is said with its name."""
    event, *rest = arguments
    assert f"refused: {why}" in choreo("sagas", "answer", "approve", event, "r1", *rest, *WHY, code=1).stdout
    (topic,) = (
        row
        for row in objects(choreo("topics", "list", "--json").stdout)
        if row["topic"] == "choreo.saga.purchase.commands"
    )
    assert topic["offsets"] == 0


def test_of_two_people_who_answer_one_is_refused(office: Path, choreo: Choreo) -> None:
    """Both while no coordinator ran: it takes the first, and tells of the second in the history. Later ones are refused
    at once, and so are those to a saga that has ended.
    """
    choreo("sagas", "answer", "approve", "PurchaseRejected", "r1", "reason=not needed", *ROLE, *WHY)
    choreo("sagas", "answer", "approve", "PurchaseApproved", "r1", "limit=300", *ROLE, "--why", "nice", "--who", "bob")
    choreo("run", "--until-idle")
    assert shown(choreo)["status"] == "compensated"
    told = [change for change in changes(choreo) if "bob" in change]
    assert told == [
        "answer approve office.PurchaseApproved (by bob as approver: nice) refused: "
        "step approve has been answered already: PurchaseRejected, by ada"
    ]
    late = choreo("sagas", "answer", "approve", "PurchaseApproved", "r1", "limit=300", *ROLE, *WHY, code=1)
    assert "refused: the saga has ended (compensated)" in late.stdout


def test_any_producer_may_decide(office: Path, choreo: Choreo) -> None:
    """The event from anywhere is a decision, whatever role its author has."""
    choreo("emit", "office.py:PurchaseRejected", "request=r1", "reason=too expensive")
    choreo("run", "--until-idle")
    assert shown(choreo)["status"] == "compensated"
    assert keys(choreo) == ["r2"]


def test_what_is_overdue_goes_to_whom_it_is_escalated(directory: Path, choreo: Choreo) -> None:
    """The list has it under the new role, with the time that has passed; only that role answers it."""
    late_office(directory, choreo)
    (task,) = objects(choreo("sagas", "tasks", "--overdue", "--json").stdout)
    assert (task["role"], task["overdue"], task["due"]) == ("manager", True, "2026-01-02T12:00:00Z")
    assert keys(choreo, *ROLE) == []
    assert "overdue since 2026-01-02 12:00:00Z" in choreo("sagas", "tasks").stdout
    assert "overdue since 2026-01-02 12:00:00Z" in choreo("sagas", "form", "approve", "r1").stdout
    answer = ("sagas", "answer", "approve", "PurchaseApproved", "r1", "limit=300", *WHY)
    assert "decided by manager, to whom it was escalated; not by approver" in choreo(*answer, *ROLE, code=1).stdout
    choreo(*answer, "--role", "manager")
    choreo("run", "--until-idle")
    assert shown(choreo)["status"] == "completed"


def test_at_a_terminal_what_is_missing_is_asked_for(
    office: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only required fields that were not given and that the saga does not fill; a wrong value is asked for again."""
    monkeypatch.setattr("choreo.cli.mend.at_terminal", lambda: True)
    answer = ("sagas", "answer", "approve", "PurchaseApproved", "r1", *ROLE, *WHY)
    said = choreo(*answer, text="much\n300\n")
    assert "The most that it may cost.\nlimit (number, at least 0, 2 decimal places at most):" in said.stderr
    assert "limit: Input should be a valid decimal" in said.stderr
    assert "comment" not in said.stderr
    assert "refused" not in said.stdout
    choreo("run", "--until-idle")
    assert shown(choreo)["data"]["steps.approve.limit"] == "300.00"
    given = choreo("sagas", "answer", "approve", "PurchaseRejected", "r2", "reason=not needed", *ROLE, *WHY)
    assert "reason" not in given.stderr


def test_why_names_the_role_that_decides(office: Path, choreo: Choreo) -> None:
    """Of a step that waits for a person it is not said that nobody emits its event."""
    said = choreo("sagas", "why", "r1").stdout
    assert "a person decides it as approver (choreo sagas form approve r1 shows what to fill in)" in said
    assert "no service" not in said
