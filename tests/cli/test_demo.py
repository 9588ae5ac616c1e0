"""`choreo demo`: runs anywhere, begins anew each time, and leaves a log that the other commands read."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Choreo


@pytest.fixture(autouse=True)
def shop_forgotten() -> Iterator[None]:
    """Modules of the sample shop stay as they were before the test."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "services":
            del sys.modules[name]


def test_the_demo_ends_with_a_summary_and_three_commands_that_work(directory: Path, choreo: Choreo) -> None:
    """Outcomes, compensations, events/s and saga times; then three commands, each of which runs."""
    said = choreo("demo", "--count", "30", "--seed", "3").stdout
    for words in ("30 orders", "completed", "steps undone", "events/s", "p50", "p99", "virtual time"):
        assert words in said
    commands = [line.split() for line in said.splitlines() if line.startswith("  ") and "--log" in line]
    assert len(commands) == 3
    for command in commands:
        choreo(*command[next(n for n, word in enumerate(command) if word.endswith("choreo")) + 1 :])


def test_the_demo_begins_anew_each_time(directory: Path, choreo: Choreo) -> None:
    """Other orders of an earlier demo are not in the way."""
    for seed in ("1", "2"):
        summary = json.loads(choreo("demo", "--count", "10", "--seed", seed, "--json").stdout)
        assert sum(summary["statuses"].values()) == summary["orders"] == 10
    keys = [
        json.loads(line)["key"]
        for line in choreo("sagas", "list", "--log", "embedded:.choreo/demo/log", "--json").stdout.splitlines()
    ]
    assert len(keys) == 10


def test_the_demo_deletes_only_what_a_demo_made(directory: Path, choreo: Choreo) -> None:
    """A file of somebody else in the demo's corner stops it."""
    (directory / ".choreo" / "demo").mkdir(parents=True)
    (directory / ".choreo" / "demo" / "thesis.txt").touch()
    assert "thesis.txt, which no demo made" in choreo("demo", code=2).stderr
    assert (directory / ".choreo" / "demo" / "thesis.txt").exists()


def test_a_log_that_is_named_is_used_and_kept(directory: Path, choreo: Choreo) -> None:
    """--log embedded:DIR runs on that log; the same orders again add nothing, other orders are refused."""
    first = json.loads(choreo("demo", "--count", "5", "--log", "embedded:mine", "--json").stdout)
    again = json.loads(choreo("demo", "--count", "5", "--log", "embedded:mine", "--json").stdout)
    assert first["statuses"] == again["statuses"]
    assert "other orders" in choreo("demo", "--count", "5", "--seed", "9", "--log", "embedded:mine", code=2).stderr


def test_every_log_and_partition_count_tells_the_same(directory: Path, choreo: Choreo) -> None:
    """On the memory log with one partition, the outcomes are those of the embedded log with four."""
    on_memory = json.loads(choreo("demo", "--count", "20", "--log", "memory:", "--partitions", "1", "--json").stdout)
    embedded = json.loads(choreo("demo", "--count", "20", "--json").stdout)
    assert on_memory["statuses"] == embedded["statuses"]
    assert on_memory["compensations"] == embedded["compensations"]


def test_a_directory_without_orders_is_a_usage_error(directory: Path, choreo: Choreo) -> None:
    """--orders DIR says which file is missing."""
    assert "orders" in choreo("demo", "--orders", str(directory), code=2).stderr
