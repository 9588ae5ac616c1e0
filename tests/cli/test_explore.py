"""`choreo check --explore` and `--diagram`: what they say, what they write, how they end."""

import json
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from choreo.cli import explore as command
from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Input
from choreo.saga.explore import Bounds, Exploration, explore
from choreo.saga.instance import Instance
from choreo.saga.rules import Spec
from tests.cli.conftest import Choreo
from tests.cli.test_check import SETTINGS


@pytest.fixture
def checked(project: Path) -> Path:
    """A project that is all right."""
    (project / "choreo.toml").write_text(SETTINGS, encoding="utf-8")
    return project


@pytest.fixture
def forgetful(checked: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with a coordinator that never asks to undo."""

    def broken(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        decision = decide(spec, instance, given)
        return decision._replace(emits=tuple(emit for emit in decision.emits if emit.kind != "undo"))

    def exploring(spec: Spec, lanes: Mapping[str, str], bounds: Bounds) -> Exploration:
        return explore(spec, lanes, bounds, broken)

    monkeypatch.setattr(command, "explore", exploring)
    return checked


def test_a_spec_that_keeps_every_promise_is_said_to(checked: Path, choreo: Choreo) -> None:
    """How many states, how deep, and that there are no others; exit code 0."""
    said = choreo("check", "--explore").stdout
    assert said.startswith("saga order: ")
    assert said.endswith(
        "moves in a row: every run keeps every promise (at most one cancellation and one duplicate a run)\n"
    )


def test_a_bound_that_was_hit_is_said(checked: Path, choreo: Choreo) -> None:
    """An exploration that was cut off never looks like a complete one, to people or programs."""
    said = choreo("check", "--explore", "--states", "20").stdout
    assert said.startswith("saga order: 20 states, up to ")
    assert said.endswith("more lies beyond the bound of 20 states, which --states widens\n")
    few = choreo("check", "--explore", "--states", "3").stdout
    assert "all runs of fewer than 2 moves without a timer, duplicate or cancellation were seen" in few
    row = json.loads(choreo("check", "--explore", "--states", "20", "--json").stdout)
    assert (row["saga"], row["states"], row["bound"], row["complete"]) == ("order", 20, "20 states", False)
    assert row["broken"] is None


def test_a_broken_promise_is_drawn(forgetful: Path, choreo: Choreo) -> None:
    """The run that breaks a promise, with the services that take part; exit code 1."""
    said = choreo("check", "--explore", code=1).stdout.splitlines()
    assert said[0].endswith("; broken: what completed or may have is undone exactly once")
    assert said[1:] == [
        "outside           order              payments",
        "   |--OrderPlaced-->|                    |",
        "   |                * waiting            |",
        "   |                |<-PaymentDeclined---|",
        "   |                * compensating       |",
        "   |                * broken: reserve is being undone, and nobody is asked to",
    ]


def test_a_broken_promise_is_drawn_for_pages_and_programs(forgetful: Path, choreo: Choreo) -> None:
    """--mermaid gives a sequenceDiagram, --json the promise and its rows."""
    assert choreo("check", "--explore", "--mermaid", code=1).stdout.splitlines()[1] == "sequenceDiagram"
    row = json.loads(choreo("check", "--explore", "--json", code=1).stdout)
    assert row["complete"] is False
    assert row["broken"]["promise"] == "what completed or may have is undone exactly once"
    assert row["broken"]["run"][0] == {"kind": "arrow", "from": "outside", "to": "order", "text": "OrderPlaced"}


def test_diagrams_are_files(checked: Path, choreo: Choreo) -> None:
    """Each saga and the choreography, as Mermaid and as SVG; nothing on stdout."""
    result = choreo("check", "--diagram", "pictures")
    assert result.stdout == ""
    names = sorted(file.name for file in (checked / "pictures").iterdir())
    assert names == ["choreography.mmd", "choreography.svg", "order.mmd", "order.svg"]
    whole = (checked / "pictures" / "choreography.mmd").read_text(encoding="utf-8")
    for part in ("inventory", "payments", "saga order", "orders", "StockReserved"):
        assert part in whole
    root = ElementTree.parse(checked / "pictures" / "order.svg").getroot()
    assert {str(one.get("data-name")) for one in root.iter() if one.get("data-name")} == {
        "start",
        "step reserve",
        "undo reserve",
        "step pay",
        "completed",
    }


def test_a_place_that_can_not_be_drawn_into_is_told(checked: Path, choreo: Choreo) -> None:
    """A directory that can't be made is an error with its place and a way out."""
    (checked / "taken").write_text("", encoding="utf-8")
    said = choreo("check", "--diagram", "taken/pictures", code=2).stderr
    assert "can't draw into taken/pictures" in said
    assert "try" in said
