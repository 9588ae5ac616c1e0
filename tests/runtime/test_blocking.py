"""Calls that block: in threads, a few at once, given up after their time, and never in the way of the end."""

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from choreo import Context, Downstream, Event, Handler, Retry, Service
from choreo.clock import SystemClock
from choreo.log.memory import MemoryLog
from choreo.replay.verify import verify
from choreo.resilience.dead_letter import read
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.threads import CallThreads
from choreo.runtime.topics import create_topics
from choreo.runtime.worker import Worker
from choreo.state.memory import MemoryBackends
from tests.runtime.town import Town

ROOT = Path(__file__).parents[2]


class PrintEvent(Event, namespace="prints", topic="prints.pages", key="page", abstract=True):
    page: str


class PageSent(PrintEvent): ...


class PagePrinted(PrintEvent): ...


class Press:
    """Prints `slow` only once another page was printed; counts how many it prints at once."""

    def __init__(self) -> None:
        self.other = threading.Event()
        self.open = self.most = 0
        self.lock = threading.Lock()
        self.full = threading.Barrier(2)

    def print(self, key: str, page: str) -> str:
        with self.lock:
            self.open += 1
            self.most = max(self.most, self.open)
        if page == "slow":
            self.other.wait()
        elif page.startswith("pair"):
            self.full.wait()
        with self.lock:
            self.open -= 1
        return page

    async def hurry(self, key: str, page: str) -> str:
        self.other.set()
        await asyncio.sleep(0)
        return page


class Print(Handler[PageSent]):
    press: Press
    limits = Downstream("press", timeout_s=20)

    async def handle(self, event: PageSent, ctx: Context) -> PagePrinted:
        if event.page == "quick":
            await self.limits.call("hurry", self.press.hurry, event.page)
        else:
            await self.limits.call("print", self.press.print, event.page)
        return PagePrinted(page=event.page)


class PrintInTime(Print):
    limits = Downstream("press in a hurry", timeout_s=0.1)
    retry = Retry(attempts=1, then="skip")


class PrintPlainly(Handler[PageSent]):
    press: Press
    limits = PrintInTime.limits
    retry = PrintInTime.retry

    def handle(self, event: PageSent, ctx: Context) -> PagePrinted:
        self.limits.call("print", self.press.print, event.page)
        return PagePrinted(page=event.page)


def run_for_real(
    handler: type[Handler[PageSent]], press: Press, pages: list[str], done: Callable[[Town], bool]
) -> Town:
    """Drive a worker with threads and a loop until `done`; then its stores are compared with the journal."""
    town = Town(Service("prints", handlers=[handler], provide={"press": lambda: press}))
    town.workers[0].stop()
    town.log = log = MemoryLog(SystemClock())
    site = Site(log, town.registry, MemoryBackends(), SystemClock())
    worker = Worker(town.services[0], site, RunOptions(start_from="earliest", call_threads=2))
    create_topics(log, [worker.plan], 1)
    town.workers = []
    town.step(*[PageSent(page=page) for page in pages])
    worker.start()
    until = time.monotonic() + 30
    while not done(town):
        assert time.monotonic() < until, "it never came to its end"
        worker.step(site.clock.now(), worker.poll(0.002))
    backend = worker.tasks[0].task.entries.backend
    assert verify(town.services[0], log, town.registry, lambda n: backend).clean
    worker.stop()
    return town


def printed(town: Town) -> set[str]:
    events = town.events("prints.pages", (PageSent, PagePrinted))
    return {event.page for event in events if isinstance(event, PagePrinted)}


def test_a_plain_function_of_an_asynchronous_handler_blocks_nobody() -> None:
    """The slow page waits for a call in the event loop that is made after it: neither loop nor worker stand still."""
    town = run_for_real(Print, Press(), ["slow", "quick"], lambda town: printed(town) == {"slow", "quick"})
    assert printed(town) == {"slow", "quick"}


def test_as_many_threads_as_were_given() -> None:
    """Two threads print six pages, two at once: each waits for another one beside it."""
    press, pages = Press(), [f"pair{n}" for n in range(6)]
    run_for_real(Print, press, pages, lambda town: len(printed(town)) == 6)
    assert press.most == 2


def test_no_more_threads_than_were_given() -> None:
    """Six jobs that do not end, and room for two: two threads are started, and four jobs wait."""
    known, let_go = set(threading.enumerate()), threading.Event()
    threads = CallThreads(2)
    for _ in range(6):
        threads.submit(lambda: let_go.wait() and None)  # type: ignore[arg-type]  # its answer is nobody's
    assert len(set(threading.enumerate()) - known) == 2
    let_go.set()
    threads.close()


@pytest.mark.parametrize("handler", [PrintInTime, PrintPlainly])
def test_a_blocking_call_that_takes_too_long_is_a_timeout(handler: type[Handler[PageSent]]) -> None:
    """The handler gets TimeoutError although the thread goes on."""
    press = Press()
    letters = lambda town: town.records("choreo.prints.dead-letters")  # noqa: E731  # a fixture would hide the town
    town = run_for_real(handler, press, ["slow"], lambda town: len(letters(town)) == 1)
    assert "took longer than 0.1 s" in read(letters(town)[0]).error
    assert press.open == 1
    press.other.set()


def test_threads_are_kept_and_bounded() -> None:
    """Jobs run in order, on threads that stay."""
    threads, done, names = CallThreads(1), threading.Event(), []
    for number in range(5):
        threads.submit(lambda number=number: names.append((number, threading.current_thread().name)))  # type: ignore[misc]  # bound now
    threads.submit(done.set)
    assert done.wait(10)
    assert [number for number, _ in names] == list(range(5))
    assert len({name for _, name in names}) == 1
    threads.close()


@pytest.mark.parametrize("handler", ["PrintInTime", "PrintPlainly", "Print"])
def test_a_call_that_never_ends_does_not_hold_the_process(handler: str) -> None:
    """The worker stops, says what it leaves behind, and the process ends."""
    program = f"""
        import logging, threading
        from choreo import Service
        from choreo.clock import SystemClock
        from choreo.log.memory import MemoryLog
        from choreo.events.codec import Codec
        from choreo.events.registry import MemoryRegistry
        from choreo.runtime.options import RunOptions, Site
        from choreo.runtime.topics import create_topics
        from choreo.runtime.worker import Worker
        from choreo.service.client import fresh_ids
        from choreo.state.memory import MemoryBackends
        from tests.runtime.test_blocking import PageSent, Press, {handler} as Used

        logging.basicConfig()
        press, clock, registry = Press(), SystemClock(), MemoryRegistry()
        log = MemoryLog(clock)
        service = Service("prints", handlers=[Used], provide={{"press": lambda: press}})
        worker = Worker(service, Site(log, registry, MemoryBackends(), clock), RunOptions(start_from="earliest"))
        create_topics(log, [worker.plan], 1)
        log.append([Codec(registry, (), log.cluster_id()).encode(PageSent(page="slow"), fresh_ids(clock.now()))])
        worker.start()
        while not press.open:
            worker.step(clock.now(), worker.poll(0.01))
        worker.stop()
        print("stopped")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr
    assert "1 blocking calls are still under way" in done.stderr
