"""Locks of a project: kept by themselves wherever its sagas run, and seen by `choreo locks`."""

import json
from pathlib import Path
from typing import Any

import pytest

from choreo.cli.assembly import assemble
from choreo.cli.project import Asked, open_project
from choreo.saga.locks import LockKeeper
from tests.cli.conftest import Choreo

DESK = '''
"""A desk that checks cases, one by one for each customer."""

from choreo import Context, Event, Handler, Service


class DeskEvent(Event, namespace="desk", topic="desk.work", key="case", abstract=True):
    case: str


class Opened(DeskEvent):
    customer: str


class CheckWanted(DeskEvent): ...


class Checked(DeskEvent): ...


class Check(Handler[CheckWanted]):
    def handle(self, wanted: CheckWanted, ctx: Context) -> Checked | None:
        return None if wanted.case.startswith("slow") else Checked(case=wanted.case)


desk = Service("desk", handlers=[Check])
'''
SPEC = """
saga: {name}
version: 1
namespace: desk
starts_on: Opened
correlate_by: case
within: 1h
isolate_on: {{by: customer, scope: customers, expires: 1d}}
steps:
  - {{name: check, emit: CheckWanted, completes_on: Checked, compensate: none}}
"""
SETTINGS = """
[project]
services = ["desk"]
sagas = "*.yaml"

[topics."desk.work"]
partitions = 2

[topics."choreo.locks.customers.requests"]
partitions = 3
"""


@pytest.fixture
def desk(directory: Path) -> Path:
    """A project with a service and two sagas that share their locks."""
    (directory / "desk.py").write_text(DESK, encoding="utf-8")
    (directory / "choreo.toml").write_text(SETTINGS, encoding="utf-8")
    for name in ("claim", "refund"):
        (directory / f"{name}.yaml").write_text(SPEC.format(name=name), encoding="utf-8")
    return directory


def rows(choreo: Choreo, *arguments: str) -> list[dict[str, Any]]:
    """The JSON objects of a listing."""
    return [json.loads(line) for line in choreo(*arguments, "--json").stdout.splitlines()]


def test_the_project_checks_clean(desk: Path, choreo: Choreo) -> None:
    """Requests for locks are handled and answered; explored and drawn, the wait for the lock is a step."""
    choreo("check")
    said = choreo("check", "--explore").stdout
    assert "keeps every promise" in said
    choreo("check", "--diagram", "drawn")
    drawn = {path.name: path.read_text(encoding="utf-8") for path in (desk / "drawn").glob("*.mmd")}
    assert any("locks.customers" in text for text in drawn.values())
    assert "lock" in drawn["claim.mmd"]


def test_a_run_keeps_the_locks_of_its_sagas(desk: Path, choreo: Choreo) -> None:
    """The lock service runs with the coordinators, with the partitions of its own topic; a listing has who holds a lock
    and who waits.
    """
    cases = [("slow1", "ada"), ("c2", "ada"), ("c3", "bob")]
    orders = "\n".join(json.dumps({"case": case, "customer": customer}) for case, customer in cases)
    choreo("emit", "desk.py:Opened", "-", text=orders)
    assert "no locks are held" in choreo("locks", "list").stderr
    choreo("run", "--until-idle")
    topics = {row["topic"]: row["partitions"] for row in rows(choreo, "topics", "list")}
    assert (topics["choreo.locks.customers.changelog"], topics["choreo.saga.claim.locks"]) == (3, 2)
    (held,) = rows(choreo, "locks", "list")
    assert (held["scope"], held["lock"], held["key"]) == ("customers", "ada", "slow1")
    sagas = {f"{row['saga']} {row['key']}": row["status"] for row in rows(choreo, "sagas", "list")}
    open_ones = {name for name, status in sagas.items() if status == "waiting"}
    assert {f"{held['saga']} slow1", *held["waiting"]} == open_ones
    assert len(held["waiting"]) == len(set(held["waiting"])) >= 1
    assert (sagas["claim c3"], sagas["refund c3"]) == ("completed", "completed")
    assert held["expires"] > held["since"]
    assert "SCOPE" in choreo("locks", "list", "customers").stdout
    assert "there are customers" in choreo("locks", "list", "orders", code=2).stderr


def test_who_keeps_locks_answers_all_sagas_of_the_scope(desk: Path, choreo: Choreo) -> None:
    """Where one saga is run alone, its neighbours in the scope are answered, too; a broken neighbour stops nobody."""
    for broken in (False, True):
        if broken:
            (desk / "other.yaml").write_text("saga: [", encoding="utf-8")
        found = assemble(open_project(Asked({})), ["claim"])
        assert [service.name for service in found.services] == ["saga.claim", "locks.customers"]
        keeper = found.services[-1].handlers[0]
        assert issubclass(keeper, LockKeeper)
        assert sorted(keeper.answers) == ["claim", "refund"]
