"""The official conformance feature of the CloudEvents Kafka binding, every scenario, read and written."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest

from choreo.clock import to_datetime
from choreo.events.cloudevents import CloudEvent, binary_headers, read_cloud_event, structured
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.events.registry import MemoryRegistry
from choreo.record import Headers, NewRecord, Record
from choreo.types import CloudEvents, Json
from tests.events.sample import kept

BESIDE = Path(__file__).parents[3] / "shared" / "data"
PLACE = Path("cloudevents_kafka", "features", "kafka-protocol-binding.feature")
_said: list[str] = []
SCENARIOS = 3
"""How many the feature holds, examples counted one by one: it must not pass by being empty."""


class Hello(Event, namespace="com.example", topic="example.hello", external=True, wire=Json(),
            cloudevents=CloudEvents(type="com.example.someevent", source="/mycontext/subcontext")):  # fmt: skip
    message: str


class Scenario(NamedTuple):
    """One scenario of the feature with the values of one example put in."""

    name: str
    payload: str
    headers: dict[str, str]
    attributes: dict[str, str]
    data: str

    def record(self) -> Record:
        headers = [(name, value.encode()) for name, value in self.headers.items()]
        return kept(NewRecord("example.hello", None, self.payload.encode(), headers))


def feature() -> str:
    """The feature's text, from CHOREO_DATA or ../shared/data beside the checkout; else skips, loudly."""
    file = Path(os.environ.get("CHOREO_DATA") or BESIDE) / PLACE
    if file.is_file():
        return file.read_text()
    missing = f"NOT TESTED ON THE CLOUDEVENTS FEATURE: no {file}; set CHOREO_DATA to the directory that has {PLACE}"
    if os.environ.get("CI") == "true" and ("CHOREO_DATA" in os.environ or BESIDE.parent.is_dir()):
        pytest.fail(missing)
    if not _said:
        _said.append(missing)
        print(f"\n!!! {missing} !!!", file=sys.__stderr__, flush=True)
    pytest.skip(missing)


def scenarios(text: str) -> Iterator[Scenario]:
    """Every scenario of a feature; an outline gives one for each of its examples."""
    for block in re.split(r"^\s*Scenario(?: Outline)?: ", text, flags=re.MULTILINE)[1:]:
        steps, _, examples = block.partition("Examples:")
        rows = table(examples)
        for row in rows[1:] or [[]]:
            filled = steps
            for name, value in zip(rows[0] if row else [], row, strict=True):
                filled = filled.replace(f"<{name}>", value)
            payload, data = re.findall(r'"""(.*?)"""', filled, re.DOTALL)
            given, expected = filled.split("Then the attributes are:")
            tables = [dict(pair for pair in table(part)[1:] if len(pair) == 2) for part in (given, expected)]
            name = filled.partition("\n")[0].strip()
            yield Scenario(name, payload, tables[0], tables[1], data)


def table(text: str) -> list[list[str]]:
    """The rows of a Gherkin table, its head first."""
    rows = re.findall(r"^\s*\|(.*)\|\s*$", text, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows]


def test_every_scenario_is_read() -> None:
    """The attributes are those that the feature says, and the data is equal to its JSON."""
    found = list(scenarios(feature()))
    assert len(found) == SCENARIOS
    for scenario in found:
        event = read_cloud_event(scenario.record())
        assert event is not None, scenario.name
        assert event.attributes == scenario.attributes, scenario.name
        assert event.data is not None
        assert json.loads(event.data) == json.loads(scenario.data), scenario.name


def test_every_scenario_is_an_event_of_its_class() -> None:
    """A class that names the CloudEvents type takes the record, with the sender's id and time, in each mode."""
    codec, ids = Codec(MemoryRegistry(), (Hello,), "c"), set()
    for scenario in scenarios(feature()):
        record = scenario.record()
        assert codec.event_class(record) is Hello
        envelope = codec.decode(record)
        assert envelope.event == Hello(message="Hello World!")
        assert to_datetime(envelope.ids.at).isoformat() == "2018-04-05T03:56:24+00:00"
        ids.add(envelope.ids)
    assert len(ids) == 1
    assert UUID(bytes=ids.pop().event_id).version == 5


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_every_scenario_is_written_and_read_again(mode: str) -> None:
    """What each scenario says, written in either mode, reads back as the same attributes and data."""
    for scenario in scenarios(feature()):
        event = CloudEvent(scenario.attributes, scenario.data.strip().encode())
        value: bytes | None
        headers: Headers
        value, headers = structured(event) if mode == "structured" else (event.data, binary_headers(event.attributes))
        assert read_cloud_event(kept(NewRecord("t", None, value, headers))) == event
        if mode == "binary" and "ce_id" in scenario.headers:
            assert {name: text.decode() for name, text in headers} == scenario.headers
