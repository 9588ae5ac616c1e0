"""How fast the state room is: keys, values, timers, get and write, restore. `python benchmarks/state.py [KEYS]`."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from time import perf_counter

from pydantic import BaseModel

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

CHANGELOG = TopicPartition("s.changelog", 0)
META = TaskMeta("s", "c", "t", 1, changelog_offset=0, checkpoint=0, last_now=0, written_at=0, build="b")


class Charge(BaseModel):
    """A small value, as a shop has them."""

    order_id: str
    amount: Decimal
    currency: str = "EUR"
    attempts: int = 1


@contextmanager
def measured(what: str, count: int) -> Iterator[None]:
    """Prints microseconds each, and how many a second."""
    start = perf_counter()
    yield
    each = (perf_counter() - start) / count * 1e6
    print(f"{what:<44} {each:8.2f} us {1e6 / each:12,.0f}/s")


def repeat(what: str, count: int, work: Callable[[int], object]) -> None:
    with measured(what, count):
        for number in range(count):
            work(number)


def codecs(count: int) -> None:
    one, two = key_codec("stock", str), key_codec("stock", tuple[str, str])
    charges = value_codec(Charge)
    charge = Charge(order_id="o1", amount=Decimal("12.50"))
    data, raw = charges.dump(charge), one.encode("order-0000001")
    repeat("key of a str", count, lambda _: one.encode("order-0000001"))
    repeat("key of two strs", count, lambda _: two.encode(("vienna", "tea")))
    repeat("key of a str, decode", count, lambda _: one.decode(raw))
    repeat("value of a model, dump", count, lambda _: charges.dump(charge))
    repeat("value of a model, load", count, lambda _: charges.load(data))


def timers(name: str, backend: Backend, count: int) -> None:
    due = DueIndex(backend)

    def write() -> None:
        entries, index = due.take_changes()
        backend.write(entries | index)

    def step(number: int, work: Callable[[int], object]) -> None:
        work(number)
        if number % 10_000 == 9_999:
            write()

    repeat(f"{name}: timer set", count, lambda n: step(n, lambda n: due.set(b"%09d" % n, n * 7919 % count)))
    repeat(f"{name}: timer popped", count, lambda n: step(n, lambda n: due.pop(count)))


def entries_of(name: str, backend: Backend, count: int) -> None:
    keys = [b"\x01s\x00s%017d" % number for number in range(count)]
    with measured(f"{name}: write, batches of 5,000", count):
        for start in range(0, count, 5000):
            backend.write(dict.fromkeys(keys[start : start + 5000], b"\x01" + b"v" * 40))
    repeat(f"{name}: get", count, lambda number: backend.get(keys[number * 7919 % count]))
    with measured(f"{name}: scan", count):
        for _ in backend.scan(b"\x01s\x00"):
            pass


def restore(name: str, backend: Backend, log: MemoryLog, count: int) -> None:
    with measured(f"{name}: restore from the memory log", count):
        work = Restore(log, backend, CHANGELOG, META)
        while not work.step(20_000):
            pass


def main(count: int) -> None:
    """Everything once, for both backends."""
    codecs(count)
    log = MemoryLog()
    log.create_topics([TopicSpec(CHANGELOG.topic, 1)])
    for start in range(0, count, 10_000):
        keys = [b"\x01s\x00s%015d\x00" % number for number in range(start, start + 10_000)]
        log.append(changelog_records(*CHANGELOG, dict.fromkeys(keys, b"\x01" + b"v" * 40)))
    with tempfile.TemporaryDirectory() as directory:
        rocks, memory = RocksBackends(directory), MemoryBackends()
        for name, backends in (("memory", memory), ("rocks", rocks)):
            entries_of(name, backends.open("entries"), count)
            timers(name, backends.open("timers"), count)
            restore(name, backends.open("restore"), log, count)
        rocks.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 200_000)
