"""How fast the in-process logs are: records a second, and microseconds of what a simulation does all the time."""

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter

from benchmarks.figure import Figure, Size
from benchmarks.machine import scratch
from choreo.log.interface import Log, Membership, TopicSpec
from choreo.log.open import open_log
from choreo.record import NewRecord, TopicPartition

FULL, QUICK = Size(200_000), Size(1_000)
TOPICS, PARTITIONS, MEMBERS = 5, 7, 8
HEADERS = (("choreo", b"x" * 70),)


class Taker:
    """Reads everything from the start."""

    def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(committed, 0)

    def revoked(self, partitions: Sequence[TopicPartition]) -> None: ...

    def lost(self, partitions: Sequence[TopicPartition]) -> None: ...


def batches(name: str, log: Log, records: int) -> Iterator[Figure]:
    """Transactions of 1000 small records, then all of it read."""
    terms = {"n": records}
    writer = log.writer("bench")
    began = perf_counter()
    for _ in range(records // 1000):
        transaction = writer.begin()
        transaction.append([NewRecord(f"t{n % TOPICS}", b"%d" % n, b"v" * 100, HEADERS) for n in range(1000)])
        transaction.commit()
    yield Figure(f"logs.{name}.append", records / (perf_counter() - began), "records/s", terms=terms)
    names = [TopicPartition(f"t{n}", p) for n in range(TOPICS) for p in range(PARTITIONS)]
    began, count = perf_counter(), 0
    with log.reader(dict.fromkeys(names, 0)) as reader:
        while batch := reader.read(0):
            count += len(batch)
    yield Figure(f"logs.{name}.read", count / (perf_counter() - began), "records/s", terms=terms)


def steps(name: str, log: Log, count: int) -> Iterator[Figure]:
    """What a simulation does all the time: polls with nothing new, transactions of three records with offsets."""
    terms = {"n": count}
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
    yield Figure(f"logs.{name}.empty_poll", (perf_counter() - began) / count * 1e6, "us", terms=terms)
    writer = log.writer("bench")
    began = perf_counter()
    for n in range(count):
        transaction = writer.begin()
        transaction.append([NewRecord(f"t{i}", b"%d" % (n % 8000), b"v", HEADERS) for i in range(3)])
        transaction.send_offsets(first, identity, {TopicPartition("t0", 0): n})
        transaction.commit()
    yield Figure(f"logs.{name}.commit", (perf_counter() - began) / count * 1e6, "us", terms=terms)
    for member in members:
        member.close()


def figures(size: Size) -> Iterator[Figure]:
    """`logs.NAME.append`, `.read`, `.empty_poll` and `.commit`: the log in memory, and the embedded one."""
    with scratch() as directory:
        for name, url in (("memory", "memory:"), ("embedded", f"embedded:{directory}/log")):
            with open_log(url) as log:
                log.create_topics([TopicSpec(f"t{n}", PARTITIONS) for n in range(TOPICS)])
                yield from batches(name, log, size.count)
                yield from steps(name, log, size.count // 10)
