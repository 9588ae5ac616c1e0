"""No room left on the disk: the service ends and says so; with room again it goes on as if nothing had been."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from choreo.events.registry import DirectoryRegistry
from choreo.log.embedded import EmbeddedLog
from choreo.replay.verify import verify
from choreo.state.rocks import RocksBackends
from tests.badinput.actor import COUNT, life, many
from tests.badinput.post import caught_up, letters, post, sorted_parcels

ROOT = Path(__file__).parents[2]


def act(what: str, directory: Path) -> dict[str, Any]:
    """What the actor said last."""
    command = [sys.executable, "-m", "tests.badinput.actor", what, str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_a_log_without_room_ends_the_service_with_nothing_lost(tmp_path: Path) -> None:
    """The error names the place and the cure; the next life handles the rest, each parcel once, and replay agrees."""
    said = act("log", tmp_path)
    assert "no room left" in said["error"]
    assert str(tmp_path / "log") in said["error"]
    assert "\n  try  " in said["error"]
    assert 0 < said["before"] < COUNT
    registry = DirectoryRegistry(tmp_path / "schemas")
    with EmbeddedLog(tmp_path / "log") as log:
        assert life(log, registry, tmp_path, lambda worker: caught_up(log)) is None
        assert sorted_parcels(log, registry) == {(number, 1): 1 for number in many()}
        assert letters(log) == []
        backends = RocksBackends(tmp_path / "state")
        assert verify(post, log, registry, lambda number: backends.open(f"post-{number}")).clean
        backends.close()


def test_stores_without_room_end_the_service_with_nothing_lost(tmp_path: Path) -> None:
    """The log has what the stores could not keep: once there is room they catch up, and no count is off by one."""
    said = act("state", tmp_path)
    assert "no room left to write the state" in said["error"]
    assert "the changelog has it" in said["error"]
    assert 0 < said["before"] < COUNT
    assert (said["again"], said["exact"], said["clean"]) == (None, True, True)
