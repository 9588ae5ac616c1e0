"""Sagas of two kinds in one project, as whoever is on duty meets them."""

from pathlib import Path

import pytest

from choreo.cli.output import as_value
from tests.cli.conftest import Choreo
from tests.cli.sample import SAGA, write_project

VISITS = '''
"""Rooms are aired two hours after they were booked."""

from choreo import Context, Event, Handler, Service


class VisitEvent(Event, namespace="guests", topic="visits", key="visit", abstract=True):
    visit: str


class VisitBooked(VisitEvent):
    guests: int


class AirWanted(VisitEvent): ...


class Aired(VisitEvent): ...


class Air(Handler[AirWanted]):
    def handle(self, wanted: AirWanted, ctx: Context) -> Aired:
        return Aired(visit=wanted.visit)


rooms = Service("rooms", handlers=[Air])
'''
VISIT = """
saga: visit
version: 1
namespace: guests
starts_on: VisitBooked
correlate_by: visit
remember: [guests]
within: 1h
steps:
  - {name: air, emit: AirWanted, not_before: 2h, completes_on: Aired, compensate: none}
"""


@pytest.fixture
def ran(directory: Path, choreo: Choreo) -> Path:
    """An order that is complete, and a visit whose step is put off."""
    settings = '[project]\nservices = ["shop", "visits"]\nsagas = "*.yaml"\n'
    write_project(directory, settings)
    (directory / "order.yaml").write_text(SAGA.replace("steps:", "remember: [total]\nsteps:"), encoding="utf-8")
    (directory / "visits.py").write_text(VISITS, encoding="utf-8")
    (directory / "visit.yaml").write_text(VISIT, encoding="utf-8")
    choreo("emit", "shop:OrderPlaced", "order_id=o1", "total=50")
    choreo("emit", "visits:VisitBooked", "visit=v1", "guests=50")
    choreo("run", "--until-idle")
    return directory


def test_a_condition_fits_none_of_the_sagas_that_lack_its_names(ran: Path, choreo: Choreo) -> None:
    """Among sagas of several kinds `--where` asks those that know what it speaks of; what none knows is a mistake."""
    for condition, fits in (("saga.guests > 1", "v1"), ("saga.total > 1", "o1")):
        rows = choreo("sagas", "list", "--where", condition).stdout.splitlines()[1:]
        assert [row.split()[1] for row in rows] == [fits]
    said = choreo("sagas", "list", "--where", "saga.gests > 1", code=2).stderr
    assert "there is no saga.gests here" in said
    assert "did you mean saga.guests?" in said


def test_why_says_when_a_step_begins_that_is_put_off(ran: Path, choreo: Choreo) -> None:
    """A saga that waits for nothing but a time says which step begins when."""
    told, later, orders, *_ = choreo("sagas", "why", "v1").stdout.splitlines()
    assert told == "waiting: air begins later"
    assert later.startswith("  air begins at 20")
    assert later.endswith(("(1 h 59 min left)", "(2 h left)"))
    assert orders.startswith("  what you can order")


def test_a_list_of_tables_is_told_with_its_brackets() -> None:
    """What a saga remembers of a list shows where each item begins and ends; other values stand as they are written."""
    assert as_value([{"leg": "A"}, {"leg": "B"}]) == '[{"leg": "A"}, {"leg": "B"}]'
    assert [as_value(value) for value in (True, "Zürich", 3)] == ["true", "Zürich", "3"]
