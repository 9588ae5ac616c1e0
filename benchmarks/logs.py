"""How fast the in-process logs are: `python -m benchmarks.logs`. Prints records a second and microseconds a step."""

import tempfile
from collections.abc import Mapping, Sequence
from time import perf_counter

from choreo.log.interface import Log, Membership, TopicSpec
from choreo.log.open import open_log
from choreo.record import NewRecord, TopicPartition

TOPICS, PARTITIONS, MEMBERS = 5, 7, 8
HEADERS = (("choreo", b"x" * 70),)


class Taker:
    """Reads everything from the start."""

    def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(committed, 0)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None: ...

    def lost(self, partitions: Sequence[TopicPartition]) -> None: ...


def batches(log: Log, records: int) -> None:
    """Transactions of 1000 small records, then all of it read."""
    writer = log.writer("bench")
    began = perf_counter()
    for _ in range(records // 1000):
        transaction = writer.begin()
        transaction.append([NewRecord(f"t{n % TOPICS}", b"%d" % n, b"v" * 100, HEADERS) for n in range(1000)])
        transaction.commit()
    print(f"  append, 1000 a transaction  {records / (perf_counter() - began):>12,.0f} records/s")
    names = [TopicPartition(f"t{n}", p) for n in range(TOPICS) for p in range(PARTITIONS)]
    began, count = perf_counter(), 0
    with log.reader(dict.fromkeys(names, 0)) as reader:
        while batch := reader.read(0):
            count += len(batch)
    print(f"  read                        {count / (perf_counter() - began):>12,.0f} records/s")


def steps(log: Log, count: int) -> None:
    """What a simulation does all the time: polls with nothing new, transactions of three records with offsets."""
    topics = tuple(f"t{n}" for n in range(TOPICS))
    members = [log.join(Membership(f"g{n}", topics, "a"), Taker()) for n in range(MEMBERS)]
    for member in members:
        while member.poll(0):
            pass
    first = members[0]
    identity = first.identity()
    assert identity is not None
    began = perf_counter()
    for _ in range(count):
        first.poll(0)
    print(f"  poll with nothing new       {(perf_counter() - began) / count * 1e6:>12.2f} us")
    writer = log.writer("bench")
    began = perf_counter()
    for n in range(count):
        transaction = writer.begin()
        transaction.append([NewRecord(f"t{i}", b"%d" % (n % 8000), b"v", HEADERS) for i in range(3)])
        transaction.send_offsets(first, identity, {TopicPartition("t0", 0): n})
        transaction.commit()
    print(f"  commit of three records     {(perf_counter() - began) / count * 1e6:>12.2f} us")
    for member in members:
        member.close()


def main() -> None:
    """Measure each log."""
    with tempfile.TemporaryDirectory() as directory:
        for url in ("memory:", f"embedded:{directory}/log"):
            with open_log(url) as log:
                log.create_topics([TopicSpec(f"t{n}", PARTITIONS) for n in range(TOPICS)])
                print(url.split(":")[0])
                batches(log, 200_000)
                steps(log, 20_000)


if __name__ == "__main__":
    main()
