"""Run, see, mend: sagas are found by filters, looked at, and mended by orders that lie on the log with who and why."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from choreo.cli import emitters
from choreo.cli.saga_steps import awaited_by
from tests.cli.conftest import Choreo, process, read_until
from tests.saga.shop import spec_of

SETTINGS = '[project]\nservices = ["shop"]\nsagas = "order.yaml"\n'
WHY = ("--why", "the bank called", "--who", "ada")


def objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a listing."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def ran(project: Path, choreo: Choreo) -> Path:
    """Four orders: o1 is paid, o2 declined, p3 and p4 get no answer."""
    (project / "choreo.toml").write_text(SETTINGS, encoding="utf-8")
    totals = {"o1": 20, "o2": 250, "p3": 0, "p4": 0}
    orders = "\n".join(json.dumps({"order_id": name, "total": total}) for name, total in totals.items())
    choreo("emit", "shop.py:OrderPlaced", "-", text=orders)
    text = (project / "order.yaml").read_text(encoding="utf-8")
    (project / "order.yaml").write_text(text.replace("within: 1h", "within: 1h\nremember: [total]"), encoding="utf-8")
    choreo("run", "--until-idle")
    return project


def keys(choreo: Choreo, *filters: str) -> list[str]:
    """Which sagas a listing has."""
    return [row["key"] for row in objects(choreo("sagas", "list", "--json", *filters).stdout)]


def reasons(said: str) -> str:
    """What `why` says but for the orders that it proposes."""
    why, mark, _ = said.partition("  what you can order")
    assert mark
    return why


def shown(choreo: Choreo, key: str) -> dict[str, Any]:
    """How a saga stands, with its history."""
    return objects(choreo("sagas", "show", key, "--json").stdout)[0]


def test_sagas_are_filtered(ran: Path, choreo: Choreo) -> None:
    """By status, step, state of a step, beginning of the key, age, remembered field and expression."""
    assert keys(choreo, "--status", "waiting", "--status", "completed") == ["o1", "p3", "p4"]
    assert keys(choreo, "--step", "pay") == ["p3", "p4"]
    assert keys(choreo, "--step", "reserve=compensated") == ["o2"]
    assert keys(choreo, "--key", "p") == ["p3", "p4"]
    assert keys(choreo, "--younger-than", "1h") == ["o1", "o2", "p3", "p4"]
    assert keys(choreo, "--older-than", "1h") == []
    assert keys(choreo, "--field", "total=0") == ["p3", "p4"]
    assert keys(choreo, "--field", "total=250", "--status", "waiting") == []
    assert keys(choreo, "--where", "saga.total > 100 && steps.pay.status == 'failed'") == ["o2"]
    assert keys(choreo, "--key", "o", "--key", "p4", "--limit", "2") == ["o1", "o2"]


WRONG_FILTERS = [
    (("--status", "wating"), "'wating' is not one of 'waiting', 'compensating', 'stuck', 'completed'"),
    (("--step", "pya"), "no saga here has a step pya"),
    (("--step", "pya"), "did you mean pay?"),
    (("--step", "pay=wating"), "no step is ever wating"),
    (("--step", "pay="), "no step is ever nothing"),
    (("--field", "sum=3"), "no saga here remembers sum"),
    (("--field", "total"), "--field total is not NAME=VALUE"),
    (("--older-than", "soon"), "'soon' is not a duration"),
]


@pytest.mark.parametrize(("filters", "said"), WRONG_FILTERS)
def test_a_filter_that_can_fit_nothing_is_a_mistake(
    ran: Path, choreo: Choreo, filters: tuple[str, str], said: str
) -> None:
    """A slip of the pen is told from there being no such sagas, for whoever looks and for whoever gives an order."""
    assert said in choreo("sagas", "list", *filters, code=2).stderr
    assert said in choreo("sagas", "cancel", *filters, "--yes", "--why", "x", code=2).stderr


def test_a_filter_that_fits_nothing_now_is_none(ran: Path, choreo: Choreo) -> None:
    """A status, step, state or value that there might be is no mistake: nothing is listed."""
    for filters in (
        ("--status", "stuck"),
        ("--step", "reserve=held"),
        ("--step", "pay[o9]"),
        ("--field", "total=77"),
    ):
        assert keys(choreo, *filters) == []


def test_an_answer_says_what_it_took_for_what(ran: Path, choreo: Choreo) -> None:
    """An ID in the event's place, and a value without a field, are told of as such."""
    why = ("--why", "seen")
    said = choreo("sagas", "answer", "pay", "p3", *why, code=2).stderr
    assert "which sagas?" in said
    assert "pay was taken for the step and p3 for the event" in said
    assert "=1 names no field" in choreo("sagas", "answer", "pay", "PaymentTaken", "p3", "=1", *why, code=2).stderr


def test_show_draws_the_steps_and_says_where_it_stands(ran: Path, choreo: Choreo) -> None:
    """What comes later stands further in, an arrow points at what is awaited; data and what remains are told."""
    text = (ran / "order.yaml").read_text(encoding="utf-8").replace("version: 1", "version: 2")
    (ran / "order.yaml").write_text(text.replace("- name: pay", "- name: pay\n    after: reserve"), encoding="utf-8")
    choreo("emit", "shop.py:OrderPlaced", "order_id=p5", "total=0")
    choreo("run", "--until-idle")
    lines = choreo("sagas", "show", "p5").stdout.splitlines()
    assert lines[1] == f"  {'reserve':<20} done"
    assert lines[2] == f"    {'pay':<20} waiting  after reserve  <-- waits for PaymentTaken"
    assert "  saga.total = 0" in lines
    saga = shown(choreo, "p5")
    assert (saga["remaining"], saga["data"]) == (["pay"], {"saga.total": 0})
    assert shown(choreo, "o2")["remaining"] == []


def test_why_tells_what_keeps_a_service_from_answering(ran: Path, choreo: Choreo) -> None:
    """How far the service that should answer is behind, what it gave up on for this key, and the time that is left."""
    shop = (ran / "shop.py").read_text(encoding="utf-8")
    broken = shop.replace(
        "if order.total == 0:",
        'if order.total == 1:\n            raise GiveUp("no such card")\n        if order.total == 0:',
    )
    (ran / "shop.py").write_text(
        broken.replace("import Context, Event,", "import Context, Event, GiveUp,"), encoding="utf-8"
    )
    choreo("emit", "shop.py:OrderPlaced", "order_id=q1", "total=1")
    assert "no such card" in process("run", "--until-idle").communicate()[1]
    (wait,) = objects(choreo("sagas", "why", "q1", "--json").stdout)[0]["waits"]
    (emitter,) = wait["emitters"]
    assert (emitter["service"], emitter["lag"]) == ("payments", 0)
    assert "no such card" in emitter["dead_letter"]["error"]
    assert 3_500 < wait["left_s"] <= 3_600
    lines = choreo("sagas", "why", "q1").stdout.splitlines()
    assert "(59 min " in lines[1] or "(1 h left)" in lines[1]
    assert lines[2].startswith("    payments gave up on shop.OrderPlaced of this key at 20")
    held = "    payments holds the later events of this key back, since shop.OrderPlaced could not be handled: "
    assert lines[3] == held + "GiveUp: no such card"
    choreo("emit", "shop.py:OrderPlaced", "order_id=q2", "total=5")
    (wait,) = objects(choreo("sagas", "why", "q1", "--json").stdout)[0]["waits"]
    assert wait["emitters"][0]["lag"] > 0


def test_why_tells_what_a_service_fails_at(ran: Path, choreo: Choreo) -> None:
    """A handling that failed and is to be tried again is told: its error, how often it failed, when it is due."""
    shop = (ran / "shop.py").read_text(encoding="utf-8")
    head, fails = (
        "class TakePayment(Handler[OrderPlaced]):\n",
        'if order.total == 1:\n            raise OSError("away")',
    )
    broken = shop.replace(head, f"{head}    retry = Retry(wait_s=5000, max_wait_s=5000)\n").replace(
        "if order.total == 0:", f"{fails}\n        if order.total == 0:"
    )
    (ran / "shop.py").write_text(broken.replace("import Context,", "import Retry, Context,"), encoding="utf-8")
    choreo("emit", "shop.py:OrderPlaced", "order_id=q1", "total=1")
    choreo("run", "shop.py:inventory", "order.yaml", "--until-idle")
    running = process("run", "shop.py:payments")
    read_until(running, "attempt 2 at")
    running.send_signal(signal.SIGTERM)
    running.communicate()
    (wait,) = objects(choreo("sagas", "why", "q1", "--json").stdout)[0]["waits"]
    (emitter,) = wait["emitters"]
    failing = emitter["failing"]
    assert (failing["event"], failing["attempts"], failing["held"]) == ("shop.OrderPlaced", 2, False)
    assert failing["error"] == "OSError: away"
    assert failing["again_at"] > wait["until"]  # 5000 s; the step has an hour
    assert emitter["dead_letter"] is None
    said = "payments failed 2 times at shop.OrderPlaced of this key: OSError: away; it is tried again at 20"
    assert said in choreo("sagas", "why", "q1").stdout
    assert "failed" not in reasons(choreo("sagas", "why", "p3").stdout)


def test_why_tells_what_the_coordinator_itself_could_not_take(ran: Path, choreo: Choreo) -> None:
    """The answer came, and its request to the next could not be made: the service is not blamed for the silence."""
    shop = (ran / "shop.py").read_text(encoding="utf-8")
    wanted = 'class ReleaseRequested(OrderEvent):\n    size: Literal["s", "m"] = "s"\n'
    shop = shop.replace("class ReleaseRequested(OrderEvent): ...\n", wanted)
    (ran / "shop.py").write_text(f"from typing import Literal\n{shop}", encoding="utf-8")
    text = (ran / "order.yaml").read_text(encoding="utf-8").replace("version: 1", "version: 2")
    asked = "completes_on: StockReserved\n    tell: {done: {event: ReleaseRequested, with: {size: saga.order_id}}}"
    (ran / "order.yaml").write_text(text.replace("completes_on: StockReserved", asked), encoding="utf-8")
    choreo("emit", "shop.py:OrderPlaced", "order_id=z1", "total=0")
    process("run", "--until-idle").communicate()
    answer = objects(process("sagas", "why", "z1", "--json").communicate()[0])[0]
    own = answer["coordinator"]
    assert (own["service"], own["lag"], own["dead_letter"]["event"]) == ("saga.order", 0, "shop.StockReserved")
    last = reasons(process("sagas", "why", "z1").communicate()[0]).splitlines()[-1]
    assert last.startswith("  saga.order gave up on shop.StockReserved of this key at 20")
    fault = "HandlingError: saga order: shop.ReleaseRequested can't be made for step reserve"
    assert last.endswith(f": {fault} (choreo dead-letters show {own['dead_letter']['id']})")
    assert "saga.order" not in process("sagas", "why", "p3").communicate()[0]


def test_why_looks_at_a_service_once(ran: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many events a service should emit, how it stands is read from the log once."""
    text = (ran / "order.yaml").read_text(encoding="utf-8").replace("version: 1", "version: 2")
    text = text.replace("completes_on: PaymentTaken\n    fails_on:", "completes_on: [PaymentTaken, PaymentDeclined]\n#")
    (ran / "order.yaml").write_text(text, encoding="utf-8")
    choreo("emit", "shop.py:OrderPlaced", "order_id=r1", "total=0")
    choreo("run", "--until-idle")
    looked: list[str] = []
    monkeypatch.setattr(emitters, "lag_of", lambda log, plan, topics: looked.append(plan.service.name) or ())
    waits = objects(choreo("sagas", "why", "r1", "--json").stdout)[0]["waits"]
    assert [wait["emitted_by"] for wait in waits] == [["payments"], ["payments"]]
    assert looked == ["payments", "saga.order"]


def test_why_names_the_step_that_is_stuck() -> None:
    """A failed undo waits too, without a limit."""
    row = {"steps": {"reserve": "compensation_failed", "pay": "failed"}, "waits_for": ["shop.StockReleased"]}
    spec = spec_of()
    assert [awaited_by(row, spec, step) for step in row["steps"]] == [["shop.StockReleased"], []]


def test_sagas_are_counted(ran: Path, choreo: Choreo) -> None:
    """`--count` says how many there are by saga and status."""
    rows = objects(choreo("sagas", "list", "--count", "--json").stdout)
    assert {row["status"]: row["count"] for row in rows} == {"compensated": 1, "completed": 1, "waiting": 2}


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (("--where", "saga.totl > 1"), "saga.totl"),
        (("--where", "saga.total >"), "syntax error"),
        (("--field", "total"), "--field total is not NAME=VALUE"),
        (("--older-than", "soon"), "is not a duration"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(ran: Path, choreo: Choreo, filters: list[str], said: str) -> None:
    """It is not taken for one that nothing fits."""
    assert said in choreo("sagas", "list", *filters, code=2).stderr


def test_a_dry_run_says_what_would_change(ran: Path, choreo: Choreo) -> None:
    """Each saga with the steps that would move and the events that would be emitted; nothing is put on the log."""
    rows = objects(choreo("sagas", "cancel", "--field", "total=0", "--dry-run", "--json").stdout)
    assert [row["key"] for row in rows] == ["p3", "p4"]
    assert rows[0]["emits"] == ["ReleaseRequested"]
    assert "reserve: done -> compensating" in rows[0]["changes"]
    choreo("run", "--until-idle")
    assert keys(choreo, "--status", "waiting") == ["p3", "p4"]


def test_an_answer_takes_a_step_on(ran: Path, choreo: Choreo) -> None:
    """The event is emitted in place of the service; the history tells who answered and why."""
    said = choreo("sagas", "answer", "pay", "PaymentTaken", "p3", *WHY)
    assert "order  p3   given" in said.stdout
    assert shown(choreo, "p3")["status"] == "waiting"
    choreo("run", "--until-idle")
    saga = shown(choreo, "p3")
    assert saga["status"] == "completed"
    assert ["answer pay shop.PaymentTaken (by ada: the bank called)"] in [past["change"] for past in saga["history"]]


@pytest.mark.parametrize(
    ("order", "status"),
    [(("skip", "pay"), "completed"), (("resolve", "pay", "done"), "completed"), (("cancel",), "cancelled")],
)
def test_orders_are_taken_up_by_the_coordinator(ran: Path, choreo: Choreo, order: list[str], status: str) -> None:
    """What was given while nothing ran is done when the coordinator runs."""
    choreo("sagas", *order, "p3", *WHY)
    choreo("run", "--until-idle")
    assert shown(choreo, "p3")["status"] == status
    assert shown(choreo, "p4")["status"] == "waiting"


def test_orders_to_many_are_confirmed(ran: Path, choreo: Choreo) -> None:
    """Without --yes an order to several is not given where nobody can be asked."""
    said = choreo("sagas", "resolve", "pay", "failed", "--step", "pay", *WHY, code=2).stderr
    assert "this is about an order to 2 sagas" in said
    choreo("run", "--until-idle")
    assert keys(choreo, "--status", "waiting") == ["p3", "p4"]
    choreo("sagas", "resolve", "pay", "failed", "--step", "pay", "--yes", *WHY)
    choreo("run", "--until-idle")
    assert keys(choreo, "--status", "compensated") == ["o2", "p3", "p4"]


def test_what_makes_no_sense_is_refused_before_it_is_given(ran: Path, choreo: Choreo) -> None:
    """The reason is on stdout, the exit code is 1, and the log has no command."""
    for arguments, why in (
        (("retry", "pay", "p3"), "step pay is waiting: nothing has been asked for"),
        (("skip", "pay", "o1"), "the saga has ended (completed)"),
        (("skip", "pya", "p3"), "there is no step pya, the steps are reserve, pay"),
        (("cancel", "o2"), "the saga has ended (compensated)"),
        (("answer", "pay", "StockReserved", "p3"), "step pay does not wait for shop.StockReserved"),
    ):
        assert f"refused: {why}" in choreo("sagas", *arguments, *WHY, code=1).stdout
    (topic,) = [
        row
        for row in objects(choreo("topics", "list", "--json").stdout)
        if row["topic"] == "choreo.saga.order.commands"
    ]
    assert topic["offsets"] == 0


def test_an_order_says_what_it_needs(ran: Path, choreo: Choreo) -> None:
    """A reason, and which sagas are meant."""
    assert "an order needs a reason" in choreo("sagas", "skip", "pay", "p3", code=2).stderr
    assert "which sagas?" in choreo("sagas", "cancel", "--dry-run", code=2).stderr
    assert "there is no saga x9" in choreo("sagas", "cancel", "x9", *WHY, code=2).stderr
    both = choreo("sagas", "cancel", "p3", "--status", "waiting", *WHY, code=2).stderr
    assert "both IDs and filters" in both
