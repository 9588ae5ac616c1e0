"""What every state backend keeps to: subclass BackendContract and give it `backends`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest

from choreo.errors import StateError, StateInUseError
from choreo.state.backend import Backend, Backends

TASK = "stock-0"


class BackendContract(ABC):
    """Tests of one implementation of Backends."""

    @abstractmethod
    def make(self, directory: Path) -> Backends:
        """Backends that keep what they are given in `directory`, or in themselves."""

    def again(self, backends: Backends, directory: Path) -> Backends:
        """The same after a restart of the process; `backends` is closed."""
        del backends
        return self.make(directory)

    @pytest.fixture
    def backends(self, tmp_path: Path) -> Iterator[Backends]:
        backends = self.make(tmp_path)
        yield backends
        backends.close()

    @pytest.fixture
    def backend(self, backends: Backends) -> Backend:
        return backends.open(TASK)

    def test_reads_what_was_written(self, backend: Backend) -> None:
        """A key has the last value written to it, also an empty one, and none once it is deleted."""
        assert backend.get(b"a") is None
        backend.write({b"a": b"1", b"b": b"", b"\x00\xff": b"\x00"})
        assert [backend.get(key) for key in (b"a", b"b", b"\x00\xff")] == [b"1", b"", b"\x00"]
        backend.write({b"a": b"2", b"b": None, b"never": None})
        assert [backend.get(key) for key in (b"a", b"b", b"never")] == [b"2", None, None]
        backend.write({b"b": b"back"})
        assert backend.get(b"b") == b"back"

    def test_an_empty_batch_changes_nothing(self, backend: Backend) -> None:
        """Writing nothing is allowed."""
        backend.write({})
        assert list(backend.scan()) == []

    def test_scans_in_key_order(self, backend: Backend) -> None:
        """A scan gives the entries as the bytes of their keys sort, whatever the order of writing."""
        keys = [b"b", b"", b"a\x00", b"\xff\xff", b"a", b"\xff", b"ab", b"\x00"]
        for key in keys:
            backend.write({key: key + b"!"})
        assert list(backend.scan()) == [(key, key + b"!") for key in sorted(keys)]

    def test_scans_a_prefix_from_a_start(self, backend: Backend) -> None:
        """Only keys with the prefix, and from `start` on, `start` included; one before the prefix hides nothing."""
        backend.write(
            dict.fromkeys((b"a", b"b", b"b1", b"b2", b"b\xff", b"b\xff\xff", b"c", b"\xff", b"\xff\x01"), b"")
        )

        def keys(prefix: bytes, start: bytes | None = None) -> list[bytes]:
            return [key for key, _ in backend.scan(prefix, start)]

        assert keys(b"b") == [b"b", b"b1", b"b2", b"b\xff", b"b\xff\xff"]
        assert keys(b"b", b"b2") == [b"b2", b"b\xff", b"b\xff\xff"]
        assert keys(b"b", b"b11") == [b"b2", b"b\xff", b"b\xff\xff"]
        assert keys(b"b", b"a") == keys(b"b")
        assert keys(b"b", b"c") == []
        assert keys(b"", b"c") == [b"c", b"\xff", b"\xff\x01"]
        assert keys(b"\xff") == [b"\xff", b"\xff\x01"]
        assert keys(b"b\xff") == [b"b\xff", b"b\xff\xff"]
        assert keys(b"none") == []

    def test_scans_many_with_gaps(self, backend: Backend) -> None:
        """A scan over thousands of entries, half of them deleted, gives each that is left once."""
        backend.write({b"k%05d" % number: b"%d" % number for number in reversed(range(5000))})
        backend.write({b"k%05d" % number: None for number in range(0, 5000, 2)})
        assert [value for _, value in backend.scan(b"k")] == [b"%d" % number for number in range(1, 5000, 2)]
        backend.write({b"k%05d" % number: b"new" for number in range(0, 5000, 2)})
        assert len(list(backend.scan(b"k"))) == 5000

    def test_a_scan_survives_writes_beneath_it(self, backend: Backend) -> None:
        """Entries that no write touches are seen once each, whatever is written while the scan is open."""
        backend.write({b"k%04d" % number: b"old" for number in range(2000)})
        seen = []
        for number, (key, value) in enumerate(backend.scan(b"k")):
            if value == b"old":
                seen.append(key)
            backend.write({b"k%04d+" % number: b"new", b"a%d" % number: b"new"})
        assert seen == [b"k%04d" % number for number in range(2000)]

    def test_an_unfinished_scan_does_not_keep_it_open(self, backends: Backends, backend: Backend) -> None:
        """A scan that nobody finishes hinders neither wipe nor close nor the next opener."""
        backend.write({b"k%d" % number: b"" for number in range(100)})
        scan = backend.scan()
        next(scan)
        backend.wipe()
        backend.close()
        backends.open(TASK)

    def test_wipe_deletes_everything(self, backend: Backend) -> None:
        """After a wipe there is nothing, and the backend can be used."""
        backend.write({b"a": b"1", b"\x00meta": b"2"})
        backend.wipe()
        assert list(backend.scan()) == []
        backend.write({b"b": b"3"})
        assert list(backend.scan()) == [(b"b", b"3")]

    def test_closed_and_opened_again_it_has_it_all(self, backends: Backends, backend: Backend) -> None:
        """What was written is there after close and open."""
        backend.write({b"a": b"1", b"b": b"2"})
        backend.write({b"a": None})
        backend.close()
        backend.close()
        assert list(backends.open(TASK).scan()) == [(b"b", b"2")]

    def test_a_restart_keeps_entries_and_instance(self, backends: Backends, backend: Backend, tmp_path: Path) -> None:
        """The next process finds the entries, the wiped ones gone, and takes over under the same instance id."""
        backend.write({b"a": b"1"})
        other = backends.open("stock-1")
        other.write({b"b": b"2"})
        other.wipe()
        instance = backends.instance_id()
        assert instance
        assert backends.instance_id() == instance
        backends.close()
        backends.close()
        restarted = self.again(backends, tmp_path)
        try:
            assert restarted.instance_id() == instance
            assert list(restarted.open(TASK).scan()) == [(b"a", b"1")]
            assert list(restarted.open("stock-1").scan()) == []
        finally:
            restarted.close()

    def test_one_opener_at_a_time(self, backends: Backends, backend: Backend) -> None:
        """A second opener is a StateInUseError; the first goes on, and once it has closed the next may open."""
        with pytest.raises(StateInUseError):
            backends.open(TASK)
        backend.write({b"a": b"1"})
        backend.close()
        assert backends.open(TASK).get(b"a") == b"1"

    def test_tasks_are_apart(self, backends: Backends, backend: Backend) -> None:
        """Entries of one task are not another's, even where the names look like paths."""
        other = backends.open("../stock-1/0")
        backend.write({b"a": b"1"})
        other.write({b"a": b"2"})
        assert (backend.get(b"a"), other.get(b"a")) == (b"1", b"2")

    def test_a_closed_one_refuses(self, backend: Backend) -> None:
        """Whoever goes on after the close gets a StateError, not old entries."""
        backend.write({b"a": b"1"})
        backend.close()
        with pytest.raises(StateError):
            backend.get(b"a")
        with pytest.raises(StateError):
            backend.write({b"a": b"2"})
        with pytest.raises(StateError):
            list(backend.scan())

    def test_a_snapshot_keeps_the_entries_as_they_were(self, backends: Backends, backend: Backend) -> None:
        """What is written later is not in a snapshot, also where one is taken again by the same number."""
        snapshots = backends.snapshots(TASK)
        assert snapshots.numbers() == []
        backend.write({b"a": b"1", b"b": b"2"})
        snapshots.take(7)
        backend.write({b"a": b"3", b"b": None, b"c": b"4"})
        snapshots.take(7)
        snapshots.take(12)
        assert snapshots.numbers() == [7, 12]
        kept = [snapshots.open(number) for number in (7, 12)]
        assert [list(one.scan()) for one in kept] == [[(b"a", b"1"), (b"b", b"2")], [(b"a", b"3"), (b"c", b"4")]]
        for one in kept:
            one.close()

    def test_a_snapshot_outlives_a_restart_and_can_be_dropped(self, backends: Backends, tmp_path: Path) -> None:
        """After a restart all are there; a dropped one is gone, and to drop it twice is nothing."""
        backends.open(TASK).write({b"a": b"1"})
        backends.snapshots(TASK).take(1)
        backends.snapshots(TASK).take(2)
        backends.close()
        again = self.again(backends, tmp_path)
        snapshots = again.snapshots(TASK)
        assert snapshots.numbers() == [1, 2]
        snapshots.drop(1)
        snapshots.drop(1)
        assert snapshots.numbers() == [2]
        with pytest.raises(StateError, match="there is no s"):
            snapshots.open(1)
        again.close()
