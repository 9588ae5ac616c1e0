"""`choreo replay fork`: what really happened becomes a test that passes, and fails when the code changes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from choreo.demo.olist import read_orders
from choreo.demo.run import Stage, run_virtual
from choreo.events.open import open_registry
from choreo.log.embedded import EmbeddedLog
from choreo.service.client import default_registry
from choreo.state.memory import MemoryBackends
from tests.cli.conftest import ROOT, Choreo
from tests.cli.people_page import write_office
from tests.demo.data import olist_directory
from tests.demo.expected import expected


def outcome_of(file: Path, project: Path) -> int:
    """The exit code of pytest on one file, in a process of its own, with the code of `project`."""
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(file.parent)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(project), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", *options, str(file)]
    return subprocess.run(command, cwd=project, env=env, capture_output=True, check=False).returncode


def complaints(file: Path, project: Path) -> str:
    """What ruff and mypy have to say of a file."""
    tools = [
        ["ruff", "format", "--isolated", "--line-length", "100", "--check", "--quiet"],
        ["ruff", "check", "--isolated", "--line-length", "100", "--quiet", "--select", "E,F,I,UP,B"],
        ["mypy", "--strict", "--no-error-summary", "--cache-dir", os.devnull],
    ]
    env = os.environ | {"MYPYPATH": str(ROOT)}
    done = [
        subprocess.run(
            [sys.executable, "-m", *tool, str(file)], cwd=project, env=env, capture_output=True, text=True, check=False
        )
        for tool in tools
    ]
    return "".join(one.stdout + one.stderr for one in done)


@pytest.fixture
def theatre(directory: Path, choreo: Choreo) -> Path:
    """The project of `choreo init` after a booking that was paid and one that was undone."""
    choreo("init", "theatre")
    os.chdir(directory / "theatre")
    for key, price in (("b1", "80.00"), ("b2", "8000.00")):
        choreo("emit", "theatre.events:BookingRequested", f"booking_id={key}", "seats=2", f"price={price}")
    choreo("run", "--until-idle")
    return directory / "theatre"


@pytest.mark.timeout(300)
def test_stories_of_the_starter_become_tests(theatre: Path, choreo: Choreo) -> None:
    """A booking that was paid and one that was undone: each file passes, formatted and clean of types, its bank answers
    as was recorded; and fails where a handler says something else.
    """
    for key in ("b1", "b2"):
        choreo("replay", "fork", key, "--out", f"tests/test_{key}.py")
    told = json.loads(choreo("replay", "fork", "b1", "--json").stdout)
    assert told["test"] == (theatre / "tests" / "test_b1.py").read_text(encoding="utf-8")
    assert choreo("replay", "fork", "b1").stdout == told["test"]
    assert "no directory" in choreo("replay", "fork", "b1", "--out", "nowhere/test_b1.py", code=2).stderr
    paid, undone = (theatre / "tests" / f"test_{key}.py" for key in ("b1", "b2"))
    assert 'charge_answers: list[str | None] = ["receipt-b1"]' in paid.read_text(encoding="utf-8")
    assert 'then_saga("booking", "b2", "compensated")' in undone.read_text(encoding="utf-8")
    for file in (paid, undone):
        assert outcome_of(file, theatre) == 0
        assert complaints(file, theatre) == ""
    handlers = theatre / "theatre" / "payments.py"
    text = handlers.read_text(encoding="utf-8")
    handlers.write_text(text.replace("if receipt is None:", "if receipt is not None:"), encoding="utf-8")
    for file in (paid, undone):
        assert outcome_of(file, theatre) == 1


def test_a_file_that_is_there_is_written_over_with_force_only(theatre: Path, choreo: Choreo) -> None:
    """A test that somebody has gone on with is kept; the error says how to write over it, or beside it."""
    file = theatre / "tests" / "test_b1.py"
    file.write_text("# mine", encoding="utf-8")
    said = choreo("replay", "fork", "b1", "--out", str(file), code=2).stderr
    assert f"{file} is there already" in said
    assert "--force writes over it, --out names another file" in said
    assert file.read_text(encoding="utf-8") == "# mine"
    assert f"wrote {file}" in choreo("replay", "fork", "b1", "--out", str(file), "--force").stderr
    assert "def test_booking_requested_b1" in file.read_text(encoding="utf-8")


WHY = ("--why", "a test", "--who", "ada@example.org")


@pytest.fixture
def office(directory: Path, choreo: Choreo) -> Path:
    """Four purchases: approved by a person, rejected by a producer, cancelled and taken on by an operator."""
    write_office(directory)
    for number in range(1, 5):
        choreo("emit", "office.py:PurchaseWanted", f"request=r{number}", "what=lamps", "total=250")
    choreo("run", "--until-idle")
    decided = ("PurchaseApproved", "r1", "limit=300", "comment=nice", "--role", "approver")
    choreo("sagas", "answer", "approve", *decided, *WHY)
    choreo("emit", "office.py:PurchaseRejected", "request=r2", "reason=too expensive")
    choreo("sagas", "cancel", "r3", *WHY)
    choreo("sagas", "resolve", "approve", "failed", "r4", *WHY)
    choreo("run", "--until-idle")
    return directory


FORKED = {
    "r1": (
        'answer("purchase", "r1", "approve", PurchaseApproved, role="approver", limit="300", comment="nice")',
        "completed",
    ),
    "r2": ('PurchaseRejected(request="r2", reason="too expensive")', "compensated"),
    "r3": ('cancel("purchase", "r3")', "cancelled"),
    "r4": ('resolve("purchase", "r4", "approve", "failed")', "compensated"),
}


@pytest.mark.timeout(300)
def test_what_people_and_operators_did_is_in_the_test(office: Path, choreo: Choreo) -> None:
    """An answer, an event that nobody had asked for, a cancellation, a word of an operator: each in its place, without
    who gave it; the file passes as it is.
    """
    for key, (said, ends) in FORKED.items():
        file = office / f"test_{key}.py"
        choreo("replay", "fork", key, "--out", str(file))
        text = file.read_text(encoding="utf-8")
        assert said in " ".join(text.split()).replace("( ", "(").replace(", )", ")")
        assert f'then_saga("purchase", "{key}", "{ends}")' in text
        assert "ada" not in text
    assert complaints(office / "test_r1.py", office) == ""
    files = [office / f"test_{key}.py" for key in FORKED]
    assert [outcome_of(file, office) for file in files] == [0] * 4
    files[0].write_text(files[0].read_text("utf-8").replace('role="approver"', 'role="guest"'), encoding="utf-8")
    assert outcome_of(files[0], office) == 1


def test_one_service_is_given_what_the_others_emitted(theatre: Path, choreo: Choreo) -> None:
    """With --service it alone takes part: what the saga had asked of it is told, what it answered expected."""
    file = theatre / "tests" / "test_alone.py"
    choreo("replay", "fork", "b2", "--service", "payments", "--out", str(file))
    text = file.read_text(encoding="utf-8")
    assert "sagas=" not in text
    assert "then_saga" not in text
    assert "HoldSeats" not in text
    assert text.index("story.when(PaymentRequested(") < text.index("PaymentDeclined(")
    assert outcome_of(file, theatre) == 0
    assert complaints(file, theatre) == ""
    handlers = theatre / "theatre" / "payments.py"
    code = handlers.read_text(encoding="utf-8")
    handlers.write_text(code.replace("if receipt is None:", "if receipt is not None:"), encoding="utf-8")
    assert outcome_of(file, theatre) == 1
    assert "there is no service paymnts" in choreo("replay", "fork", "b2", "--service", "paymnts", code=2).stderr


def test_what_was_put_on_the_log_again_is_told_once(theatre: Path, choreo: Choreo) -> None:
    """A copy of what came from outside is no news; the key of a saga means the story in which it started."""
    before = choreo("replay", "fork", "b1").stdout
    topic = next(
        row for row in choreo("topics", "list", "--no-internal").stdout.splitlines() if "events" in row
    ).split()[0]
    asked = ("--where", "name == 'theatre.BookingRequested'", "--why", "a trial", "--yes")
    choreo("replay", "emit", topic, *asked)
    choreo("run", "--until-idle")
    assert choreo("replay", "fork", "b1").stdout == before


SHOP = [
    ("completed", "payments", 'state="taken"', 'state="asked"'),
    ("compensated", "inventory", "reason=reason), *self", 'reason="other"), *self'),
    ("cancelled", "payments", "amount=after.amount)", "amount=NOTHING)"),
    ("waiting", "orders", "return OrderOverdue(", "return None and OrderOverdue("),
]
"""Stories by how they end, and a change of a handler that each of them notices: the last by a timer."""


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A log in virtual time with an order of each kind; the cancelled one late, the waiting one overdue."""
    directory = olist_directory()
    due = expected(directory).orders
    wanted = {
        "completed": lambda one: one.status == "completed" and not one.overdue,
        "compensated": lambda one: one.status == "compensated",
        "cancelled": lambda one: one.status == "cancelled" and one.taken > 0,
        "waiting": lambda one: one.status == "waiting" and one.overdue and one.taken > 0,
    }
    keys = {kind: next(key for key, one in due.items() if fits(one)) for kind, fits in wanted.items()}
    rows = [row for row in read_orders(directory) if row.order_id in keys.values()]
    place = tmp_path_factory.mktemp("shop")
    url = f"embedded:{place / 'log'}"
    with EmbeddedLog(place / "log") as log:
        run_virtual(Stage(log, open_registry(default_registry(url)), MemoryBackends(), 2), rows)
    return place, keys


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "service", "before", "after"), SHOP)
def test_stories_of_real_orders_become_tests(
    orders: tuple[Path, dict[str, str]], choreo: Choreo, kind: str, service: str, before: str, after: str
) -> None:
    """An order that arrived, one that was out of stock, one that was cancelled after it was paid and one that is late:
    each file passes with the shop's code, times kept and without the customer's address, and fails where a handler says
    something else.
    """
    place, keys = orders
    file = place / f"test_{kind}.py"
    choreo("replay", "fork", keys[kind], "demo", "--log", f"embedded:{place / 'log'}", "--out", str(file))
    text = file.read_text(encoding="utf-8")
    assert "@" not in text  # the world makes the address up: no mask would come again, so nothing is said of it
    assert "email" not in text
    assert "story.after(" in text
    assert ("OrderOverdue" in text) == (kind == "waiting")
    code = place / f"code-{kind}"
    for folder in ("services", "saga_specs"):
        shutil.copytree(ROOT / folder, code / folder, ignore=shutil.ignore_patterns("__pycache__"))
    assert outcome_of(file, code) == 0
    handlers = code / "services" / "shop" / service / "service.py"
    said = handlers.read_text(encoding="utf-8")
    assert before in said
    handlers.write_text(said.replace(before, after), encoding="utf-8")
    assert outcome_of(file, code) == 1
