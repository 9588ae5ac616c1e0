"""`choreo dev`: a save brings new behaviour and loses nothing; what is wrong is said, and the next save waited for."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Choreo, process, read_until
from tests.cli.test_run import statuses

pytestmark = pytest.mark.slow
DEV = ("dev", "shop.py", "order.yaml")
SECOND = 1_700_000_000_000_000_000
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that is gone when the test is."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> "subprocess.Popen[str]":
        started.append(process(*arguments))
        return started[-1]

    yield begin
    for running in started:
        running.kill()
        running.communicate()  # ends with the last process that holds its pipes


def save(file: Path, old: str, new: str) -> None:
    """Replace this text, which is there."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def emit(order: str, total: int = 250) -> None:
    """Put an order on the log, from a process of its own, as its user does."""
    said = process("emit", "shop.py:OrderPlaced", f"order_id={order}", f"total={total}").communicate(timeout=60)
    assert said[1] == ""


def await_status(choreo: Choreo, order: str, status: str) -> None:
    """Look until this saga stands so; ends by the test's own time limit."""
    while statuses(choreo).get(order) != status:
        pass


def end(running: "subprocess.Popen[str]") -> str:
    """Ctrl-C; what it says until it has ended well."""
    running.send_signal(signal.SIGINT)
    out, said = running.communicate(timeout=60)
    assert (running.returncode, out) == (0, "")
    return said


def stuck_run(project: Path, start: Start, drain_s: float) -> "subprocess.Popen[str]":
    """A run with a handler at work that does not end."""
    save(project / "shop.py", "from choreo import", "import sys, threading\nfrom choreo import")
    stuck = 'print("stuck", file=sys.stderr, flush=True)\n            threading.Event().wait()'
    save(project / "shop.py", "            return None", f"            {stuck}")
    (project / "choreo.toml").write_text(f"[run]\ndrain_s = {drain_s}\n", encoding="utf-8")
    dev = start(*DEV)
    read_until(dev, "ready in ")
    emit("o1", 0)
    read_until(dev, "stuck")
    return dev


def test_a_save_brings_new_behaviour_and_keeps_what_was(project: Path, choreo: Choreo, start: Start) -> None:
    """The restart says in one line what changed and how long it took, and nothing of what the runtime does all the
    time; sagas of before stand as they stood, and stores equal the log.
    """
    dev = start(*DEV)
    assert "running inventory, payments, saga.order" in read_until(dev, "ready in ")
    emit("o1")
    await_status(choreo, "o1", "compensated")
    save(project / "shop.py", "order.total < 100", "order.total < 900")
    said = read_until(dev, "restarted in ").splitlines()
    assert said[-1].endswith(" s: shop.py changed")
    assert [line for line in said if "choreo.runtime" in line] == []
    emit("o2")
    await_status(choreo, "o2", "completed")
    assert statuses(choreo)["o1"] == "compensated"
    assert "stopping: committing what is begun" in end(dev)
    assert choreo("replay", "verify", "shop.py", "order.yaml").stdout.count("clean") == 3


def test_a_mistake_is_shown_and_waited_out(project: Path, choreo: Choreo, start: Start) -> None:
    """A syntax error and a wrong spec each have file:line:column; an event that comes meanwhile is handled after."""
    dev = start(*DEV)
    read_until(dev, "ready in ")
    spec, shop = project / "order.yaml", project / "shop.py"
    save(spec, "completes_on: PaymentTaken", "completes_on: PaymentTakn")
    said = read_until(dev, "order.yaml changed; not running: waiting for the next save")
    assert f"{spec}:13:19" in said
    emit("o1", 50)
    save(shop, "order.total < 100", "order.total <")
    assert f"{shop}:46:17" in read_until(dev, "shop.py changed; not running")
    save(shop, "order.total <", "order.total < 100")
    save(spec, "PaymentTakn", "PaymentTaken")
    assert "restarted in " in read_until(dev, "order.yaml, shop.py changed")
    await_status(choreo, "o1", "completed")
    end(dev)


def test_a_handler_is_mended_under_its_event(project: Path, choreo: Choreo, start: Start) -> None:
    """An event whose handler fails is kept while attempts are left, and handled by the mended code."""
    retry = "    retry = Retry(attempts=10_000, wait_s=0.1, factor=1)\n"
    save(
        project / "shop.py",
        "class TakePayment(Handler[OrderPlaced]):\n",
        f"class TakePayment(Handler[OrderPlaced]):\n{retry}",
    )
    save(project / "shop.py", "import Context, Event, Handler,", "import Context, Event, Handler, Retry,")
    save(project / "shop.py", "if order.total == 0:", "if 1 // order.total == 0:")
    dev = start(*DEV)
    read_until(dev, "ready in ")
    emit("o1", 0)
    read_until(dev, "ZeroDivisionError")
    save(project / "shop.py", "if 1 // order.total == 0:", "if order.total > 900:")
    read_until(dev, "restarted in ")
    await_status(choreo, "o1", "completed")
    end(dev)


def test_an_incompatible_schema_is_refused(project: Path, choreo: Choreo, start: Start) -> None:
    """A field that old events don't have is refused with the place of the class, until it has a default."""
    dev = start(*DEV)
    read_until(dev, "ready in ")
    emit("o1")
    await_status(choreo, "o1", "compensated")
    shop = project / "shop.py"
    save(shop, "    total: int\n", "    total: int\n    currency: str\n")
    said = read_until(dev, "shop.py changed; not running")
    assert "OrderPlaced can't read the OrderPlaced that was written before" in said
    assert f"{shop}:11:1" in said
    assert "currency: was added without a default" in said
    save(shop, "    currency: str\n", '    currency: str = "EUR"\n')
    read_until(dev, "restarted in ")
    emit("o2")
    await_status(choreo, "o2", "compensated")
    end(dev)


def test_a_spec_changes_with_its_version(project: Path, choreo: Choreo, start: Start) -> None:
    """A rule of a deployed saga changes only under a new version, which the message names with the place of the old."""
    dev = start(*DEV)
    read_until(dev, "ready in ")
    spec = project / "order.yaml"
    save(spec, "within: 1h", "within: 2h")
    said = read_until(dev, "order.yaml changed; not running")
    assert f"{spec}:3:10" in said
    assert "try  version: 2" in said
    save(spec, "version: 1", "version: 2")
    assert "deployed saga order version 2" in read_until(dev, "restarted in ")
    end(dev)


def test_a_module_that_hangs_is_not_waited_for(project: Path, choreo: Choreo, start: Start) -> None:
    """Code that never finishes its import is dropped at the next save, and at Ctrl-C."""
    shop = project / "shop.py"
    save(shop, "from choreo import", "import sys, threading\nfrom choreo import")
    text = shop.read_text(encoding="utf-8")
    (project / "choreo.toml").write_text("[run]\ndrain_s = 300\n", encoding="utf-8")
    hanging = f'{text}\nprint("hanging", file=sys.stderr, flush=True)\nthreading.Event().wait()\n'
    shop.write_text(hanging, encoding="utf-8")
    dev = start(*DEV)
    read_until(dev, "hanging")
    shop.write_text(text, encoding="utf-8")
    read_until(dev, "restarted in ")
    shop.write_text(hanging, encoding="utf-8")
    read_until(dev, "hanging")
    end(dev)


def test_a_save_within_the_same_second_is_loaded(project: Path, start: Start) -> None:
    """Python takes compiled code for current when seconds and size agree; new code runs all the same."""
    shop = project / "shop.py"
    save(shop, "from choreo import", 'import sys\nprint("first", file=sys.stderr)\nfrom choreo import')
    os.utime(shop, ns=(SECOND, SECOND))
    dev = start(*DEV)
    assert "first" in read_until(dev, "ready in ")
    draft = project / "draft"
    draft.write_text(shop.read_text(encoding="utf-8").replace("first", "again"), encoding="utf-8")
    os.utime(draft, ns=(SECOND + 1_000_000, SECOND + 1_000_000))
    draft.replace(shop)
    assert "again" in read_until(dev, "restarted in ")
    end(dev)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
def test_a_spare_process_that_died_is_replaced(project: Path, start: Start) -> None:
    """The process that waits for the next save may be killed: the next save starts another."""
    dev = start(*DEV)
    read_until(dev, "ready in ")
    family: list[int] = []
    while len(family) < 3:  # multiprocessing's own, the run, the spare; ends by the test's own time limit
        family = [int(pid) for pid in Path(f"/proc/{dev.pid}/task/{dev.pid}/children").read_text().split()]
    os.kill(family[-1], signal.SIGKILL)
    save(project / "shop.py", "order.total < 100", "order.total < 900")
    assert read_until(dev, "restarted in ").endswith("shop.py changed\n")
    end(dev)


def test_nobody_is_left_when_it_is_killed(project: Path, choreo: Choreo, start: Start) -> None:
    """kill -9 of the command: the process that runs the services commits what is begun, and ends too."""
    dev = start(*DEV)
    read_until(dev, "ready in ")
    emit("o1")
    await_status(choreo, "o1", "compensated")
    dev.kill()
    _, said = dev.communicate(timeout=60)  # its pipes are closed by the last process that holds them
    assert "handled " in said  # the last words of a run that has drained
    assert choreo("run", *DEV[1:], "--until-idle").stderr.count("handled 0 inputs") == 1


def test_limits_of_downstreams_hold_as_for_run(project: Path, start: Start) -> None:
    """A [downstreams.NAME] that nobody declares is a mistake like any other: said with its place, and waited out."""
    (project / "choreo.toml").write_text("[downstreams.bank]\ntimeout_s = 5\n", encoding="utf-8")
    dev = start(*DEV)
    said = read_until(dev, "waiting for the next save")
    assert "[downstreams.bank] names no downstream of this project" in said
    assert "choreo.toml:2" in said
    (project / "choreo.toml").write_text("", encoding="utf-8")
    read_until(dev, "restarted in ")


def test_a_second_interrupt_does_not_wait(project: Path, choreo: Choreo, start: Start) -> None:
    """A handler that does not end holds up the first Ctrl-C, which lets it finish; the second ends it, with 130."""
    dev = stuck_run(project, start, drain_s=300)
    dev.send_signal(signal.SIGINT)
    read_until(dev, "stopping")
    dev.send_signal(signal.SIGINT)
    dev.communicate(timeout=60)
    assert dev.returncode == 130


def test_a_stuck_run_outlives_nobody(project: Path, choreo: Choreo, start: Start) -> None:
    """kill -9 of the command while a handler does not end: its process gives up after `drain_s`."""
    dev = stuck_run(project, start, drain_s=0.2)
    dev.kill()
    assert "not drained within 0.2 s" in dev.communicate(timeout=60)[1]


def test_a_log_in_memory_is_refused(project: Path, choreo: Choreo) -> None:
    """It would be gone at the first save."""
    assert "keeps its log" in choreo(*DEV, "--log", "memory:", code=2).stderr


def test_nothing_to_run_is_said_at_once(directory: Path, choreo: Choreo) -> None:
    """An empty directory is a usage error: no save is waited for."""
    assert "there is nothing to run" in choreo("dev", code=2).stderr
