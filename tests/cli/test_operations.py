"""`choreo operations list`: what operators did, by the filters that lists share; a dry run is nothing."""

from pathlib import Path
from typing import Any

import pytest

from choreo.log.embedded import EmbeddedLog
from choreo.record import TopicPartition
from tests.cli.conftest import Choreo
from tests.cli.test_archives import place, rows

AGAIN = ("replay", "emit", "orders", "--to", "trial", "--yes")


@pytest.fixture
def done(project: Path, choreo: Choreo) -> Path:
    """Two emissions, of which the second was broken off, by two operators; and one that was only looked at."""
    place(choreo, 1, 3)
    choreo("topics", "create", "trial", "--partitions", "1")
    choreo(*AGAIN, "--why", "a trial", "--who", "ada", "--where", "name == 'shop.OrderPlaced'")
    choreo(*AGAIN, "--why", "looking", "--dry-run")
    choreo(*AGAIN, "--why", "another trial", "--who", "bob")
    end_is_lost(Path(".choreo/log"))
    return project


def end_is_lost(directory: Path) -> None:
    """The log as it was before the last operation was said to have ended."""
    with EmbeddedLog(directory) as log:
        place = TopicPartition("choreo.operations", 0)
        end = log.ends([place])[place]
        partition = log.partition(place)
        log.keep_where([], {partition.name: end - 1})


def listed(choreo: Choreo, *words: str) -> list[dict[str, Any]]:
    return rows(choreo, "operations", "list", *words)


@pytest.mark.usefixtures("done")
def test_who_did_what_why_and_how_far_it_came(choreo: Choreo) -> None:
    """In the order in which it began; what did not come to its end says so."""
    first, second = listed(choreo)
    assert (first["kind"], first["who"], first["why"], first["state"]) == ("emit", "ada", "a trial", "ended")
    assert (first["subjects"], first["emitted"], first["counts"]["emitted"]) == (["orders"], 3, 3)
    assert first["asked"]["where"] == "name == 'shop.OrderPlaced'"
    assert first["ended_at"] >= first["at"]
    assert (second["who"], second["state"], second["ended_at"]) == ("bob", "began", None)
    assert second["emitted"] > 3
    choreo("archives", "write", "--to", "kept")
    assert listed(choreo, "--log", "memory:", "--archive", "kept", "--registry", "dir:kept/schemas") == [first, second]
    table = choreo("operations", "list").stdout
    assert "a trial" in table
    assert "bob" in table


@pytest.mark.usefixtures("done")
def test_lists_are_filtered_as_all_are(choreo: Choreo) -> None:
    """By a condition, by when it began, and so many."""
    first, second = listed(choreo)
    assert listed(choreo, "--where", "who == 'bob' && state == 'began'") == [second]
    assert listed(choreo, "--where", "emitted == 3 && 'orders' in subjects") == [first]
    assert listed(choreo, "--where", "ended_at > timestamp('2020-01-01T00:00:00Z')") == [first]
    assert listed(choreo, "--limit", "1") == [first]
    assert listed(choreo, "--since", "1h") == [first, second]
    assert listed(choreo, "--until", "1h") == []
    assert "what there is: operation, kind" in choreo("operations", "list", "--where", "wo == 'x'", code=2).stderr
    assert "not true or false" in choreo("operations", "list", "--where", "letters + 1", code=2).stderr


def test_restores_of_archives_are_among_them(project: Path, choreo: Choreo) -> None:
    """On the log into which it was restored; where nobody did anything that is said."""
    place(choreo, 1, 3)
    assert "no operator has changed anything here" in choreo("operations", "list").stderr
    choreo("archives", "write", "--to", "kept")
    again = ("--log", "embedded:again")
    choreo("archives", "restore", "--from", "kept", *again, "--why", "a lost disk", "--who", "ada", "--yes")
    (only,) = listed(choreo, *again)
    assert (only["kind"], only["who"], only["why"]) == ("restore", "ada", "a lost disk")
    assert "orders" in only["subjects"]
    assert listed(choreo, *again, "--where", "kind == 'emit'") == []
