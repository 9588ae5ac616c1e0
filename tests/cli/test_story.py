"""What a newcomer does first: emit, run until idle, look. Each command sees what the one before left on the log."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Choreo

RUN = ("run", "shop.py", "order.yaml", "--until-idle")


def objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a listing."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def ran(project: Path, choreo: Choreo) -> Path:
    """Three orders: one is paid, one is declined, one gets no answer."""
    orders = [{"order_id": "o1", "total": 20}, {"order_id": "o2", "total": 250}, {"order_id": "p3", "total": 0}]
    choreo("emit", "shop.py:OrderPlaced", "-", text="\n".join(json.dumps(order) for order in orders))
    choreo(*RUN)
    return project


def test_the_declined_order_is_compensated(ran: Path, choreo: Choreo) -> None:
    """`sagas show` tells the story of an order in one line, then its steps."""
    lines = choreo("sagas", "show", "o2").stdout.splitlines()
    assert lines[0] == "compensated: pay failed (PaymentDeclined), reserve undone (StockReleased)"
    assert [line.split() for line in lines[1:3]] == [["reserve", "compensated"], ["pay", "failed"]]


def test_every_saga_is_listed_with_what_it_waits_for(ran: Path, choreo: Choreo) -> None:
    """`sagas list --json` is one object a saga with saga, key, status and waits_for."""
    rows = objects(choreo("sagas", "list", "--json").stdout)
    assert [(row["saga"], row["key"], row["status"], row["waits_for"]) for row in rows] == [
        ("order", "o1", "completed", []),
        ("order", "o2", "compensated", []),
        ("order", "p3", "waiting", ["shop.PaymentTaken"]),
    ]
    waiting = objects(choreo("sagas", "list", "order", "--status", "waiting", "--limit", "1", "--json").stdout)
    assert [row["key"] for row in waiting] == ["p3"]


def test_why_names_the_event_its_service_and_the_deadline(ran: Path, choreo: Choreo) -> None:
    """`sagas why` says for which event a saga waits, who should emit it, and until when."""
    (ran / "choreo.toml").write_text('[project]\nservices = ["shop"]\nsagas = "order.yaml"\n', encoding="utf-8")
    said = choreo("sagas", "why", "p3").stdout.splitlines()
    assert said[0] == "order p3 is waiting"
    assert said[1].startswith("  waits for PaymentTaken (step pay): payments should emit it; until 20")
    waits = objects(choreo("sagas", "why", "p", "--json").stdout)[0]["waits"]
    assert [(wait["event"], wait["step"], wait["emitted_by"]) for wait in waits] == [
        ("shop.PaymentTaken", "pay", ["payments"]),
    ]


def test_why_needs_no_project(ran: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands on the log is told even where the services can't be loaded."""
    elsewhere = ran / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    said = choreo("sagas", "why", "p3", "--log", f"embedded:{ran}/.choreo/log").stdout
    assert "waits for PaymentTaken" in said
    assert "no service of this project emits it" in said
    assert "what you can order is told where its spec can be read" in said


def test_an_ambiguous_or_unknown_id_is_refused(ran: Path, choreo: Choreo) -> None:
    """An id may be shortened as long as it means one saga."""
    assert "beginning of 2 sagas" in choreo("sagas", "show", "o", code=2).stderr
    assert "there is no saga x" in choreo("sagas", "show", "x", code=2).stderr
    assert "no saga ordr on the log" in choreo("sagas", "list", "ordr", code=2).stderr


def test_a_second_run_has_nothing_to_do(ran: Path, choreo: Choreo) -> None:
    """What was handled stays handled: a restart goes on where the last run ended."""
    assert "handled 0 inputs" in choreo(*RUN).stderr


def test_later_events_reach_the_same_sagas(ran: Path, choreo: Choreo) -> None:
    """A run takes up what was emitted since, with the stores as they were left."""
    choreo("emit", "shop.py:PaymentTaken", "order_id=p3")
    choreo(*RUN)
    assert choreo("sagas", "show", "p3").stdout.startswith("completed: ")


def test_the_stores_are_what_the_log_says(ran: Path, choreo: Choreo) -> None:
    """`replay verify` rebuilds every service, the coordinator too, and finds no difference."""
    rows = objects(choreo("replay", "verify", "shop.py", "order.yaml", "--json").stdout)
    assert [(row["service"], row["clean"]) for row in rows] == [
        ("inventory", True),
        ("payments", True),
        ("saga.order", True),
    ]
    assert sum(row["inputs"] for row in rows) > 0


def test_a_planted_difference_is_found(ran: Path, choreo: Choreo) -> None:
    """An entry that the log knows nothing of makes `replay verify` exit with 1 and name it."""
    from choreo.state.keys import key_codec
    from choreo.state.rocks import RocksBackends

    backends = RocksBackends(ran / ".choreo" / "log" / "state" / "inventory")
    backend = backends.open("inventory-0")
    backend.write({key_codec("reserved", str).encode("planted"): b"\x01{}"})
    backend.close()
    backends.close()
    result = choreo("replay", "verify", "shop.py:inventory", code=1)
    assert "DIFFERS" in result.stdout
    assert "planted" in result.stderr


def test_lost_stores_are_compared_by_their_changelog(ran: Path, choreo: Choreo) -> None:
    """Where no store is left, the changelog speaks for it."""
    import shutil

    shutil.rmtree(ran / ".choreo" / "log" / "state")
    result = choreo("replay", "verify", "shop.py", "order.yaml")
    assert "compared with their changelog" in result.stderr
    assert result.stdout.count("clean") == 3


def test_the_topics_are_there_and_complete(ran: Path, choreo: Choreo) -> None:
    """After a run `topics plan` has nothing to add, and `topics show` counts what was written."""
    assert choreo("topics", "plan", "shop.py", "order.yaml").stdout == ""
    rows = objects(choreo("topics", "list", "--json").stdout)
    assert {row["kind"] for row in rows} == {
        "events",
        "changelog",
        "journal",
        "dead letters",
        "lifecycle",
        "commands",
        "saga specs",
    }
    assert [row["topic"] for row in objects(choreo("topics", "list", "--no-internal", "--json").stdout)] == ["orders"]
    shown = objects(choreo("topics", "show", "orders", "--json").stdout)
    assert len(shown) == 4
    assert sum(row["offsets"] for row in shown) >= 7


def test_a_saga_is_listed_from_its_last_event(ran: Path, choreo: Choreo) -> None:
    """A key appears once, however much happened to it."""
    keys = [row["key"] for row in objects(choreo("sagas", "list", "--json").stdout)]
    assert len(keys) == len(set(keys)) == 3


def test_emit_refuses_what_is_no_event(project: Path, choreo: Choreo) -> None:
    """A missing field, a wrong value, an unknown field and bad JSON are usage errors that name the field."""
    assert "total: Field required" in choreo("emit", "shop.py:OrderPlaced", "order_id=o1", code=2).stderr
    assert "valid integer" in choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=x", code=2).stderr
    assert "did you mean order_id?" in choreo("emit", "shop.py:OrderPlaced", "ordr_id=o1", code=2).stderr
    assert "is not FIELD=VALUE" in choreo("emit", "shop.py:OrderPlaced", "order_id", code=2).stderr
    assert "line 1 of stdin is not JSON" in choreo("emit", "shop.py:OrderPlaced", "-", text="{", code=2).stderr


def test_emit_says_where_the_event_lies(project: Path, choreo: Choreo) -> None:
    """Each emitted event is reported with its id, story and position."""
    arguments = ("emit", "shop.py:OrderPlaced", "order_id=o1", "total=3", "--correlation-id", "story")
    row = objects(choreo(*arguments, "--json").stdout)[0]
    assert (row["event"], row["key"], row["correlation_id"], row["topic"]) == (
        "shop.OrderPlaced",
        "o1",
        "story",
        "orders",
    )
