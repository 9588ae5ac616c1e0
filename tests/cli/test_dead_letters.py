"""`choreo dead-letters`: what a service could not handle is listed with its cause, and shown whole."""

import json
from pathlib import Path

import pytest

from choreo.log.open import open_log
from choreo.record import NewRecord
from tests.cli.conftest import Choreo
from tests.cli.sample import SHOP


@pytest.fixture
def failed(project: Path, choreo: Choreo) -> Path:
    """One order that its handler gives up on, and one record that is no event at all."""
    text = SHOP.replace(
        "        if order.total == 0:",
        '        if order.total == 13:\n            raise GiveUp("bad luck")\n        if order.total == 0:',
    )
    text = text.replace("import Context, Event, Handler", "import Context, Event, GiveUp, Handler")
    (project / "shop.py").write_text(text, encoding="utf-8")
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=13")
    with open_log("embedded:.choreo/log") as log:
        log.append([NewRecord("orders", b"o2", b"garbage")])
    choreo("run", "shop.py:payments", "--until-idle")
    return project


def test_dead_letters_are_listed_with_their_causes(failed: Path, choreo: Choreo) -> None:
    """Each has its service, door, event, key and origin."""
    rows = [json.loads(line) for line in choreo("dead-letters", "list", "--json").stdout.splitlines()]
    found = {row["key"]: row for row in rows}
    assert (found["o1"]["service"], found["o1"]["door"], found["o1"]["event"]) == (
        "payments",
        "handle",
        "shop.OrderPlaced",
    )
    assert "bad luck" in found["o1"]["error"]
    assert (found["o2"]["door"], found["o2"]["event"]) == ("decode", None)
    assert found["o2"]["origin"].startswith("orders[")
    assert len(choreo("dead-letters", "list", "payments").stdout.splitlines()) == 3


def test_one_is_shown_with_what_it_held(failed: Path, choreo: Choreo) -> None:
    """`show` takes the beginning of an id; the fields of an event are shown, the bytes of anything else."""
    rows = [json.loads(line) for line in choreo("dead-letters", "list", "--json").stdout.splitlines()]
    ids = {row["key"]: row["id"] for row in rows}
    shown = json.loads(choreo("dead-letters", "show", ids["o1"][:12], "--json").stdout)
    assert shown["body"] == {"order_id": "o1", "total": 13}
    assert b"garbage".hex() in choreo("dead-letters", "show", ids["o2"]).stdout


def test_one_is_named_by_its_key_too(failed: Path, choreo: Choreo) -> None:
    """An ID is an event id, a correlation id or a key, as everywhere."""
    assert json.loads(choreo("dead-letters", "show", "o1", "--json").stdout)["body"] == {"order_id": "o1", "total": 13}
    assert json.loads(choreo("dead-letters", "show", "o2", "--json").stdout)["door"] == "decode"


def test_a_condition_about_nothing_is_an_error_and_no_listing(failed: Path, choreo: Choreo) -> None:
    """Where a field is none of any event, it is not said first that there are no dead letters."""
    said = choreo("dead-letters", "list", "--where", "event.totl > 1", code=2)
    assert "totl" in said.stderr
    assert "no dead letters" not in said.stderr + said.stdout


def test_what_is_not_there_is_said_so(failed: Path, choreo: Choreo) -> None:
    """An unknown service or id is a usage error."""
    assert "known: payments" in choreo("dead-letters", "list", "shipping", code=2).stderr
    assert "there is no dead letter zzz" in choreo("dead-letters", "show", "zzz", code=2).stderr


def test_none_is_said_on_stderr(directory: Path, choreo: Choreo) -> None:
    """An empty listing prints nothing on stdout."""
    result = choreo("dead-letters", "list")
    assert (result.stdout, result.stderr) == ("", "no dead letters\n")
