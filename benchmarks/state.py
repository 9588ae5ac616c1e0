"""How fast the state room is: keys, values, timers, get and write, restore. Microseconds each."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from time import perf_counter

from pydantic import BaseModel

from benchmarks.figure import Figure, Size
from benchmarks.machine import scratch
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import TopicPartition
from choreo.state.backend import Backend
from choreo.state.changelog import changelog_records
from choreo.state.keys import key_codec
from choreo.state.memory import MemoryBackends
from choreo.state.meta import TaskMeta
from choreo.state.restore import Restore
from choreo.state.rocks import RocksBackends
from choreo.state.timers import DueIndex
from choreo.state.values import value_codec

FULL, QUICK = Size(200_000), Size(10_000)
CHANGELOG = TopicPartition("s.changelog", 0)
META = TaskMeta("s", "c", "t", 1, changelog_offset=0, checkpoint=0, last_now=0, written_at=0, build="b")


class Charge(BaseModel):
    """A small value, as a shop has them."""

    order_id: str
    amount: Decimal
    currency: str = "EUR"
    attempts: int = 1


def timed(what: str, count: int, work: Callable[[], object]) -> Figure:
    """Microseconds each of what `work` does `count` times."""
    start = perf_counter()
    work()
    return Figure(f"state.{what}", (perf_counter() - start) / count * 1e6, "us", terms={"n": count})


def repeat(what: str, count: int, work: Callable[[int], object]) -> Figure:
    """The same for `work(0)`, `work(1)`, ..."""

    def all_of_it() -> None:
        for number in range(count):
            work(number)

    return timed(what, count, all_of_it)


def codecs(count: int) -> Iterator[Figure]:
    """Keys and values."""
    one, two = key_codec("stock", str), key_codec("stock", tuple[str, str])
    charges = value_codec(Charge)
    charge = Charge(order_id="o1", amount=Decimal("12.50"))
    data, raw = charges.dump(charge), one.encode("order-0000001")
    yield repeat("key.str", count, lambda _: one.encode("order-0000001"))
    yield repeat("key.two_strs", count, lambda _: two.encode(("vienna", "tea")))
    yield repeat("key.str.decode", count, lambda _: one.decode(raw))
    yield repeat("value.model.dump", count, lambda _: charges.dump(charge))
    yield repeat("value.model.load", count, lambda _: charges.load(data))


def timers(name: str, backend: Backend, count: int) -> Iterator[Figure]:
    """Set in any order, then popped in order; written every 10,000."""
    due = DueIndex(backend)

    def step(number: int, work: Callable[[int], object]) -> None:
        work(number)
        if number % 10_000 == 9_999:
            entries, index = due.take_changes()
            backend.write(entries | index)

    yield repeat(f"{name}.timer.set", count, lambda n: step(n, lambda n: due.set(b"%09d" % n, n * 7919 % count)))
    yield repeat(f"{name}.timer.popped", count, lambda n: step(n, lambda n: due.pop(count)))


def entries_of(name: str, backend: Backend, count: int) -> Iterator[Figure]:
    """Written in batches of 5,000, read at random, scanned."""
    keys = [b"\x01s\x00s%017d" % number for number in range(count)]

    def write() -> None:
        for start in range(0, count, 5000):
            backend.write(dict.fromkeys(keys[start : start + 5000], b"\x01" + b"v" * 40))

    def scan() -> None:
        for _ in backend.scan(b"\x01s\x00"):
            pass

    yield timed(f"{name}.write", count, write)
    yield repeat(f"{name}.get", count, lambda number: backend.get(keys[number * 7919 % count]))
    yield timed(f"{name}.scan", count, scan)


def restore(name: str, backend: Backend, log: MemoryLog, count: int) -> Figure:
    """From a changelog in memory."""
    work = Restore(log, backend, CHANGELOG, META)

    def all_of_it() -> None:
        while not work.step(20_000):
            pass

    return timed(f"{name}.restore", count, all_of_it)


def figures(size: Size) -> Iterator[Figure]:
    """`state.key...`, `state.value...`, and `state.memory...` and `state.rocks...` for the two backends."""
    count = size.count
    yield from codecs(count)
    log = MemoryLog()
    log.create_topics([TopicSpec(CHANGELOG.topic, 1)])
    for start in range(0, count, 10_000):
        keys = [b"\x01s\x00s%015d\x00" % number for number in range(start, start + 10_000)]
        log.append(changelog_records(*CHANGELOG, dict.fromkeys(keys, b"\x01" + b"v" * 40)))
    with scratch() as directory:
        rocks, memory = RocksBackends(directory), MemoryBackends()
        for name, backends in (("memory", memory), ("rocks", rocks)):
            yield from entries_of(name, backends.open("entries"), count)
            yield from timers(name, backends.open("timers"), count)
            yield restore(name, backends.open("restore"), log, count)
        rocks.close()
