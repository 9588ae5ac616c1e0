"""`choreo replay verify`: what it says of faults that were planted."""

import json
import shutil
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from choreo import Service
from choreo.cli.findings import Values, finding_lines
from choreo.cli.progress import Progress
from choreo.cli.project import SPELLING
from choreo.cli.stores import LiveStores
from choreo.cli.targets import Finder
from choreo.config import Sources, load
from choreo.events.envelope import HEADER, Ids, pack
from choreo.events.registry import MemoryRegistry
from choreo.log.embedded import EmbeddedLog
from choreo.record import NewRecord, Record
from choreo.replay.findings import Finding
from choreo.replay.naming import Named
from choreo.replay.scratch import PLACE
from choreo.state.changelog import entries
from choreo.state.rocks import RocksBackends
from tests.cli.conftest import Choreo
from tests.runtime.test_thread import Reserve

STATE = ".choreo/log/state"
TOML = '[project]\nservices = ["shop"]\nsagas = "order.yaml"\n\n[log]\nurl = "embedded:.choreo/log"\n'


@pytest.fixture
def ran(project: Path, choreo: Choreo) -> Path:
    """Two orders: one is declined, one is paid."""
    run(project, choreo, '{"order_id": "o1", "total": 250}\n{"order_id": "o2", "total": 20}')
    return project


def run(project: Path, choreo: Choreo, orders: str) -> None:
    (project / "choreo.toml").write_text(TOML, encoding="utf-8")
    choreo("emit", "shop.py:OrderPlaced", "-", text=orders)
    choreo("run", "--until-idle")


def verdicts(choreo: Choreo, code: int) -> dict[str, dict[str, Any]]:
    rows = map(json.loads, choreo("replay", "verify", "--json", code=code).stdout.splitlines())
    return {row["service"]: row for row in rows}


def changed(ran: Path, before: str, after: str) -> None:
    """The project's code is another from here on."""
    file = ran / "shop.py"
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")
    del sys.modules["shop"]


def test_a_run_is_clean(ran: Path, choreo: Choreo) -> None:
    """Every service of a run is redone and compared: its entries and the events that it emitted."""
    found = verdicts(choreo, 0)
    assert {name: (row["clean"], row["emissions"]) for name, row in found.items()} == {
        "inventory": (True, 3),
        "payments": (True, 2),
        "saga.order": (True, 8),
    }


def test_services_whose_code_is_not_here_are_named(ran: Path, choreo: Choreo) -> None:
    """Without targets all that ran on the log is meant: what can't be verified here is told, and not left out."""
    assert "not looked at" not in choreo("replay", "verify").stderr
    (ran / "choreo.toml").write_text(TOML.replace('"shop"', '"shop:payments"'), encoding="utf-8")
    assert "not looked at, since their code is not here: inventory" in choreo("replay", "verify").stderr
    assert "not looked at" not in choreo("replay", "verify", "shop:payments").stderr


def test_to_have_verified_nothing_is_no_success(ran: Path, choreo: Choreo) -> None:
    """Where none of these services has run on the log, which may be the wrong one, it is an error."""
    choreo("topics", "create", "orders", "--log", "embedded:other")
    said = choreo("replay", "verify", "--log", "embedded:other", code=2).stderr
    assert "nothing of this has run here" in said
    assert "embedded:other" in said


def test_events_that_differ_in_what_goes_with_them_say_in_what() -> None:
    """Where two events have the same fields, the key, the ids or the time that differ are shown instead."""
    ids = Ids(bytes(16), "story", causation_id=bytes(16), at=1_700_000_000_000_000)
    live = Record("orders", 0, 7, 0, b"o1", b"\0", [(HEADER, pack(ids))])
    other = ids._replace(at=ids.at + 1, correlation_id="another")
    replayed = NewRecord("orders", b"o1", b"\0", [(HEADER, pack(other))])
    cause = Named("shop.OrderPlaced", bytes(16), "o1", "orders[0]@1")
    finding = Finding("event", "shop.PaymentTaken", 0, 1, 0, cause, ("TakePayment",), "build", live, replayed)
    lines = list(finding_lines(finding, Values(Service("inventory", handlers=[Reserve]), MemoryRegistry())))
    assert lines[2:] == [
        "    (correlation_id): live story, replayed another",
        "    (at): live 2023-11-14T22:13:20.000000Z, replayed 2023-11-14T22:13:20.000001Z",
    ]


def test_another_process_that_is_at_work_can_not_be_reached(ran: Path, choreo: Choreo) -> None:
    """While a worker has the stores open nothing was found: exit code 3, with whose they are."""
    with closing(RocksBackends(".choreo/log/state/inventory")):
        assert "has it open" in choreo("replay", "verify", code=3).stderr


def test_a_changed_handler_is_shown_with_its_event_and_both_values(ran: Path, choreo: Choreo) -> None:
    """A handler that decides otherwise is named, with the event upon which it does and where that lies, and what it
    emitted then and now.
    """
    changed(ran, "order.total < 100 else PaymentDeclined", "order.total < 10 else PaymentDeclined")
    row = verdicts(choreo, 1)["payments"]
    (first,) = row["first"]
    assert (first["what"], first["cause"], first["key"], first["handlers"]) == (
        "event",
        "shop.OrderPlaced",
        "o2",
        ["TakePayment"],
    )
    assert first["place"].startswith("orders[")
    lines = [line for line in choreo("replay", "verify", code=1).stderr.splitlines() if line.startswith("payments: ")]
    assert "shop.OrderPlaced 'o2'" in lines[0]
    assert first["place"] in lines[0]
    assert "TakePayment emitted another event: shop.PaymentDeclined" in lines[1]
    assert lines[-2].startswith("payments: other code made all of these checkpoints")
    assert lines[-1] == "payments: 1 events differ"


def test_what_the_code_no_longer_writes_is_found(project: Path, choreo: Choreo) -> None:
    """An entry that only the live run wrote is told of with the event upon which it did, and both values."""
    run(project, choreo, '{"order_id": "o2", "total": 20}')
    changed(project, "        self.reserved[order.order_id] = order\n", "")
    found = choreo("replay", "verify", code=1)
    lines = [line for line in found.stderr.splitlines() if line.startswith("inventory: ")]
    assert "shop.OrderPlaced 'o" in lines[0]
    assert "ReserveStock wrote another value: reserved 'o" in lines[1]
    assert lines[2].startswith('inventory:     live {"order_id": "o'), lines
    assert any("replayed nothing" in line for line in lines)


def test_a_store_that_was_changed_by_hand_is_told_from_a_mistake_of_the_code(ran: Path, choreo: Choreo) -> None:
    """Where the changelog agrees with the replay, it is the store's files that are wrong, and it says so."""
    with closing(RocksBackends(ran / ".choreo" / "log" / "state" / "inventory")) as backends:
        for number in range(4):
            backend = backends.open(f"inventory-{number}")
            backend.write({key: value[:-1] + b" }" for key, value in backend.scan(b"\x01reserved")})
    lines = [line for line in choreo("replay", "verify", code=1).stderr.splitlines() if line.startswith("inventory: ")]
    assert any("changed behind the service's back: reserved 'o2'" in line for line in lines), lines
    assert lines[-1] == "inventory: 1 entries differ"


def test_what_ran_on_another_machine_is_compared_with_its_changelog(ran: Path, choreo: Choreo) -> None:
    """Where no store is here the changelog is restored into a scratch store on disk, which is gone afterwards."""
    shutil.rmtree(ran / STATE)
    rows = choreo("replay", "verify", "--json")
    assert all(json.loads(row)["clean"] for row in rows.stdout.splitlines())
    assert "payments: 4 tasks have no store of this log here; compared with their changelog" in rows.stderr
    (service,) = Finder(load(Sources(ran, {}, {}, SPELLING)), ran).find(["shop.py:payments"]).services
    with EmbeddedLog(ran / ".choreo" / "log") as log:
        live = LiveStores(ran / STATE, service, [log], Progress(sys.stderr, terminal=False, silent=True))
        assert dict(entries(live(3)))
        assert len([*(ran / STATE / PLACE).glob("*/payments-3")]) == 1
        live.close()
    assert not (ran / STATE / PLACE).exists()
