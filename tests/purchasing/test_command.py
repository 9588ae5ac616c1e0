"""`choreo demo purchasing` at the console, over handmade cases: what it prints, and what can be asked afterwards."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Choreo
from tests.cli.conftest import choreo as choreo
from tests.cli.conftest import directory as directory
from tests.kafka.fixtures import kafka_bootstrap as kafka_bootstrap
from tests.kafka.fixtures import kafka_url as kafka_url
from tests.purchasing.expected import expected
from tests.purchasing.standing import CASES, write_cases

LOG = "embedded:.choreo/demo/log"


@pytest.fixture
def events(tmp_path: Path) -> str:
    """A directory with the handmade cases."""
    return str(write_cases(tmp_path / "events"))


def test_the_demo_ends_with_outcomes_and_three_commands_that_work(directory: Path, choreo: Choreo, events: str) -> None:
    """Items by outcome and by what they wait for, events/s and CPU; then three commands, each of which runs."""
    said = choreo("demo", "purchasing", "--events", events).stdout
    for words in ("18 items of purchase orders", "completed", "for GoodsReceived", "events/s", "of CPU"):
        assert words in said
    commands = [line.split() for line in said.splitlines() if line.startswith("  ") and "--log" in line]
    assert len(commands) == 3
    for command in commands:
        choreo(*command[next(n for n, word in enumerate(command) if word.endswith("choreo")) + 1 :])


def test_json_is_one_object(directory: Path, choreo: Choreo, events: str) -> None:
    """--json gives every number of the summary."""
    found = json.loads(choreo("demo", "purchasing", "--events", events, "--json").stdout)
    assert found["cases"] == len(CASES)
    assert found["statuses"] == {
        "completed": 7,
        "compensated": 0,
        "cancelled": 4,
        "waiting": 7,
        "compensating": 0,
        "stuck": 0,
    }
    assert found["waiting"] == {
        "purchasing.GoodsReceived": 5,
        "purchasing.InvoiceReceived": 1,
        "purchasing.InvoiceCleared": 3,
    }
    assert found["events_new"] == found["events"] > 0
    assert found["events_per_s"] > 0


def test_it_is_asked_which_items_wait_for_goods(directory: Path, choreo: Choreo, events: str) -> None:
    """`sagas list --step goods_receipt=waiting` names just those that wait for goods by the CSV alone."""
    choreo("demo", "purchasing", "--events", events)
    listed = choreo("sagas", "list", "--step", "goods_receipt=waiting", "--log", LOG, "--json").stdout.splitlines()
    due = expected(Path(events))
    assert {json.loads(line)["key"] for line in listed} == {
        key for key, case in due.items() if "purchasing.GoodsReceived" in case.waits_for
    }
    where = ("--where", "saga.category == 'Consignment'", "--count", "--log", LOG, "--json")
    counted = [json.loads(line) for line in choreo("sagas", "list", *where).stdout.splitlines()]
    assert {row["status"]: row["count"] for row in counted} == {"completed": 1, "waiting": 1}


def test_the_run_is_rebuilt_from_its_log(directory: Path, choreo: Choreo, events: str) -> None:
    """Stores rebuilt from the log equal those of the run, also where it was taken up once more."""
    for _ in range(2):
        choreo("demo", "purchasing", "--events", events, "--log", "embedded:mine")
    (verdict,) = choreo("replay", "verify", "demo:purchasing", "--log", "embedded:mine", "--json").stdout.splitlines()
    assert json.loads(verdict)["clean"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("purchasing",), "purchasing needs events"),
        (("purchasing", "--events", "."), "no event log in ."),
        (("purchasing", "--events", ".", "--orders", "."), "--orders is for the shop"),
        (("--events", "."), "--events is for purchasing"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    directory: Path, choreo: Choreo, arguments: tuple[str, ...], said: str
) -> None:
    """Options of the other sample, and a directory without events, are refused with what to do."""
    assert said in choreo("demo", *arguments, code=2).stderr


def test_explored_it_keeps_every_promise(directory: Path, choreo: Choreo) -> None:
    """`choreo check --explore` finds no run of the saga that breaks a promise."""
    assert "every run keeps every promise" in choreo("check", "demo:purchasing", "--explore").stdout


def test_the_memory_log_tells_the_same(directory: Path, choreo: Choreo, events: str) -> None:
    """On the memory log with one partition the outcomes are those of the embedded log with four."""

    def told(*options: str) -> dict[str, object]:
        found = json.loads(choreo("demo", "purchasing", "--events", events, "--json", *options).stdout)
        return {name: found[name] for name in ("cases", "events", "events_new", "statuses", "waiting", "examples")}

    assert told("--log", "memory:", "--partitions", "1") == told()


@pytest.mark.kafka
def test_kafka_tells_the_same(directory: Path, choreo: Choreo, events: str, kafka_url: str) -> None:
    """On a real Kafka every case stands where the CSV says, and a second run adds nothing."""
    first, again = (
        json.loads(choreo("demo", "purchasing", "--events", events, "--json", "--log", kafka_url).stdout)
        for _ in range(2)
    )
    assert (first["events_new"], again["events_new"]) == (first["events"], 0)
    assert first["statuses"] == again["statuses"]
    rows = [json.loads(line) for line in choreo("sagas", "list", "--log", kafka_url, "--json").stdout.splitlines()]
    found = {row["key"]: (row["status"], tuple(row["waits_for"])) for row in rows if row["saga"] == "purchase_to_pay"}
    assert found == {key: (case.status, case.waits_for) for key, case in expected(Path(events)).items()}
