"""Replays ask what they read for where it comes from: the schemas of another registry, the stores of another log."""

import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from choreo.cli.stores import LiveStores
from choreo.log.embedded import EmbeddedLog
from choreo.log.interface import TopicSpec
from choreo.record import NewRecord
from tests.cli.conftest import Choreo
from tests.cli.test_replay_verify import STATE, run

ORDER = '{"order_id": "o2", "total": 20}'
COMMANDS = [
    ["verify"],
    ["state", "inventory", "--at", "2099-01-01T00:00:00Z"],
    ["shadow", "inventory", "--code", "."],
    ["rebuild", "inventory", "--why", "to see", "--yes"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_registry_without_the_schemas_of_the_run_is_named(
    project: Path, choreo: Choreo, command: Sequence[str]
) -> None:
    """Every event would be a dead letter: verify would tell of differences only, rebuild would put that in place."""
    run(project, choreo, ORDER)
    said = choreo("replay", *command, "--registry", "memory:", code=2).stderr
    assert "a record that the service read when it ran can't be read here" in said
    assert "orders[" in said
    assert "is not registered" in said
    assert "--registry URL" in said
    assert choreo("replay", "verify").exit_code == 0


def test_what_the_run_could_not_read_either_is_no_fault(project: Path, choreo: Choreo) -> None:
    """A record whose schema nobody knows is a dead letter, of the run and of its replays."""
    with closing(EmbeddedLog(project / ".choreo" / "log")) as log:
        log.create_topics([TopicSpec("orders", 4)])
        log.append([NewRecord("orders", b"o1", b"\x00\x7f\xff\xff\xff what is it")])
    run(project, choreo, ORDER)
    letters = choreo("dead-letters", "list", "--json").stdout.splitlines()
    assert {json.loads(line)["service"] for line in letters} >= {"inventory"}
    assert choreo("replay", "verify").exit_code == 0


def test_stores_of_another_log_are_not_compared(project: Path, choreo: Choreo) -> None:
    """A state directory that another run left is no store of this one: its changelog is."""
    run(project, choreo, ORDER)
    shutil.move(project / STATE, project / "left")
    shutil.rmtree(project / ".choreo")
    run(project, choreo, ORDER.replace("o2", "o3"))
    shutil.rmtree(project / STATE)
    shutil.move(project / "left", project / STATE)
    said = choreo("replay", "verify").stderr
    assert "inventory: 4 tasks have no store of this log here; compared with their changelog" in said


def test_one_store_is_open_at_a_time(project: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that is open holds memory: with every task of a service it would grow."""
    run(project, choreo, ORDER)
    open_now, most = set[Path](), 0

    class Counted:
        def __init__(self, path: Path) -> None:
            nonlocal most
            self._backend, self._path = glimpse(path), path
            open_now.add(path)
            most = max(most, len(open_now))

        def __getattr__(self, name: str) -> object:
            return getattr(self._backend, name)

        def close(self) -> None:
            open_now.discard(self._path)
            self._backend.close()

    glimpse = LiveStores.__call__.__globals__["glimpse"]
    monkeypatch.setattr("choreo.cli.stores.glimpse", Counted)
    choreo("replay", "verify")
    assert (most, open_now) == (1, set())
