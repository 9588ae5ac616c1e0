"""The embedded log: the contract, and what it alone promises."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from choreo.clock import VirtualClock
from choreo.errors import StateError, StateInUseError
from choreo.log.embedded import EmbeddedLog
from choreo.log.embedded_store import LogStore
from choreo.log.interface import Log, TopicSpec
from choreo.record import NewRecord, TopicPartition
from choreo.testing.contracts import DurableLogContract

PAIR = """
import sys
from choreo.log.embedded import EmbeddedLog
from choreo.log.interface import Membership, TopicSpec
from choreo.record import NewRecord, TopicPartition

class Taker:
    def assigned(self, committed): return {p: o or 0 for p, o in committed.items()}
    def revoked(self, partitions): pass
    lost = revoked

log = EmbeddedLog(sys.argv[1])
log.create_topics([TopicSpec("left", 2), TopicSpec("right", 2)])
source = TopicPartition("left", 0)
member = log.join(Membership("pairs", ("left",), "a"), Taker())
member.poll(0)
n = log.committed("pairs", [source])[source] or 0
writer = log.writer("pairs")
"""

KILLED = (
    PAIR
    + """
while True:
    transaction = writer.begin()
    value = b"%d " % n + b"x" * (n % 7 * 9000)
    transaction.append([NewRecord("left", None, value, (), 1), NewRecord("right", None, value, (), 0)])
    n += 1
    transaction.send_offsets(member, member.identity(), {source: n})
    transaction.commit()
    if n % 5 == 0:
        print(n, flush=True)
"""
)

FULL = (
    PAIR
    + """
import json, random, resource
from choreo.errors import DiskFullError
noise = random.Random(7)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
kept, refused = 0, []

def write():
    transaction = writer.begin()
    value = b"%d " % kept + noise.randbytes(100_000)
    transaction.append([NewRecord("left", None, value, (), 1), NewRecord("right", None, value, (), 0)])
    transaction.send_offsets(member, member.identity(), {source: kept + 1})
    try:
        transaction.commit()
    except DiskFullError as error:
        transaction.abort()
        refused.append(str(error))
        return 0
    return 1

resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
while len(refused) < 3 and kept < 1000:
    kept += write()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
before = kept
for _ in range(5):
    kept += write()
log.close()
print(json.dumps({"before": before, "kept": kept, "refused": refused}))
"""
)


def numbers(log: Log, topic: str, partition: int) -> list[int]:
    """The numbers with which the values of a partition begin."""
    name = TopicPartition(topic, partition)
    found: list[int] = []
    with log.reader({name: 0}) as reader:
        while batch := reader.read(0):
            found += [int((record.value or b"").split()[0]) for record in batch]
    return found


def expect_pairs(log: Log) -> int:
    """Left, right and the group's offset tell the same story, without a hole; answers how many there are."""
    left, right = numbers(log, "left", 1), numbers(log, "right", 0)
    source = TopicPartition("left", 0)
    count = log.committed("pairs", [source])[source] or 0
    assert left == right == list(range(count))
    return count


class TestEmbeddedLog(DurableLogContract):
    """The contract suite on the embedded log."""

    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[Log]:
        with EmbeddedLog(tmp_path / "log") as log:
            yield log

    def reopen(self, log: Log) -> Log:
        log.close()
        return EmbeddedLog(log.url.removeprefix("embedded:"))


def test_a_kill_leaves_whole_transactions(tmp_path: Path) -> None:
    """Killed with -9 in the midst of commits, ten times over, it holds pairs and offsets together or not at all."""
    counts = [0]
    for round_number in range(10):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(1 + round_number):
                assert child.stdout.readline(), "the writer ended by itself"
            child.kill()
        with EmbeddedLog(tmp_path) as log:
            counts.append(expect_pairs(log))
        assert counts[-1] >= counts[-2] + 5


def test_a_full_disk_is_an_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    """With no room a commit raises DiskFullError and keeps nothing; with room again the same log goes on."""
    run = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    told = json.loads(run.stdout)
    assert told["kept"] == told["before"] + 5
    assert len(told["refused"]) == 3
    assert all("no room left" in text and "make room" in text for text in told["refused"])
    with EmbeddedLog(tmp_path) as log:
        assert expect_pairs(log) == told["kept"]


def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    """A second owner is refused with StateInUseError until the first has closed it."""
    with EmbeddedLog(tmp_path), pytest.raises(StateInUseError):
        EmbeddedLog(tmp_path)
    EmbeddedLog(tmp_path).close()


def test_another_layout_is_refused(tmp_path: Path) -> None:
    """A directory that another version wrote is left alone, and the error says so."""
    store = LogStore(tmp_path)
    store.write({b"v": b"\x09"})
    store.close()
    with pytest.raises(StateError, match="version 9"):
        EmbeddedLog(tmp_path)


def test_timestamps_never_fall(tmp_path: Path) -> None:
    """A clock that was set back does not take the records with it, so a time still leads to one offset."""
    stamps = []
    for now_s in (2_000, 1_000, 3_000):
        with EmbeddedLog(tmp_path, clock=VirtualClock(now_s * 1_000_000)) as log:
            log.create_topics([TopicSpec("t", 1)])
            log.append([NewRecord("t", None, b"x")])
            with log.reader({TopicPartition("t", 0): 0}) as reader:
                stamps = [record.timestamp_ms for record in reader.read(0)]
            assert log.offsets_at([TopicPartition("t", 0)], 2_000_001) == {
                TopicPartition("t", 0): 2 if now_s == 3_000 else len(stamps)
            }
    assert stamps == [2_000_000, 2_000_000, 3_000_000]


def test_sync_commits_are_kept(tmp_path: Path) -> None:
    """A log that syncs each commit takes and keeps records as one that does not."""
    with EmbeddedLog(tmp_path, sync=True) as log:
        log.create_topics([TopicSpec("t", 1)])
        log.append([NewRecord("t", None, b"0 synced")])
    with EmbeddedLog(tmp_path) as log:
        assert numbers(log, "t", 0) == [0]
