"""Keys that come from a personal field are masked wherever a command prints them, and still find what they name."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from choreo import Event, Personal
from choreo.cli.personal_keys import has_personal_key
from tests.cli.conftest import Choreo

CLUB = """
from datetime import timedelta

from choreo import Context, Event, GiveUp, Handler, Personal, Retry, Service, Store, Timer

class Member(Event, namespace="club", topic="club.members", key="email", abstract=True):
    email: Personal[str]

class Joined(Member):
    fee: int

class Welcomed(Member): ...

class Billed(Member):
    fee: int

class Paid(Member): ...

class Reminded(Member): ...

class Welcome(Handler[Joined]):
    seen = Store[str, int]()
    later = Timer[str]()

    def handle(self, joined: Joined, ctx: Context) -> Welcomed:
        if joined.fee < 0:
            raise GiveUp(f"less than nothing of {joined.email}")
        self.seen[joined.email] = joined.fee
        self.later.set(joined.email, after=timedelta(days=9))
        return Welcomed(email=joined.email)

    @later.due
    def remind(self, email: str, ctx: Context) -> Reminded:
        return Reminded(email=email)

club = Service("club", handlers=[Welcome])
"""
SAGA = """
saga: joining
version: 1
namespace: club
starts_on: Joined
correlate_by: email
within: 30d
remember: [fee]
steps:
  - {name: welcome, completes_on: Welcomed, compensate: none}
  - {name: pay, after: welcome, completes_on: Paid, compensate: none}
"""
ADA, BOB = "ada@example.org", "bob@example.org"


@pytest.fixture
def club(directory: Path, choreo: Choreo) -> Path:
    """Ada has joined and has not paid; Bob's joining is a dead letter, and what comes after it waits."""
    (directory / "club.py").write_text(CLUB, encoding="utf-8")
    (directory / "joining.yaml").write_text(SAGA, encoding="utf-8")
    (directory / "choreo.toml").write_text('[project]\nservices = ["club"]\nsagas = "joining.yaml"\n', encoding="utf-8")
    joined = [{"email": email, "fee": fee} for email, fee in ((ADA, 5), (BOB, -1), (BOB, 3))]
    assert ADA not in choreo("emit", "club.py:Joined", "-", text="\n".join(map(json.dumps, joined))).stdout
    choreo("run", "--until-idle")
    return directory


def said(choreo: Choreo, *arguments: str, code: int = 0) -> str:
    """All that a command prints, as text and as JSON."""
    found = [choreo(*arguments, code=code), choreo(*arguments, "--json", code=code)]
    return "".join(one.stdout + one.stderr for one in found)


def assert_masked(text: str, whose: str = "") -> None:
    for email in (ADA, BOB):
        assert email not in text, whose
        assert email.encode().hex() not in text, whose
    assert "***" in text, whose


COMMANDS = [
    ("replay", "state", "club"),
    ("replay", "state", "club", "--key", ADA),
    ("replay", "state", "club", "--step"),
    ("replay", "state", "club", "--diff", "2020-01-01", "2100-01-01"),
    ("replay", "state", "saga.joining"),
    ("replay", "state", "saga.joining", "--step"),
    ("dead-letters", "list"),
    ("parked", "list"),
    ("parked", "show", BOB),
    ("sagas", "list"),
    ("sagas", "show", ADA),
    ("sagas", "show", ADA, "--step"),
    ("sagas", "why", ADA),
    ("sagas", "skip", "pay", ADA, "--dry-run"),
]


@pytest.mark.usefixtures("club")
def test_a_personal_key_is_masked(choreo: Choreo) -> None:
    """No command prints it, neither as text nor as JSON; given as an option it finds what it names."""
    for command in COMMANDS:
        assert_masked(said(choreo, *command), " ".join(command))
    said_of = choreo("replay", "state", "club", "--store", "~parked", "--json").stdout.splitlines()
    parked = json.loads(said_of[0])["value"]
    assert parked.keys() == {"record", "attempts", "until_us", "calls"}, "and nothing of what the record holds"


@pytest.mark.usefixtures("club")
def test_a_story_is_told_without_its_keys(choreo: Choreo) -> None:
    """In a trace, as a tree and as JSON; and in conformance, which names the saga that does not fit."""
    assert_masked(said(choreo, "trace", ADA))
    choreo("emit", "club.py:Welcomed", f"email={ADA}")
    choreo("run", "--until-idle")
    assert_masked(said(choreo, "sagas", "conformance", "joining", code=1))


def test_a_shadow_run_and_verify_tell_no_keys(club: Path, choreo: Choreo) -> None:
    """What differs is told of entries, timers, events and dead letters, on the page, too."""
    (club / "new").mkdir()
    for name in ("club.py", "joining.yaml"):
        shutil.copy(club / name, club / "new" / name)
    code, file = (club / "club.py").read_text(encoding="utf-8"), club / "new" / "club.py"
    other = code.replace("= joined.fee", "= 7")
    for new in (other, other.replace("joined.fee < 0", "joined.fee > 4").replace("days=9", "days=8")):
        file.write_text(new, encoding="utf-8")
        assert_masked(said(choreo, "replay", "shadow", "club", "--code", "new", "--html", "page.html", code=1))
        assert_masked((club / "page.html").read_text(encoding="utf-8"))
    shutil.copy(club / "new" / "club.py", club / "club.py")
    sys.modules.pop("club", None)
    assert_masked(said(choreo, "replay", "verify", "club", code=1))


@pytest.mark.parametrize(("by", "lock"), [("email", "***"), ("fee", "5")])
def test_locks_are_listed_without_keys(directory: Path, choreo: Choreo, by: str, lock: str) -> None:
    """Of who holds one and of who waits; a lock that is named by a personal field is masked, too."""
    (directory / "club.py").write_text(CLUB, encoding="utf-8")
    (directory / "choreo.toml").write_text('[project]\nservices = ["club"]\nsagas = "*.yaml"\n', encoding="utf-8")
    for name in ("joining", "greeting"):
        spec = SAGA.replace("joining", name) + f"isolate_on: {{by: {by}, scope: members, within: 30d}}\n"
        (directory / f"{name}.yaml").write_text(spec, encoding="utf-8")
    choreo("emit", "club.py:Joined", f"email={ADA}", "fee=5")
    choreo("run", "--until-idle")
    assert_masked(said(choreo, "locks", "list"))
    held = json.loads(choreo("locks", "list", "--json").stdout)
    (waiting,) = held["waiting"]
    assert (held["lock"], held["key"]) == (lock, "***")
    assert {held["saga"], waiting} in ({"joining", "greeting ***"}, {"greeting", "joining ***"})


def test_a_migration_tells_no_keys(club: Path, choreo: Choreo) -> None:
    """In its listing, in the question to whoever gives the order, and in the file of questions."""
    changed = SAGA.replace("version: 1", "version: 2").replace("name: welcome", "name: greet")
    (club / "joining.yaml").write_text(changed.replace("after: welcome", "after: greet"), encoding="utf-8")
    choreo("sagas", "deploy")
    migrate = ("sagas", "migrate", "joining", "--to", "2", "--why", "a better name")
    asked = choreo(*migrate, "--dry-run", code=1)
    (club / "joining-to-2.yaml").rename(club / "answers.yaml")
    assert_masked(asked.stdout + asked.stderr)
    assert_masked((club / "answers.yaml").read_text(encoding="utf-8"))
    answers = (club / "answers.yaml").read_text(encoding="utf-8").replace("welcome:", "welcome: greet")
    (club / "answers.yaml").write_text(answers, encoding="utf-8")
    answered = (*migrate, "--mapping", "answers.yaml")
    assert_masked(said(choreo, *answered, "--dry-run"))
    assert_masked(said(choreo, *answered, code=2))
    assert_masked(choreo(*answered, "--yes").stdout)


def test_an_order_to_several_asks_without_keys(club: Path, choreo: Choreo) -> None:
    """Whoever decides is told how many they are."""
    text = said(choreo, "sagas", "skip", "pay", "--status", "waiting", "--why", "free", code=2)
    assert_masked(text)
    assert "an order to 2 sagas (joining ***, joining ***)" in text


WITH_CARD = """
class Card(Event, namespace="club", topic="club.cards", key="card", abstract=True):
    card: str
    email: Personal[str]

class CardWanted(Card): ...

class CardPrinted(Card): ...

class CardSent(Member):
    card: str

class CardLost(CardSent): ...

club ="""
CARD = """
saga: card
version: 1
namespace: club
starts_on: CardWanted
correlate_by: card
within: 30d
remember: [email]
tell: {completed: CardSent, compensated: CardLost, cancelled: CardLost}
steps:
  - {name: print, completes_on: CardPrinted, compensate: none}
"""


def test_a_parent_is_listed_without_its_key(club: Path, choreo: Choreo) -> None:
    """The saga of which another one is a step has its own key, and that may be personal where the other's is not."""
    (club / "club.py").write_text(CLUB.replace("\nclub =", WITH_CARD), encoding="utf-8")
    (club / "card.yaml").write_text(CARD, encoding="utf-8")
    with_card = """with: {card: "'C-' + string(saga.fee)", email: saga.email}"""
    nests = f"  - {{name: card, after: welcome, saga: card@1, {with_card}, compensate: none}}\n"
    (club / "joining.yaml").write_text(SAGA.replace("version: 1", "version: 2") + nests, encoding="utf-8")
    settings = (club / "choreo.toml").read_text(encoding="utf-8")
    (club / "choreo.toml").write_text(settings.replace("joining.yaml", "*.yaml"), encoding="utf-8")
    sys.modules.pop("club", None)
    choreo("emit", "club.py:Joined", "email=cid@example.org", "fee=9")
    choreo("run", "--until-idle")
    for command in (("list", "card"), ("show", "C-9"), ("why", "C-9")):
        text = said(choreo, "sagas", *command)
        assert "joining ***" in text
        assert "cid@example.org" not in text
    (row,) = map(json.loads, choreo("sagas", "list", "card", "--json").stdout.splitlines())
    assert row["parent"] == {"step": "card", "saga": "joining", "key": "***"}


def test_a_fork_masks_keys(club: Path, choreo: Choreo) -> None:
    """One mask for one key, wherever it stands."""
    text = choreo("replay", "fork", ADA).stdout
    assert ADA not in text
    assert text.count("@example.org") > 3


def test_what_a_key_is_of() -> None:
    """A key is personal by the field, not by what else the event holds."""

    class Plain(Event, namespace="keys", topic="keys", key="number"):
        number: int
        email: Personal[str]

    class Pair(Event, namespace="keys", topic="keys", key=("number", "email")):
        number: int
        email: Personal[str]

    assert [has_personal_key(one) for one in (Plain, Pair)] == [False, True]
