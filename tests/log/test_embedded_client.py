"""A second process beside the owner of an embedded log: it appends over the socket and reads for itself."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from choreo.errors import (
    FencedError,
    LogUnavailableError,
    PartitionCountError,
    RecordTooLargeError,
    StateInUseError,
    UnknownTopicError,
)
from choreo.log import embedded_socket
from choreo.log.embedded import EmbeddedLog
from choreo.log.embedded_client import EmbeddedClient
from choreo.log.interface import MAX_RECORD_BYTES, Log, Membership, TopicSpec, Writer
from choreo.log.open import open_log
from choreo.record import NewRecord, Position, TopicPartition
from choreo.testing.log_bench import Bench
from choreo.testing.log_contract_records import PositionsContract, RecordsContract, TopicsContract
from choreo.testing.log_contract_transactions import TransactionsContract

ORDERS = TopicPartition("orders", 0)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[EmbeddedLog]:
    with EmbeddedLog(tmp_path / "log") as log:
        log.create_topics([TopicSpec("orders", 1)])
        yield log


@pytest.fixture
def client(owner: EmbeddedLog) -> Iterator[Log]:
    with open_log(owner.url) as log:
        assert isinstance(log, EmbeddedClient)
        yield log


class OwnedBench(Bench):
    """A bench at a client whose transactions are the owner's."""

    def __init__(self, log: Log, owner: Log) -> None:
        super().__init__(log)
        self._owner = owner

    def writer(self, name: str = "writer") -> Writer:
        return self._owner.writer(f"{self.name}.{name}")


class TestEmbeddedClient(TopicsContract, RecordsContract, PositionsContract):
    """The parts of the contract that need no group, at the client."""

    @pytest.fixture
    def bench(self, client: Log, owner: EmbeddedLog) -> Iterator[Bench]:
        bench = OwnedBench(client, owner)
        yield bench
        bench.close()


def test_another_process_appends_and_reads(owner: EmbeddedLog) -> None:
    """A process of its own appends through the owner, who sees it at once, and reads what the owner wrote."""
    owner.append([NewRecord("orders", b"k", b"from the owner")])
    script = (
        "import sys\n"
        "from choreo.log.open import open_log\n"
        "from choreo.record import NewRecord, TopicPartition\n"
        "with open_log(sys.argv[1]) as log:\n"
        "    print(log.append([NewRecord('orders', b'k', b'from the client', (('h', b'1'),))])[0])\n"
        "    with log.reader({TopicPartition('orders', 0): 0}) as reader:\n"
        "        print([record.value for record in reader.read(5)])\n"
    )
    run = subprocess.run([sys.executable, "-c", script, owner.url], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [str(Position("orders", 0, 1)), "[b'from the owner', b'from the client']"]
    with owner.reader({ORDERS: 1}) as reader:
        assert [(r.value, r.headers) for r in reader.read(0)] == [(b"from the client", (("h", b"1"),))]


def test_the_owners_errors_arrive(client: Log) -> None:
    """What the owner refuses is refused at the client with the same error and its hints."""
    with pytest.raises(UnknownTopicError) as unknown:
        client.append([NewRecord("missing", b"k", b"v")])
    assert unknown.value.hint
    with pytest.raises(RecordTooLargeError):
        client.append([NewRecord("orders", b"k", b"x" * (MAX_RECORD_BYTES + 1))])
    with pytest.raises(PartitionCountError):
        client.create_topics([TopicSpec("orders", 9)])


def test_groups_are_the_owners(owner: EmbeddedLog, client: Log) -> None:
    """A second process runs no services: joining says who is in the way and what to do, offsets are refused."""
    with pytest.raises(StateInUseError, match="kafka://"):
        client.join(Membership("g", ("orders",), "a"), Silent())
    member = owner.join(Membership("g", ("orders",), "a"), Silent())
    member.poll(0)
    identity = member.identity()
    assert identity is not None
    with pytest.raises(StateInUseError, match="the process that owns the log"):
        client.writer("w").begin().send_offsets(member, identity, {ORDERS: 1})


class ClientBench(Bench):
    """A bench at the owner whose transactions are those of a client."""

    def __init__(self, log: Log, client: Log) -> None:
        super().__init__(log)
        self._client = client

    def writer(self, name: str = "writer") -> Writer:
        return self._client.writer(f"{self.name}.{name}")


class TestTransactionsOfAClient(TransactionsContract):
    """What a second process commits is visible together or not at all, to everybody."""

    @pytest.fixture
    def bench(self, client: Log, owner: EmbeddedLog) -> Iterator[Bench]:
        bench = ClientBench(owner, client)
        yield bench
        bench.close()


def test_a_later_writer_fences_one_of_another_process(owner: EmbeddedLog, client: Log) -> None:
    """Whoever of both comes later goes on; the other's open transaction leaves nothing."""
    for first, second in ((client, owner), (owner, client), (client, client)):
        early = first.writer("same")
        opened = early.begin()
        opened.append([NewRecord("orders", b"k", b"early")])
        late = second.writer("same").begin()
        late.append([NewRecord("orders", b"k", b"late")])
        late.commit()
        with pytest.raises(FencedError):
            opened.commit()
        with pytest.raises(FencedError):
            early.begin()
    with owner.reader({ORDERS: 0}) as reader:
        assert [record.value for record in reader.read(0)] == [b"late"] * 3


def test_the_client_sees_what_groups_committed(owner: EmbeddedLog, client: Log) -> None:
    """`committed` is read from disk, as the owner's commits leave it."""
    member = owner.join(Membership("g", ("orders",), "a"), Silent())
    member.poll(0)
    identity = member.identity()
    assert identity is not None
    assert client.committed("g", [ORDERS]) == {ORDERS: None}
    transaction = owner.writer("w").begin()
    transaction.send_offsets(member, identity, {ORDERS: 5})
    transaction.commit()
    assert client.committed("g", [ORDERS]) == {ORDERS: 5}


def test_without_its_owner_the_client_still_reads(
    owner: EmbeddedLog, client: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the owner ends, appends say so and reading goes on."""
    monkeypatch.setattr(embedded_socket, "_START_S", 0.0)
    owner.append([NewRecord("orders", b"k", b"kept")])
    owner.close()
    with pytest.raises(LogUnavailableError):
        client.append([NewRecord("orders", b"k", b"v")])
    with client.reader({ORDERS: 0}) as reader:
        assert [record.value for record in reader.read(5)] == [b"kept"]


def test_the_client_follows_through_flushes_and_compactions(owner: EmbeddedLog, client: Log) -> None:
    """A reader beside a busy owner gets every record once, in order, while files come and go beneath it."""
    offsets: list[int] = []
    with client.reader({ORDERS: 0}) as reader:
        for n in range(12):
            owner.append([NewRecord("orders", b"k", b"%d" % n + b"x" * 2000)] * 1000)
            offsets += [record.offset for record in reader.read(0, 700)]
        while reader.position(ORDERS) < 12_000:
            offsets += [record.offset for record in reader.read(5)]
    assert offsets == list(range(12_000))


def test_a_long_path_has_its_socket_elsewhere(tmp_path: Path) -> None:
    """Socket paths may have about 100 bytes: a deeper directory serves all the same, and leaves nothing behind."""
    directory = tmp_path / ("deep" * 20) / ("er" * 20)
    with EmbeddedLog(directory) as owner, open_log(owner.url) as client:
        client.create_topics([TopicSpec("t", 1)])
        assert client.append([NewRecord("t", b"k", b"v")]) == [Position("t", 0, 0)]
    assert not (directory / embedded_socket.ADDRESS).exists()


def test_without_socket_files_it_serves_on_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no socket files a port on loopback serves, with a token that only this user can read."""
    monkeypatch.delattr(socket, "AF_UNIX")
    with EmbeddedLog(tmp_path) as owner, open_log(owner.url) as client:
        owner.create_topics([TopicSpec("t", 1)])
        assert client.append([NewRecord("t", b"k", b"v")]) == [Position("t", 0, 0)]
        assert (tmp_path / embedded_socket.ADDRESS).stat().st_mode & 0o077 == 0


class Silent:
    """A listener that reads from the start."""

    def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(committed, 0)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None: ...

    def lost(self, partitions: Sequence[TopicPartition]) -> None: ...
