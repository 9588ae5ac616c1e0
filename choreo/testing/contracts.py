"""The contract of the log: what every backend must pass. Subclass `LogContract`, or `DurableLogContract`.

    class TestMyLog(DurableLogContract):
        @pytest.fixture
        def log(self): ...                  # an open log; the fixture closes it
        def reopen(self, log): ...          # close `log` and open the same one again

Each test makes topics and groups with names of its own, so one log (a broker) may serve them all.
"""

from abc import abstractmethod

from choreo.log.interface import Log
from choreo.record import NewRecord, TopicPartition
from choreo.testing.log_bench import Bench, eventually
from choreo.testing.log_contract_groups import ReadingContract, RebalanceContract, ResumeContract, commit_position
from choreo.testing.log_contract_records import PositionsContract, RecordsContract, TopicsContract
from choreo.testing.log_contract_transactions import FencingContract, OffsetsContract, TransactionsContract


class LogContract(
    TopicsContract,
    RecordsContract,
    PositionsContract,
    TransactionsContract,
    FencingContract,
    OffsetsContract,
    ReadingContract,
    RebalanceContract,
    ResumeContract,
):
    """What every log promises."""


class DurableLogContract(LogContract):
    """What a log promises that outlives its process."""

    @abstractmethod
    def reopen(self, log: Log) -> Log:
        """Close this log as a process that ends would, and open the same one again."""

    def test_everything_is_there_after_reopening(self, bench: Bench) -> None:
        """Topics, their ids, the cluster's id, records and ends are the same after a restart."""
        topic = bench.topic(2)
        bench.log.append([NewRecord(topic, b"%d" % n, b"%d" % n, (("h", b"%d" % n),)) for n in range(30)])
        records, topics, cluster = bench.read(topic), bench.log.topics(), bench.log.cluster_id()
        ends = bench.log.ends(bench.partitions(topic))
        with self.reopen(bench.log) as again:
            assert again.cluster_id() == cluster
            assert again.topics()[topic] == topics[topic]
            assert again.ends(list(ends)) == ends
            assert sorted(bench.read(topic, log=again)) == sorted(records)
            again.append([NewRecord(topic, b"k", b"more")])
            assert len(bench.read(topic, log=again)) == 31

    def test_a_group_goes_on_after_reopening(self, bench: Bench) -> None:
        """Offsets that were committed are handed to the next member after a restart."""
        topic = bench.topic()
        bench.append(topic, b"one", b"two")
        first = bench.join("member", topic)
        eventually(lambda: len(first.records) >= 2, first.poll)
        commit_position(bench, "w", first)
        bench.append(topic, b"three")
        with self.reopen(bench.log) as again:
            second = bench.join("member", topic, log=again)
            eventually(lambda: second.records, second.poll)
            assert second.values == [b"three"]
            assert second.committed[TopicPartition(topic, 0)] is not None
            second.member.close()

    def test_an_open_transaction_is_gone_after_reopening(self, bench: Bench) -> None:
        """What was not committed when the process ended never becomes visible, and holds nobody up."""
        topic = bench.topic()
        bench.writer("same").begin().append([NewRecord(topic, b"k", b"open")])
        with self.reopen(bench.log) as again:
            writer = again.writer(f"{bench.name}.same")
            transaction = writer.begin()
            transaction.append([NewRecord(topic, b"k", b"committed")])
            transaction.commit()
            writer.close()
            assert bench.values(topic, log=again) == [b"committed"]
