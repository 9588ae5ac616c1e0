"""What is personal is masked in what commands print, whether or not the class of an event is loaded."""

import json
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from choreo.cli.main import answer_to
from choreo.errors import DecodeError, because
from choreo.state.rocks import RocksBackends
from tests.cli.conftest import Choreo

SHOP = """
from choreo import Context, Event, GiveUp, Handler, Personal, Service, Store, Value

class Person(Value):
    email: Personal[str]
    city: str

class OrderEvent(Event, namespace="mail", topic="mail.orders", key="order_id", abstract=True):
    order_id: str

class Ordered(OrderEvent):
    name: Personal[str]
    buyer: Person
    total: int

class Checked(OrderEvent):
    card: Personal[str]
    ok: bool

class Wanted(OrderEvent): ...

class Approved(OrderEvent):
    note: str = ""

class Refused(OrderEvent): ...

class Check(Handler[Ordered]):
    seen = Store[str, Ordered]()

    def handle(self, order: Ordered, ctx: Context) -> Checked:
        if order.total < 0:
            raise GiveUp("less than nothing")
        self.seen[order.order_id] = order
        return Checked(order_id=order.order_id, card="card-4711", ok=True)

mail = Service("mail", handlers=[Check])
"""
SAGA = """
saga: order
version: 1
namespace: mail
starts_on: Ordered
correlate_by: order_id
within: 30d
remember: [name, buyer, total]
steps:
  - {name: check, completes_on: Checked, compensate: none}
  - name: approve
    after: check
    when: steps.check.ok && steps.check.card != ""
    human: {role: clerk, asks: "May {saga.name} have it for {saga.total}?"}
    completes_on: Approved
    fails_on: Refused
    compensate: none
"""
SECRETS = ("Ada Lovelace", "ada@example.org", "card-4711")


@pytest.fixture
def shop(directory: Path, choreo: Choreo) -> Path:
    """One order that waits for a person, one that is a dead letter."""
    (directory / "mail.py").write_text(SHOP, encoding="utf-8")
    (directory / "order.yaml").write_text(SAGA, encoding="utf-8")
    (directory / "choreo.toml").write_text(
        '[project]\nservices = ["mail"]\nsagas = "order.yaml"\noutside = ["mail.Ordered"]\n', encoding="utf-8"
    )
    buyer = {"email": SECRETS[1], "city": "London"}
    for order_id, total in (("o1", 5), ("o2", -1)):
        order = {"order_id": order_id, "name": SECRETS[0], "buyer": buyer, "total": total}
        choreo("emit", "mail.py:Ordered", "-", text=json.dumps(order))
    choreo("run", "--until-idle")
    return directory


def said(choreo: Choreo, *arguments: str, code: int = 0) -> str:
    """All that a command prints, as text and as JSON."""
    found = [choreo(*arguments, code=code), choreo(*arguments, "--json", code=code)]
    return "".join(one.stdout + one.stderr for one in found)


def assert_masked(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text
        assert secret.encode().hex() not in text


COMMANDS = [
    ("sagas", "show", "o1"),
    ("sagas", "list"),
    ("sagas", "why", "o1"),
    ("sagas", "tasks"),
    ("sagas", "form", "approve", "o1"),
    ("sagas", "show", "o1", "--step"),
    ("replay", "state", "mail"),
    ("replay", "state", "mail", "--step"),
    ("replay", "state", "saga.order"),
    ("replay", "state", "saga.order", "--step"),
    ("dead-letters", "list"),
    ("replay", "rebuild", "mail", "--dry-run"),
]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("command", [pytest.param(one, id=" ".join(one)) for one in COMMANDS])
def test_what_is_personal_is_masked(choreo: Choreo, command: tuple[str, ...]) -> None:
    """No command prints a personal value, neither as text nor as JSON."""
    assert_masked(said(choreo, *command))


@pytest.mark.usefixtures("shop")
def test_the_rest_is_shown(choreo: Choreo) -> None:
    """Beside it stands what is nobody's secret, and the mask says that there is something."""
    text = said(choreo, "sagas", "show", "o1")
    assert "saga.total = 5" in text
    assert "saga.name = ***" in text
    assert "London" in text
    assert "May *** have it for 5?" in said(choreo, "sagas", "tasks")
    assert "London" in said(choreo, "replay", "state", "mail")


def test_masked_where_no_class_is_loaded(shop: Path, choreo: Choreo) -> None:
    """Without the project's code the schemas of the registry say what is personal; without its spec nobody knows."""
    for name in ("mail.py", "order.yaml", "choreo.toml"):
        (shop / name).unlink()
    sys.modules.pop("mail", None)
    for command in (("sagas", "show", "o1"), ("sagas", "list"), ("dead-letters", "list")):
        assert_masked(said(choreo, *command))


def test_verify_masks_what_differs(shop: Path, choreo: Choreo) -> None:
    """A store that was changed behind the service's back is shown without what is personal."""
    place = next(shop.rglob("mail-0")).parent
    backends = RocksBackends(place)
    changed = 0
    for number in range(4):
        store = backends.open(f"mail-{number}")
        for key, value in store.scan(b"\x01seen\x00"):
            changed += 1
            store.write({key: value.replace(b"London", b"Turing")})
    backends.close()
    assert changed == 1
    text = said(choreo, "replay", "verify", "mail", code=1)
    assert_masked(text)
    assert "Turing" in text
    assert "***" in text


def test_verify_masks_events_that_differ(shop: Path, choreo: Choreo) -> None:
    """A personal field that the code at hand would fill otherwise is named, and neither value is shown."""
    code = (shop / "mail.py").read_text(encoding="utf-8")
    (shop / "mail.py").write_text(code.replace("card-4711", "card-4712"), encoding="utf-8")
    sys.modules.pop("mail", None)
    text = said(choreo, "replay", "verify", "mail", code=1)
    assert_masked(text)
    assert "card-4712" not in text
    assert "card: live ***, replayed ***" in text


@pytest.mark.parametrize("verbose", [False, True])
def test_errors_quote_no_values(capsys: pytest.CaptureFixture[str], verbose: bool) -> None:
    """An error that a command ends with says which field was wrong, not what it held."""

    class Person(BaseModel):
        age: int

    secret = SECRETS[0]
    with pytest.raises(ValidationError) as wrong:
        Person.model_validate({"age": secret})
    error = because(DecodeError("it is no Person", why=str(wrong.value)), wrong.value)
    assert answer_to(error, verbose) == 1
    said = capsys.readouterr().err
    assert secret not in said
    assert "age" in said
