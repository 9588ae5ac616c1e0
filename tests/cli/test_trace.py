"""`choreo trace`: a whole story is told, whatever of it is asked for, and nothing live is touched."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from choreo.log.open import open_log
from choreo.record import NewRecord
from tests.cli.conftest import Choreo, process, read_until

TILL = '''
"""A card is charged for each order: amounts that end in 3 never work, in 4 at the third attempt, in 5 they are kept."""

from collections import Counter

from choreo import Context, Event, Handler, Personal, Retry, Service

tries = Counter()


class OrderEvent(Event, namespace="till", topic="orders", key="order_id", abstract=True):
    order_id: str


class OrderPlaced(OrderEvent):
    email: Personal[str]
    total: int


class Charged(OrderEvent):
    receipt: str


class Weighed(OrderEvent): ...


def charge(key: str, total: int) -> str:
    tries[total] += 1
    if total % 10 in (3, 5) or (total % 10 == 4 and tries[total] < 3):
        raise ConnectionError("the bank is away, write to ada@example.org")
    return f"R{total}"


class Charge(Handler[OrderPlaced]):
    retry = Retry(attempts=3, wait_s=0, then="skip")

    def handle(self, order: OrderPlaced, ctx: Context) -> Charged:
        return Charged(order_id=order.order_id, receipt=ctx.call("charge", charge, order.total))


class Weigh(Handler[OrderPlaced]):
    retry = Retry(attempts=1)

    def handle(self, order: OrderPlaced, ctx: Context) -> Weighed:
        if order.total % 10 == 5:
            raise ValueError("no scales")
        return Weighed(order_id=order.order_id)


till = Service("till", handlers=[Charge])
scales = Service("scales", handlers=[Weigh])
'''
SPEC = """
saga: sale
version: 1
namespace: till
starts_on: OrderPlaced
correlate_by: order_id
within: 1h
steps:
  - {name: pay, completes_on: Charged, compensate: none}
  - {name: weigh, completes_on: Weighed, compensate: none}
"""
EMAIL = "ada@example.org"


@pytest.fixture
def ran(directory: Path, choreo: Choreo) -> Path:
    """An order that goes well, one whose charge fails for good, one that needs three attempts, one that is kept."""
    (directory / "till.py").write_text(TILL, encoding="utf-8")
    (directory / "sale.yaml").write_text(SPEC, encoding="utf-8")
    (directory / "choreo.toml").write_text('[project]\nservices = ["till"]\nsagas = "*.yaml"\n', encoding="utf-8")
    orders = [{"order_id": f"order-{n}", "email": EMAIL, "total": n} for n in (10, 13, 14, 15)]
    for order in orders:
        choreo("emit", "till.py:OrderPlaced", "-", "--correlation-id", f"s{order['total']}", text=json.dumps(order))
    choreo("run", "--until-idle")
    return directory


def told(choreo: Choreo, *arguments: str) -> dict[str, Any]:
    """The story as JSON."""
    story: dict[str, Any] = json.loads(choreo("trace", *arguments, "--json").stdout)
    return story


def events(story: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its events by their short names."""
    return {node["event"].rpartition(".")[2]: node for node in story["nodes"] if node["kind"] == "event"}


def test_the_tree_has_every_event_behind_its_cause_with_its_author(ran: Path, choreo: Choreo) -> None:
    """The services that emitted are proved, who handled is told, and each node says how long it took."""
    story = told(choreo, "s10")
    nodes = events(story)
    placed, charged = nodes["OrderPlaced"], nodes["Charged"]
    assert (placed["depth"], placed["emitted_by"], placed["cause"]) == (0, None, None)
    assert (charged["depth"], charged["cause"]) == (1, placed["id"])
    assert charged["emitted_by"] == {"service": "till", "handler": "Charge"}
    assert nodes["Weighed"]["emitted_by"] == {"service": "scales", "handler": "Weigh"}
    assert {(one["service"], *one["handlers"]) for one in placed["handled_by"]} == {
        ("till", "Charge"),
        ("scales", "Weigh"),
        ("saga.sale", "Coordinator"),
    }
    assert charged["since_cause_us"] > 0
    at_till = next(one for one in placed["handled_by"] if one["service"] == "till")
    assert at_till["calls"] == [{"name": "charge", "used": 1, "failed": 0}]
    changes = [node for node in story["nodes"] if node["kind"] == "change"]
    assert "completed" in {change["status"] for change in changes}
    assert story["nodes"][0] == placed


def test_attempts_calls_and_dead_letters_stand_at_their_event(ran: Path, choreo: Choreo) -> None:
    """A third attempt that worked, and a dead letter after three that did not, with what failed."""
    (third,) = [one for one in events(told(choreo, "s14"))["OrderPlaced"]["handled_by"] if one["service"] == "till"]
    assert (third["attempts"], third["calls"]) == (3, [{"name": "charge", "used": 3, "failed": 2}])
    lost = events(told(choreo, "s13"))["OrderPlaced"]
    (letter,) = lost["dead_letters"]
    assert (letter["service"], letter["handler"], letter["door"], letter["attempts"]) == ("till", "Charge", "handle", 3)
    assert "dead letter of till.Charge (handle) after 3 attempts" in choreo("trace", "s13").stdout


def test_a_parked_input_is_told_with_its_attempts(ran: Path, choreo: Choreo) -> None:
    """What waits for an operator stands in the story of its event."""
    (held,) = [one for one in events(told(choreo, "s15"))["OrderPlaced"]["handled_by"] if one["service"] == "scales"]
    assert held["parked"] == {"attempts": 1, "error": "ValueError: no scales", "until": None}
    assert "parked, held: ValueError: no scales" in choreo("trace", "s15").stdout


def test_a_story_is_found_by_whatever_belongs_to_it(ran: Path, choreo: Choreo) -> None:
    """Correlation id, an event's id, a saga's key, the beginnings of these; several stories are named, none is said."""
    whole = told(choreo, "s10")
    event_id = events(whole)["Charged"]["id"]
    for asked in (event_id, event_id[:13], event_id.replace("-", ""), "order-10"):
        assert told(choreo, asked)["nodes"] == whole["nodes"], asked
    several = choreo("trace", "order-1", code=2).stderr
    assert "means 4 stories" in several
    assert "s10, s13, s14, s15" in several
    assert "nothing on the log is called nobody" in choreo("trace", "nobody", code=2).stderr


def test_what_has_no_ids_is_no_story(ran: Path, choreo: Choreo) -> None:
    """A record whose header can't be read is of no story, whether by its key or by an ID that is no hex."""
    with open_log("embedded:.choreo/log") as log:
        log.append([NewRecord("orders", b"x9", b"?", [("choreo", b"")])])
    for wanted in ("x9", "zz"):
        assert f"nothing on the log is called {wanted}" in choreo("trace", wanted, code=2).stderr


def test_personal_fields_are_masked_wherever_they_stand(ran: Path, choreo: Choreo) -> None:
    """In bodies, and in the texts of errors that quote them; also where the class of the event is not loaded."""
    for asked in (("s13",), ("s13", "--json"), ("s13", "--mermaid")):
        assert EMAIL not in choreo("trace", *asked, "--bodies").stdout
    assert events(told(choreo, "s13", "--bodies"))["OrderPlaced"]["body"] == {
        "order_id": "order-13",
        "email": "***",
        "total": 13,
    }
    (ran / "choreo.toml").unlink()
    (ran / "sale.yaml").unlink()
    strange = choreo("trace", "s13", "--bodies")
    assert EMAIL not in strange.stdout
    assert "email = ***" in strange.stdout
    assert "write to ***" in strange.stdout
    assert "read by till" in strange.stdout
    assert "the code of saga.sale, scales, till is not here" in strange.stderr


def test_bodies_are_told_only_when_asked_for(ran: Path, choreo: Choreo) -> None:
    """Without --bodies or -v no field of an event is shown."""
    assert "receipt" not in choreo("trace", "s10").stdout
    assert "receipt = R10" in choreo("trace", "s10", "-v").stdout


def test_the_diagram_has_an_arrow_from_each_author_to_each_who_handled(ran: Path, choreo: Choreo) -> None:
    """Mermaid's participants are the services, and what was given up is a note."""
    drawn = choreo("trace", "s13", "--mermaid").stdout
    parts = dict(line.split()[1::2] for line in drawn.splitlines() if "participant" in line)
    of = {name: number for number, name in parts.items()}
    assert drawn.startswith("sequenceDiagram")
    assert f"{of['outside']}->>{of['till']}: OrderPlaced" in drawn
    assert f"{of['scales']}->>{of['sale']}: Weighed" in drawn
    assert f"Note over {of['till']}: gives up on OrderPlaced" in drawn


def test_an_order_and_what_it_changed_are_of_the_story(ran: Path, choreo: Choreo) -> None:
    """An operator's command has a story of its own; it is told with the saga that it moved, and who gave it."""
    choreo("sagas", "skip", "pay", "order-13", "--why", "paid in cash", "--who", "ada")
    choreo("run", "--until-idle")
    story = told(choreo, "s13")
    (order,) = [node for node in story["nodes"] if node["kind"] == "order"]
    assert order["says"] == ["skip pay", "by ada: paid in cash"]
    (change,) = [node for node in story["nodes"] if node["cause"] == order["id"]]
    assert (change["kind"], change["status"]) == ("change", "completed")


def test_following_ends_where_the_story_is_at_rest(ran: Path, choreo: Choreo) -> None:
    """A story whose sagas have ended and that is handled everywhere is shown once, then the command ends."""
    said = choreo("trace", "s10", "--follow").stdout
    assert said.count("Charged order-10  from till.Charge") == 1
    assert "waiting -> completed" in said
    choreo("trace", "s10", "--follow", "--mermaid", code=2)


def test_following_shows_what_comes_until_all_is_done(ran: Path, choreo: Choreo) -> None:
    """A saga that waits is not at rest; what other processes then emit and do is shown as it comes, up to its end."""
    running = process("run")
    read_until(running, "saga.sale: has")
    following = process("trace", "s13", "--follow")
    assert following.stdout is not None
    shown = ""
    for line in following.stdout:
        shown += line
        if "dead letter of till.Charge" in line:
            break
    assert "waiting -> completed" not in shown
    choreo("emit", "till.py:Charged", "order_id=order-13", "receipt=by hand", "--correlation-id", "s13")
    rest, said = following.communicate(timeout=60)
    assert following.returncode == 0, said
    assert "Charged order-13  from outside" in rest
    assert "waiting -> completed" in rest
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=60)


def test_a_span_of_time_bounds_what_is_read(ran: Path, choreo: Choreo) -> None:
    """What was written before --since or from --until on is not looked at; what is no time is refused."""
    assert "nothing on the log is called s10" in choreo("trace", "s10", "--until", "1h", code=2).stderr
    assert told(choreo, "s10", "--since", "1h")["nodes"]
    assert "--since soon is no time" in choreo("trace", "s10", "--since", "soon", code=2).stderr
    assert "is not before" in choreo("trace", "s10", "--since", "1h", "--until", "2h", code=2).stderr


def test_nothing_live_is_touched(ran: Path, choreo: Choreo) -> None:
    """Topics, their ends, what groups have committed and the state directory are the same after as before."""

    def live() -> object:
        topics = choreo("topics", "list", "--json").stdout
        lag = [json.loads(line)["inputs"] for line in choreo("services", "lag", "--json").stdout.splitlines()]
        stores = (path for path in (ran / ".choreo" / "log" / "state").rglob("*") if path.is_file())
        files = {path: path.read_bytes() for path in stores}
        return topics, lag, files

    before = live()
    for more in ((), ("--mermaid",), ("--bodies",), ("--follow",)):
        choreo("trace", "s10", *more)
    assert live() == before
