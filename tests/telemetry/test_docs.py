"""docs/watching.md: its example is a line as it is written, and its tables name every figure, no more and no less."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from choreo import Service
from choreo.runtime.reporter import Reporter
from choreo.telemetry.log_lines import JsonLines
from tests.runtime.test_observer import Posted, Weigh
from tests.runtime.watched import WatchedTown
from tests.telemetry.test_endpoint import Watched

PAGE = (Path(__file__).parents[2] / "docs" / "watching.md").read_text(encoding="utf-8")


def table(head: str) -> list[str]:
    """The names in the first column of a table, in order."""
    rows = PAGE.split(f"| {head} |")[1].split("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_every_figure_is_explained() -> None:
    """The tables hold what /status holds, in its order."""
    town = Watched(Service("post", handlers=[Weigh]))
    town.tell(Posted(parcel="p1"))
    status: Any = town.watch.status()
    assert table("figure") == list(status)
    assert table("of a service") == list(status["services"][0])
    assert table("of a task") == list(status["services"][0]["tasks"][0])


def test_the_example_is_a_line_as_it_is_written(caplog: pytest.LogCaptureFixture) -> None:
    """The example has the fields, in the order, of what the runtime writes when a key is parked."""
    town = WatchedTown(Service("post", handlers=[Weigh]), observer=Reporter())
    Weigh.broken.add("p1")
    with caplog.at_level(logging.WARNING, "choreo.runtime"):
        town.tell(Posted(parcel="p1"))
    Weigh.broken.clear()
    (parked,) = [record for record in caplog.records if "is parked" in record.getMessage()]
    written, shown = json.loads(JsonLines().format(parked)), json.loads(block("json"))
    assert list(shown) == list(written)
    words = re.sub(
        r"^\w+: attempt 2 at \S+ \(\S+\) failed, its key is parked for [\d.]+ s: \w+: .*$", "fits", shown["message"]
    )
    assert words == "fits"


def test_the_probes_are_yaml_and_ask_for_what_there_is() -> None:
    """A manifest can be pasted; its paths are those of the endpoint."""
    (container,) = YAML(typ="safe").load(block("yaml"))["containers"]
    paths = {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    assert paths == {"/readyz", "/healthz"}
