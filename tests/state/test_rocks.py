"""The RocksDB backend keeps the contract of all state backends, and what only a disk can promise."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from choreo.errors import StateError, StateInUseError
from choreo.state.backend import Backends
from choreo.state.lock import DirectoryLock
from choreo.state.rocks import RocksBackends
from choreo.testing.backend_contract import TASK, BackendContract


def impatient(directory: Path) -> RocksBackends:
    """Tries twice and does not sleep in between."""
    return RocksBackends(directory, wait_s=0.1, pause=lambda seconds: None)


WRITER = """
import sys
from contextlib import closing
from choreo.state.rocks import RocksBackends
backend = RocksBackends(sys.argv[1]).open("stock-0")
number = 0
while True:
    number += 1
    backend.write({b"%d-%d" % (part, number): b"x" * 200 for part in range(50)} | {b"last": b"%d" % number})
    print(number, flush=True)
"""

FULL = """
import resource, sys
from choreo.errors import DiskFullError
from choreo.state.rocks import RocksBackends
backends = RocksBackends(sys.argv[1])
backend = backends.open("stock-0")
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
number = 0
try:
    while True:
        after = number + 1
        backend.write({b"%d-%d" % (part, after): b"x" * 200 for part in range(50)} | {b"last": b"%d" % after})
        number = after
except DiskFullError as error:
    print(number, error.hint)
"""


def start(code: str, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def written(directory: Path) -> tuple[int, dict[bytes, bytes]]:
    """Number of the last batch, and all entries."""
    backends = RocksBackends(directory)
    try:
        entries = dict(backends.open(TASK).scan())
    finally:
        backends.close()
    return int(entries.pop(b"last")), entries


class TestRocks(BackendContract):
    """A restart is another object on the same directory."""

    def make(self, directory: Path) -> Backends:
        return impatient(directory)


@pytest.mark.parametrize("after", [1, 40, 300])
def test_kill_keeps_whole_batches(tmp_path: Path, after: int) -> None:
    """A process killed with -9 amid its writes leaves every batch it had written, whole, and no half one."""
    with start(WRITER, tmp_path) as process:
        assert process.stdout
        for _ in range(after):
            reported = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    last, entries = written(tmp_path)
    assert last >= reported >= after
    assert entries.keys() == {b"%d-%d" % (part, number) for number in range(1, last + 1) for part in range(50)}


def test_a_full_disk_says_so_and_keeps_what_was_written(tmp_path: Path) -> None:
    """Without room, write is a DiskFullError with a hint; what was written before is there once there is room."""
    with start(FULL, tmp_path) as process:
        assert process.stdout
        number, _, hint = process.stdout.read().partition(" ")
    assert process.returncode == 0
    assert "nothing is lost" in hint
    last, entries = written(tmp_path)
    assert last == int(number) > 0
    assert len(entries) == 50 * last


def test_a_directory_in_use_names_its_holder(tmp_path: Path) -> None:
    """A second process, or a second object, is a StateInUseError with the process id of the holder."""
    with start(WRITER, tmp_path) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(StateInUseError, match=f"process {process.pid} has it open"):
            impatient(tmp_path)
        process.kill()
    backends = impatient(tmp_path)
    with pytest.raises(StateInUseError, match=f"process {os.getpid()} has it open"):
        impatient(tmp_path)
    backends.close()


def test_a_directory_that_goes_with_its_holder_is_made_again(tmp_path: Path) -> None:
    """Whoever waited for a directory that its holder took away owns one that is there, and nobody else does."""
    place = tmp_path / "scratch"
    first = DirectoryLock(place, 0)

    def pause(seconds: float) -> None:
        shutil.rmtree(place, ignore_errors=True)
        first.close()

    second = DirectoryLock(place, 1.0, pause)
    with pytest.raises(StateInUseError, match=f"process {os.getpid()} has it open"):
        DirectoryLock(place, 0, lambda seconds: None)
    second.close()


def test_a_directory_that_vanishes_meanwhile_is_in_use(tmp_path: Path) -> None:
    """Who looks whether it is free as its holder takes it away is told that it is in use, and by whom."""
    held = DirectoryLock(tmp_path / "scratch", 0)
    with pytest.raises(StateInUseError, match=f"process {os.getpid()} has it open"):
        DirectoryLock(tmp_path / "scratch", 0, lambda seconds: shutil.rmtree(tmp_path / "scratch"))
    held.close()


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    """A directory that can't be made says why."""
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="file can't be used\n  why  it is a file"):
        DirectoryLock(tmp_path / "file", 0)


def test_waits_for_a_directory_that_is_about_to_be_free(tmp_path: Path) -> None:
    """A holder that closes within the budget is waited for."""
    first = RocksBackends(tmp_path)
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        first.close()

    RocksBackends(tmp_path, pause=pause).close()
    assert len(waits) == 1


def test_waits_for_a_task_that_is_about_to_be_closed(tmp_path: Path) -> None:
    """A task that is closed within the budget is waited for."""
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        backend.close()

    backends = RocksBackends(tmp_path, pause=pause)
    backend = backends.open(TASK)
    backends.open(TASK).write({b"a": b"1"})
    backends.close()
    assert len(waits) == 1


def test_the_instance_id_is_made_once(tmp_path: Path) -> None:
    """Eight hexadecimal digits, made at the first asking and kept for ever."""
    ids = iter(["0123abcd", "never used"])
    first = RocksBackends(tmp_path, new_id=lambda: next(ids))
    assert first.instance_id() == "0123abcd"
    first.close()
    second = RocksBackends(tmp_path)
    assert second.instance_id() == "0123abcd"
    second.close()
    other = RocksBackends(tmp_path / "other")
    assert len(other.instance_id()) == 8
    assert int(other.instance_id(), 16) >= 0
    other.close()


def test_a_damaged_database_says_what_to_do(tmp_path: Path) -> None:
    """A task's directory that RocksDB can't read is a StateError that says to delete it."""
    backends = RocksBackends(tmp_path)
    backends.open(TASK).close()
    (tmp_path / TASK / "CURRENT").write_text("garbage\n")
    with pytest.raises(StateError, match="restored from the changelog"):
        backends.open(TASK)
    backends.close()


def test_what_a_killed_wipe_left_is_cleared_away(tmp_path: Path) -> None:
    """A wipe that was killed amid deleting leaves a directory that the next start removes."""
    left = tmp_path / f"{TASK}.gone"
    left.mkdir()
    (left / "000001.sst").write_bytes(b"x")
    RocksBackends(tmp_path).close()
    assert not left.exists()


def test_a_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    """A path that is a file is a StateError with a hint."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="may write"):
        RocksBackends(tmp_path / "file")


def test_filters_of_a_large_store_are_read_in_parts(tmp_path: Path) -> None:
    """What RocksDB itself notes: whole filters of a large store would push one another out of the shared cache."""
    with closing(RocksBackends(tmp_path)) as backends:
        backends.open(TASK)
        (options,) = (tmp_path / TASK).glob("OPTIONS-*")
        noted = options.read_text(encoding="utf-8")
    assert "partition_filters=true" in noted
    assert "index_type=kTwoLevelIndexSearch" in noted
