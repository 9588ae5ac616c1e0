"""How far something long is: said as a bar to people, as lines to logs, not at all to programs. The clock is moved."""

import io
import re
from pathlib import Path

import pytest

from choreo.cli.progress import Progress, sentence
from tests.cli.conftest import Choreo

MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Watchmaker:
    """A clock in seconds that only moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Terminal(io.StringIO):
    """A stream that remembers what is written; as wide as one likes."""

    def shown(self) -> list[str]:
        """What stood there, one picture after the other."""
        return [line.strip() for line in re.split(r"[\r\n]", MOVES.sub("", self.getvalue())) if line.strip()]


def progress(stream: io.StringIO, clock: Watchmaker, *, terminal: bool = False, silent: bool = False) -> Progress:
    """Progress by a clock of the test."""
    return Progress(stream, terminal=terminal, silent=silent, now=clock)


@pytest.mark.parametrize(
    ("done", "total", "elapsed_s", "said"),
    [
        (0, 4800, 0.0, "0 of 4,800 records (0%), 0.0/s"),
        (1200, 4800, 3.0, "1,200 of 4,800 records (25%), 400/s, 9 s left"),
        (5, 10, 10.0, "5 of 10 records (50%), 0.5/s, 10 s left"),
        (10, 10, 10.0, "10 of 10 records (100%), 1.0/s"),
        (100, 100_000, 10.0, "100 of 100,000 records (0%), 10/s, 2 h 46 min left"),
        (100, 1_000, 10.0, "100 of 1,000 records (10%), 10/s, 1 min 30 s left"),
        (2_000_000, None, 4.0, "2,000,000 records, 500,000/s"),
        (0, 0, 5.0, "0 of 0 records, 0.0/s"),
    ],
)
def test_count_rate_and_time_left(done: int, total: int | None, elapsed_s: float, said: str) -> None:
    """The rate is that of the whole time; where the end is not known, neither share nor time left is made up."""
    assert sentence(done, total, "records", elapsed_s) == said


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    """Whatever is told in between; what ends sooner says nothing."""
    stream, clock = Terminal(), Watchmaker()
    with progress(stream, clock).of("restoring orders-0", "records") as told:
        for second in range(26):
            clock.seconds = 100.0 + second
            told(second * 100, 5200)
    assert stream.getvalue().splitlines() == [
        "restoring orders-0: 1,000 of 5,200 records (19%), 100/s, 42 s left",
        "restoring orders-0: 2,000 of 5,200 records (38%), 100/s, 32 s left",
    ]


@pytest.mark.parametrize("columns", ["40", "60", "80"])
def test_a_narrow_terminal_keeps_the_time_left(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said gets shorter before the time left is cut off."""
    monkeypatch.setenv("COLUMNS", columns)
    stream, clock = Terminal(), Watchmaker()
    with progress(stream, clock, terminal=True).of("orders, task 3", "checkpoints") as told:
        clock.seconds += 100
        told(10_000, 70_000)
    shown = next(line for line in stream.shown() if "%" in line)
    assert shown.endswith("10 min 0 s left")
    assert "(14%)" in shown if columns == "80" else "14%, 10 min" in shown


def test_a_terminal_gets_a_bar() -> None:
    """Drawn again as time goes by, ten times a second at most, gone at the end; nothing for what takes no time."""
    stream, clock = Terminal(), Watchmaker()
    with progress(stream, clock, terminal=True).of("orders, task 3", "checkpoints") as told:
        told(1, 100)
        clock.seconds += 0.4
        told(10, 100)
        assert stream.shown() == []
        clock.seconds += 1.6
        told(50, 100)
        for _ in range(100):
            told(51, 100)
        drawn = stream.shown()
        assert all(
            re.search(r"orders, task 3 ━+.* 50 of 100 checkpoints \(50%\), 25/s, 2 s left", one) for one in drawn
        )
        assert 1 <= len(drawn) <= 2
        clock.seconds += 2.0
        told(100, 100)
    assert re.search(r"100 of 100 checkpoints \(100%\), 25/s$", stream.shown()[-1])
    assert stream.getvalue().rstrip("\r\n\x1b[?25h").endswith("\x1b[2K"), "the line is wiped"


@pytest.mark.parametrize("terminal", [True, False])
def test_programs_get_nothing(terminal: bool) -> None:
    """--json and --quiet leave stderr alone."""
    stream, clock = Terminal(), Watchmaker()
    with progress(stream, clock, terminal=terminal, silent=True).of("x", "records") as told:
        clock.seconds += 100.0
        told(1, 2)
    assert stream.getvalue() == ""


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time flies: each look at the clock of a command is twenty seconds after the last one."""
    clock = Watchmaker()

    def later() -> float:
        clock.seconds += 20.0
        return clock.seconds

    def made(self: Progress, *arguments: object, now: object = None, **more: object) -> None:
        init(self, *arguments, now=later, **more)  # type: ignore[arg-type]  # passed on as they came

    init = Progress.__init__
    monkeypatch.setattr(Progress, "__init__", made)


@pytest.mark.usefixtures("slow")
def test_what_takes_long_says_how_far_it_is(project: Path, choreo: Choreo) -> None:
    """Verifying and listing: each tells its count on stderr, and nothing with --quiet or --json."""
    (project / "choreo.toml").write_text('[project]\nservices = ["shop.py"]\nsagas = "order.yaml"\n', encoding="utf-8")
    orders = "".join(f'{{"order_id": "o{number}", "total": 20}}\n' for number in range(20))
    choreo("emit", "shop.py:OrderPlaced", "-", text=orders)
    choreo("run", "--until-idle")
    said = choreo("replay", "verify", "inventory").stderr
    assert re.search(r"^inventory, task 0: 1 of \d+ checkpoints \(\d+%\)", said, re.MULTILINE)
    assert re.search(r"^inventory, task 3: (\d+) of \1 checkpoints \(100%\)", said, re.MULTILINE)
    said = choreo("sagas", "list").stderr
    assert re.search(r"^sagas: [\d,]+ of [\d,]+ records \(\d+%\)", said, re.MULTILINE)
    for quiet in ("--quiet", "--json", "-q"):
        assert choreo("replay", "verify", "inventory", quiet).stderr == ""
        assert choreo("sagas", "list", quiet).stderr == ""


@pytest.mark.usefixtures("slow")
def test_emitting_says_how_far_it_is(project: Path, choreo: Choreo) -> None:
    """Where the lines of the events go somewhere else; how many there will be is not known."""
    orders = "".join(f'{{"order_id": "o{number}", "total": 20}}\n' for number in range(1001))
    said = choreo("emit", "shop.py:OrderPlaced", "-", "--log", "memory:", text=orders).stderr
    assert re.findall(r"shop\.OrderPlaced: ([\d,]+) events, ", said) == ["1,000", "1,001"]


@pytest.mark.usefixtures("slow")
def test_a_store_that_is_not_here_is_restored_with_progress(project: Path, choreo: Choreo) -> None:
    """replay verify without the live stores reads their changelog, and says how far it is."""
    choreo("emit", "shop.py:OrderPlaced", "-", text='{"order_id": "o1", "total": 20}\n')
    choreo("run", "shop.py:inventory", "--until-idle")
    said = choreo("replay", "verify", "shop.py:inventory", "--config", _elsewhere(project)).stderr
    assert re.search(r"^restoring inventory-\d: \d+ of \d+ changelog records", said, re.MULTILINE)


def _elsewhere(project: Path) -> str:
    """Settings by which the stores lie where there are none."""
    text = '[run]\nstate_dir = "nowhere"\n'
    (project / "other.toml").write_text(text, encoding="utf-8")
    return str(project / "other.toml")


@pytest.mark.usefixtures("slow")
def test_the_demo_says_how_far_it_is(directory: Path, choreo: Choreo) -> None:
    """Where stderr is no terminal: the orders, of all orders; nothing with --json."""
    said = choreo("demo", "--count", "400", "--log", "memory:").stderr
    assert said.startswith("400 orders on memory:, 4 partitions\n")
    assert re.search(r"^demo: \d+ of 400 orders \(\d+%\)", said, re.MULTILINE)
    assert choreo("demo", "--count", "4", "--log", "memory:", "--json").stderr == ""
