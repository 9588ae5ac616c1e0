"""Sagas under way are taken over to another version, on the embedded log and on Kafka: looked at, asked about, given,
refused, and seen through.
"""

import json
import re
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from choreo.cli import judged, migrate
from choreo.cli.mend import send_orders
from choreo.cli.saga_answers import KEYS, read_mapping
from choreo.cli.saga_past import Pasts
from choreo.saga.refold import History
from tests.cli.conftest import Choreo, process, read_until
from tests.cli.sample import SAGA, SHOP
from tests.cli.test_mending_page import test_every_command_on_the_page_can_be_given as can_be_given
from tests.kafka.fixtures import kafka_bootstrap as kafka_bootstrap
from tests.kafka.fixtures import kafka_url as kafka_url

PAGE = (Path(__file__).parents[2] / "docs" / "versions.md").read_text(encoding="utf-8")
SETTINGS = '[project]\nservices = ["shop"]\nsagas = "order.yaml"\n'
WHY = ("--why", "approval is law now", "--who", "ada")
MORE = """
class ApprovalWanted(OrderEvent): ...


class Approved(OrderEvent): ...


class Delivered(OrderEvent): ...


class ReserveStock("""
FIRST = SAGA.replace("- name: pay", "- name: pay\n    after: reserve") + (
    "  - {name: deliver, after: pay, completes_on: Delivered, compensate: none}\n"
)
SECOND = FIRST.replace("version: 1", "version: 2").replace("name: deliver", "name: hand_over") + (
    "  - {name: approve, when: saga.total > 10, emit: ApprovalWanted, completes_on: Approved, compensate: none}\n"
)


def objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a listing."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which log: the embedded one, unless a test is told of another."""
    kind = getattr(request, "param", "embedded")
    if kind == "kafka":
        monkeypatch.setenv("CHOREO_LOG_URL", request.getfixturevalue("kafka_url"))
    return str(kind)


on_every_log = pytest.mark.parametrize(
    "kind", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True
)


@pytest.fixture
def ran(project: Path, choreo: Choreo, kind: str) -> Path:
    """Orders under version 1: s1 has no stock yet, p1 is paid, b1 is not; then version 2 is deployed."""
    shop = SHOP.replace("class ReserveStock(", MORE.lstrip("\n"))
    shop = shop.replace("if order.total == 0:", "if order.total < 0 or order.total > 40:")
    shop = shop.replace("-> StockReserved:", "-> StockReserved | None:")
    nothing = "if order.total < 0:\n            return None\n        self.reserved[order.order_id] ="
    shop = shop.replace("self.reserved[order.order_id] =", nothing)
    (project / "shop.py").write_text(shop, encoding="utf-8")
    (project / "order.yaml").write_text(FIRST, encoding="utf-8")
    (project / "choreo.toml").write_text(SETTINGS, encoding="utf-8")
    orders = {"s1": -1, "p1": 7, "b1": 50}
    text = "\n".join(json.dumps({"order_id": name, "total": total}) for name, total in orders.items())
    choreo("emit", "shop.py:OrderPlaced", "-", text=text)
    choreo("run", "--until-idle", "--start-from", "earliest")
    (project / "order.yaml").write_text(SECOND, encoding="utf-8")
    choreo("sagas", "deploy")
    return project


@contextmanager
def at_work(*line: str) -> Iterator[None]:
    """Meanwhile a process runs the coordinator."""
    running = process(*line)
    try:
        read_until(running, " on ")
        yield
    finally:
        running.send_signal(signal.SIGTERM)
        said = running.communicate(timeout=60)[1]
    assert running.returncode == 0, said


def happens(choreo: Choreo, key: str, *events: str) -> None:
    """These events come."""
    for event in events:
        choreo("emit", f"shop.py:{event}", f"order_id={key}")


def shown(choreo: Choreo, key: str) -> dict[str, Any]:
    """How a saga stands, with its history."""
    return objects(choreo("sagas", "show", key, "--json").stdout)[0]


def stands(choreo: Choreo, key: str) -> tuple[int, str]:
    """Its version and status."""
    saga = shown(choreo, key)
    return saga["version"], saga["status"]


@on_every_log
def test_a_dry_run_says_what_would_become_of_each(ran: Path, choreo: Choreo) -> None:
    """Safe, in need of a mapping with its question in a file, or staying and why; nothing is put on the log."""
    rows = objects(choreo("sagas", "migrate", "order", "--to", "2", "--dry-run", "--json").stdout)
    assert {row["key"]: (row["outcome"], row["reasons"]) for row in rows} == {
        "s1": ("safe", []),
        "p1": ("needs mapping", ["step deliver is waiting, and version 2 has no such step"]),
        "b1": ("stays", ["version 2 would have emitted shop.ApprovalWanted by now (step approve)"]),
    }
    assert read_mapping(ran / "order-to-2.yaml").told["steps"] == {"deliver": None}
    choreo("run", "--until-idle")
    assert {stands(choreo, key)[0] for key in ("s1", "p1", "b1")} == {1}


@on_every_log
def test_what_is_taken_over_ends_under_the_new_version(ran: Path, choreo: Choreo) -> None:
    """What was answered is safe too; what stays ends as it began; who and why are in the history; a replay agrees."""
    said = choreo("sagas", "migrate", "order", "--to", "2", "--key", "p1", *WHY, code=1)
    assert "p1   1        needs mapping" in said.stdout
    file = ran / "order-to-2.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("deliver:", "deliver: hand_over"), encoding="utf-8")
    rows = objects(
        choreo("sagas", "migrate", "order", "--to", "2", "--mapping", str(file), "--yes", "--json", *WHY).stdout
    )
    assert {row["key"]: row["outcome"] for row in rows} == {"s1": "safe", "p1": "safe", "b1": "stays"}
    choreo("run", "--until-idle")
    assert {key: stands(choreo, key) for key in ("s1", "p1", "b1")} == {
        "s1": (2, "waiting"),
        "p1": (2, "waiting"),
        "b1": (1, "waiting"),
    }
    change = shown(choreo, "p1")["history"][-1]["change"]
    assert change[:2] == ["migrate to version 2 (by ada: approval is law now)", "deliver: is now hand_over"]
    happens(choreo, "p1", "Delivered")
    happens(choreo, "s1", "StockReserved", "PaymentTaken", "Delivered")
    happens(choreo, "b1", "PaymentTaken", "Delivered")
    choreo("run", "--until-idle")
    assert {key: stands(choreo, key) for key in ("s1", "p1", "b1")} == {
        "s1": (2, "completed"),
        "p1": (2, "completed"),
        "b1": (1, "completed"),
    }
    assert "hand_over" in shown(choreo, "s1")["steps"]
    assert choreo("replay", "verify", "order.yaml").stdout.count("clean") == 1


@on_every_log
def test_an_event_in_between_leaves_the_saga_as_it_was(
    ran: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator refuses the order, says so, and takes the next one, which was worked out anew."""

    def late(*arguments: Any) -> list[bytes]:
        choreo("emit", "shop.py:StockReserved", "order_id=s1")
        return send_orders(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(migrate, "send_orders", late)
        choreo("sagas", "migrate", "order", "--to", "2", "--key", "s1", *WHY)
    choreo("run", "--until-idle")
    (told,) = shown(choreo, "s1")["history"][-1]["change"]
    assert told.endswith("refused: it has gone on since this was worked out: migrate it again")
    assert (stands(choreo, "s1"), shown(choreo, "s1")["steps"]["reserve"]) == ((1, "waiting"), "done")
    choreo("sagas", "migrate", "order", "--to", "2", "--key", "s1", *WHY)
    choreo("run", "--until-idle")
    assert stands(choreo, "s1") == (2, "waiting")
    assert choreo("replay", "verify", "order.yaml").stdout.count("clean") == 1


@on_every_log
def test_what_went_on_in_between_is_ordered_anew(ran: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --wait the command sees its orders through: what a coordinator at work refuses because the saga has gone on
    is worked out anew and ordered once more.
    """
    events = iter([("emit", "shop.py:StockReserved", "order_id=s1")])

    def late(*arguments: Any) -> list[bytes]:
        for line in events:
            choreo(*line)
        return send_orders(*arguments)

    with at_work("run"), monkeypatch.context() as patched:
        patched.setattr(migrate, "send_orders", late)
        said = choreo("sagas", "migrate", "order", "--to", "2", "--key", "s1", "--wait", "1m", "--json", *WHY)
    assert [(row["key"], row["outcome"]) for row in objects(said.stdout)] == [("s1", "safe"), ("s1", "taken over")]
    assert (stands(choreo, "s1"), shown(choreo, "s1")["steps"]["reserve"]) == ((2, "waiting"), "done")
    history = [change for past in shown(choreo, "s1")["history"] for change in past["change"]]
    assert len([change for change in history if "refused: it has gone on" in change]) == 1


def test_what_nobody_takes_up_is_said(ran: Path, choreo: Choreo) -> None:
    """Without a coordinator --wait ends at its time, with exit code 1; the orders are taken later."""
    order = ("sagas", "migrate", "order", "--to", "2", "--key", "s1")
    said = choreo(*order, "--wait", "1s", *WHY, code=1)
    assert re.search(r"^s1 +1 +not taken up yet", said.stdout, re.MULTILINE)
    choreo("run", "--until-idle")
    assert stands(choreo, "s1") == (2, "waiting")
    assert "no length of time" in choreo(*order, "--wait", "none", *WHY, code=2).stderr


def test_a_coordinator_without_the_version_refuses_once(ran: Path, choreo: Choreo) -> None:
    """Its reason is said, with what to do; the order is not given again, for it would be refused for ever."""
    (ran / "order.yaml").write_text(FIRST, encoding="utf-8")
    with at_work("run", "order.yaml"):
        (ran / "order.yaml").write_text(SECOND.replace("version: 2", "version: 3"), encoding="utf-8")
        choreo("sagas", "deploy")
        order = ("sagas", "migrate", "order", "--to", "3", "--key", "s1", "--wait", "1m", "--json", *WHY)
        row = objects(choreo(*order, code=1).stdout)[-1]
    assert row["outcome"].startswith("refused: version 3 is not deployed")
    assert stands(choreo, "s1") == (1, "waiting")


def test_a_saga_that_goes_on_while_it_is_looked_at_is_looked_at_again(
    ran: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes between the look at the store and the look at the log makes no difference, if it does so once."""
    events = iter(["StockReserved"])

    class Late(Pasts):
        def of(self, keys: Collection[str]) -> dict[str, History | str]:
            for event in events:
                happens(choreo, "s1", event)
                while shown(choreo, "s1")["steps"]["reserve"] != "done":  # ends by the test's own time limit
                    pass
            return super().of(keys)

    monkeypatch.setattr(judged, "Pasts", Late)
    with at_work("run"):
        said = choreo("sagas", "migrate", "order", "--to", "2", "--key", "s1", "--dry-run", "--json")
    assert [row["outcome"] for row in objects(said.stdout)] == ["safe"]


def test_what_makes_no_sense_is_said(ran: Path, choreo: Choreo) -> None:
    """No reason, no such version, no such saga, a mapping that says nothing that there is, a file that is there."""
    to = ("sagas", "migrate", "order", "--to", "2")
    assert "an order needs a reason" in choreo(*to, code=2).stderr
    assert "version 3 of saga order is not deployed (1, 2)" in choreo(*to[:3], "--to", "3", *WHY, code=2).stderr
    assert "the project here has no saga ordr" in choreo("sagas", "migrate", "ordr", "--to", "2", *WHY, code=2).stderr
    for text, said in (
        ("steps: {deliver: hand_ovr}", "did you mean hand_over?"),
        ("steps: [deliver]", "is no mapping"),
        ("step: {deliver: drop}", "did you mean steps?"),
        ("fields: {saga.n: 1}", "version 2 remembers no saga.n"),
        ("fields: {saga.total: much}", "saga.total: 'much': Input should be a valid integer"),
        ("fields: {saga.total: {cel: saga.x}}", "there is no saga.x here"),
        ("events: {shop.Told: yes}", "is no answer"),
        ("steps: {", "is not YAML"),
    ):
        (ran / "map.yaml").write_text(text, encoding="utf-8")
        assert said in choreo(*to, "--mapping", "map.yaml", "--dry-run", code=2).stderr
    (ran / "order-to-2.yaml").write_text("steps: {}", encoding="utf-8")
    assert "order-to-2.yaml is there already" in choreo(*to, "--dry-run", code=2).stderr
    assert "an order to 1" not in choreo(*to, "--key", "s1", *WHY).stderr


def test_a_saga_that_nobody_deployed_is_said(directory: Path, choreo: Choreo) -> None:
    """There are instances of it and no version to go to: the demo does not deploy its saga."""
    choreo("demo", "--count", "3")
    order = ("sagas", "migrate", "order_fulfilment", "--to", "2", "--dry-run", "--log", "embedded:.choreo/demo/log")
    assert "no version of saga order_fulfilment is deployed" in choreo(*order, code=2).stderr


@pytest.mark.parametrize("line", re.findall(r"^choreo .+$|(?<=`)choreo sagas [^`]+(?=`)", PAGE, re.MULTILINE))
def test_every_command_on_the_page_can_be_given(line: str) -> None:
    """Its words, options and arguments are understood; nothing is run."""
    can_be_given(line.replace("choreo sagas show", "choreo sagas show ID"))


def test_the_mapping_on_the_page_can_be_read(tmp_path: Path) -> None:
    """It has an answer of every kind."""
    (block,) = re.findall(r"```yaml\n(.+?)```", PAGE, re.DOTALL)
    file = tmp_path / "order-to-4.yaml"
    file.write_text(block, encoding="utf-8")
    assert {key: len(read_mapping(file).told[key]) for key in KEYS} == {"steps": 2, "fields": 2, "events": 1}
