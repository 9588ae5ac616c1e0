"""`choreo dead-letters redrive | edit | drop` and `choreo parked`: from the command line, on the embedded log."""

import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from choreo.cli.records import Bodies, read_to_end
from choreo.events.envelope import pack, unpack
from choreo.events.open import open_registry
from choreo.log.open import open_log
from choreo.record import NewRecord, TopicPartition
from choreo.replay.operations import Operations
from choreo.resilience.operations import LettersSettled, Operation, OperationBegan, OperationEnded
from tests.cli.conftest import Choreo
from tests.cli.test_archives import SHORT, half_forgotten

CAFE = '''
"""A cafe whose machine can't make what stands in broken.txt."""

from pathlib import Path

from choreo import Context, Event, Handler, Personal, Retry, Service, Store


class Ordered(Event, namespace="cafe", topic="cafe.orders", key="table"):
    table: str
    drink: str
    cups: int = 1
    guest: Personal[str] = ""


class Served(Event, namespace="cafe", topic="cafe.served", key="table"):
    table: str
    drink: str


def machine(drink: str) -> bool:
    if drink in Path("broken.txt").read_text(encoding="utf-8").split():
        raise OSError(f"no {drink} today, Grace")
    return True


class Make(Handler[Ordered]):
    made = Store[str, tuple[str, ...]](default=())
    retry = Retry(attempts=1, then="THEN")

    def handle(self, order: Ordered, ctx: Context) -> Served:
        ctx.ask("machine", machine, order.drink)
        self.made[order.table] = (*self.made[order.table], order.drink)
        return Served(table=order.table, drink=order.drink)


class Hear(Handler[Ordered]):
    heard = Store[str, int](default=0)

    def handle(self, order: Ordered, ctx: Context) -> None:
        self.heard[order.table] += order.cups


bar = Service("bar", handlers=[Make])
till = Service("till", handlers=[Hear])
'''
RUN = ("run", "--until-idle", "-q")
WHY = ("--why", "the machine is repaired", "--who", "ada")


class Cafe:
    """A project with dead letters, and what is on its log."""

    def __init__(self, directory: Path, choreo: Choreo) -> None:
        self.directory, self.choreo = directory, choreo

    def broken(self, *drinks: str) -> None:
        (self.directory / "broken.txt").write_text(" ".join(drinks), encoding="utf-8")

    def order(self, *drinks: str, table: str = "t1", cups: int = 1) -> None:
        lines = [json.dumps({"table": table, "drink": one, "cups": cups, "guest": "Grace"}) for one in drinks]
        self.choreo("emit", "cafe.py:Ordered", "-", "-q", text="\n".join(lines))
        self.choreo(*RUN)

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.choreo(*arguments, "--json").stdout.splitlines()]

    def letters(self, *arguments: str) -> list[dict[str, Any]]:
        return self.rows("dead-letters", "list", *arguments)

    def served(self, table: str = "t1") -> list[str]:
        with open_log("embedded:.choreo/log") as log:
            bodies = Bodies(open_registry("dir:.choreo/log/schemas"))
            found = [bodies.read(record) for record in read_to_end(log, ["cafe.served"])]
        return [str(one["drink"]) for one in found if one["table"] == table]

    def operations(self) -> list[Operation]:
        """What operators did, as the log tells it."""
        with open_log("embedded:.choreo/log") as log:
            return list(Operations(log, open_registry("dir:.choreo/log/schemas"), lambda: 0).events())

    def ends(self) -> dict[str, int]:
        """How much lies on each topic, and what each service has committed."""
        with open_log("embedded:.choreo/log") as log:
            places = [TopicPartition(name, n) for name, one in log.topics().items() for n in range(one.partitions)]
            found = {str(place): end for place, end in log.ends(places).items()}
            for service in ("bar", "till"):
                committed = log.committed(f"choreo.{service}", places)
                found |= {f"{service} {place}": offset or 0 for place, offset in committed.items()}
        return found

    def files(self) -> set[str]:
        """The state directory."""
        return {str(one.relative_to(self.directory)) for one in (self.directory / ".choreo").iterdir()}


def cafe_in(directory: Path, choreo: Choreo, then: str) -> Cafe:
    (directory / "cafe.py").write_text(CAFE.replace("THEN", then), encoding="utf-8")
    (directory / "choreo.toml").write_text('[project]\nservices = ["cafe.py:bar", "cafe.py:till"]\n', encoding="utf-8")
    return Cafe(directory, choreo)


@pytest.fixture
def cafe(directory: Path, choreo: Choreo) -> Cafe:
    """One in which the later orders of a table wait behind one that failed."""
    cafe = cafe_in(directory, choreo, "park")
    cafe.broken("latte", "mocha")
    return cafe


@pytest.fixture
def hasty(directory: Path, choreo: Choreo) -> Cafe:
    """One that goes on with the next order."""
    cafe = cafe_in(directory, choreo, "skip")
    cafe.broken("latte", "mocha")
    return cafe


def test_a_letter_is_redriven_and_what_waits_behind_it_goes_on(cafe: Cafe, choreo: Choreo) -> None:
    """The whole story: list, look, redrive, run; the letter says by whom and why, and replays are clean."""
    cafe.order("tea", "latte", "water")
    assert cafe.served() == ["tea"]
    (letter,) = cafe.letters()
    assert (letter["state"], letter["service"], letter["event"]) == ("open", "bar", "cafe.Ordered")
    before = cafe.ends()
    looked = choreo("dead-letters", "redrive", letter["id"][:8], "--dry-run").stdout
    assert "would be redriven" in looked
    assert cafe.ends() == before
    cafe.broken()
    choreo("dead-letters", "redrive", letter["id"][:8], *WHY)
    choreo(*RUN)
    assert cafe.served() == ["tea", "latte", "water"]
    (settled,) = cafe.letters()
    assert (settled["state"], settled["by"], settled["why"]) == ("redriven", "ada", "the machine is repaired")
    assert cafe.letters("--state", "open") == []
    assert choreo("replay", "verify").stdout.count("clean") == 2
    assert "there is no open dead letter" in choreo("dead-letters", "redrive", letter["id"], *WHY, code=2).stderr


def test_only_what_the_filters_say_is_redriven(hasty: Cafe, choreo: Choreo) -> None:
    """A condition over the event, its envelope and its letter; everything else stays as it is."""
    hasty.order("latte", "mocha", table="t1")
    hasty.order("latte", table="t2", cups=3)
    hasty.broken()
    for where, count in [
        ("event.drink == 'latte' && event.cups > 2", 1),
        ("letter.door == 'handle' && letter.error.contains('latte')", 2),
        ("key == 't1' && name == 'cafe.Ordered'", 2),
        ("at > timestamp('2020-01-01T00:00:00Z') && !again && topic == 'cafe.orders'", 3),
        ("letter.service == 'till'", 0),
    ]:
        assert len(hasty.letters("--where", where)) == count, where
    assert len(hasty.letters("--since", "1h")) == 3
    assert len(hasty.letters("--until", "1h")) == 0
    assert len(hasty.letters("--limit", "2")) == 2
    before = hasty.ends()
    arguments = ("--where", "event.drink == 'latte'", *WHY)
    assert "about redrive: 2 dead letters of bar" in choreo("dead-letters", "redrive", *arguments, code=2).stderr
    assert hasty.ends() == before
    files = hasty.files()
    choreo("dead-letters", "redrive", *arguments, "--yes")
    after = hasty.ends()
    assert {name.partition("[")[0] for name in after if after[name] != before.get(name, 0)} == {
        "cafe.orders", "choreo.operations",
    }  # fmt: skip
    assert hasty.files() == files
    began, settled, ended = hasty.operations()
    assert isinstance(began, OperationBegan)
    assert (began.kind, began.subjects, began.who, began.why) == ("redrive", ("bar",), "ada", WHY[1])
    assert began.asked == {"where": "event.drink == 'latte'"}
    assert isinstance(settled, LettersSettled)
    assert (settled.outcome, len(settled.letters)) == ("redriven", 2)
    assert isinstance(ended, OperationEnded)
    assert ended.counts == {"redriven": 2, "refused": 0}
    assert began.operation == settled.operation == ended.operation
    choreo(*RUN)
    assert (hasty.served("t1"), hasty.served("t2")) == (["latte"], ["latte"])
    states = [(row["key"], row["state"]) for row in hasty.letters()]
    assert sorted(states) == [("t1", "open"), ("t1", "redriven"), ("t2", "redriven")]


def test_conditions_and_times_that_make_no_sense_are_said_so(hasty: Cafe, choreo: Choreo) -> None:
    """A typing error is never an empty list."""
    hasty.order("latte")
    for arguments, said in [
        (("--where", "event.drnk == 'latte'"), "no record here has a field drnk"),
        (("--where", "evnt.drink == 'latte'"), "there is no evnt.drink here"),
        (("--where", "event.drink == "), "syntax error"),
        (("--where", "key == 't1' ? 1 : 2"), "not true or false"),
        (("--since", "yesterday"), "yesterday is no time"),
        (("--since", "1h", "--until", "2h"), "is not before"),
    ]:
        assert said in choreo("dead-letters", "list", *arguments, code=2).stderr, arguments
    assert "which dead letters?" in choreo("dead-letters", "redrive", *WHY, code=2).stderr
    (letter,) = hasty.letters()
    assert "an order needs a reason" in choreo("dead-letters", "redrive", letter["id"], code=2).stderr


def test_a_letter_shows_its_event_masked_and_its_story(hasty: Cafe, choreo: Choreo) -> None:
    """Personal fields are not seen, nor are they in JSON."""
    hasty.order("latte")
    (letter,) = hasty.letters()
    shown = json.loads(choreo("dead-letters", "show", letter["id"], "--json").stdout)
    assert shown["body"] == {"table": "t1", "drink": "latte", "cups": 1, "guest": "***"}
    assert shown["story"] == letter["story"]
    assert shown["cannot_redrive"] is None
    assert "no latte today, ***" in letter["error"]
    assert "Grace" not in choreo("dead-letters", "show", letter["id"]).stdout


def test_an_edited_event_is_another_fact_in_the_same_story(cafe: Cafe, choreo: Choreo) -> None:
    """What is wrong in it is refused; its diff is shown; it takes the place of the old one, whose effect it is."""
    cafe.order("latte", "tea")
    (letter,) = cafe.letters()
    edit = ("dead-letters", "edit", letter["id"])
    assert "did you mean drink?" in choreo(*edit, "--set", "drnk=x", *WHY, code=2).stderr
    assert "no Ordered: cups" in choreo(*edit, "--set", "cups=many", *WHY, code=2).stderr
    assert "the key can't be changed" in choreo(*edit, "--set", "table=t2", *WHY, code=2).stderr
    assert "nothing is changed" in choreo(*edit, "--set", "drink=latte", *WHY, code=2).stderr
    assert '+  "drink": "milk",' in choreo(*edit, "--set", "drink=milk", "--dry-run").stdout
    choreo(*edit, "--set", "drink=milk", *WHY)
    choreo(*RUN)
    assert cafe.served() == ["milk", "tea"]
    assert [row["state"] for row in cafe.letters()] == ["edited"]
    with open_log("embedded:.choreo/log") as log:
        headers = [dict(record.headers)["choreo"] for record in read_to_end(log, ["cafe.orders"])]
    old, _, new = (unpack(header) for header in headers)
    assert new.causation_id == old.event_id != new.event_id
    assert new.correlation_id == old.correlation_id
    assert choreo("replay", "verify").stdout.count("clean") == 2


def test_an_event_is_edited_by_its_schema_alone(cafe: Cafe, choreo: Choreo) -> None:
    """Where its class is not at hand, the schema that its bytes name says what is in it: it is checked, masked, shown
    and written by that; its service takes it up as ever.
    """
    cafe.order("latte", "tea")
    (letter,) = cafe.letters()
    code, toml = cafe.directory / "cafe.py", cafe.directory / "choreo.toml"
    kept = code.read_text(encoding="utf-8"), toml.read_text(encoding="utf-8")
    code.unlink()
    toml.unlink()
    edit = ("dead-letters", "edit", letter["id"])
    assert "no Ordered: cups" in choreo(*edit, "--set", "cups=many", *WHY, code=2).stderr
    assert "the key can't be changed: table" in choreo(*edit, "--set", "table=t2", *WHY, code=2).stderr
    assert '+  "drink": "milk",' in choreo(*edit, "--set", "drink=milk", "--dry-run").stdout
    body = cafe.directory / "body.json"
    body.write_text(json.dumps({"table": "t1", "drink": "milk", "cups": 2, "guest": "***"}), encoding="utf-8")
    said = choreo(*edit, "--body", str(body), *WHY).stderr
    assert "cafe.Ordered has no class here" in said
    assert "Grace" not in said
    code.write_text(kept[0], encoding="utf-8")
    toml.write_text(kept[1], encoding="utf-8")
    choreo(*RUN)
    assert cafe.served() == ["milk", "tea"]
    assert [row["state"] for row in cafe.letters()] == ["edited"]
    with open_log("embedded:.choreo/log") as log:
        old, _, new = read_to_end(log, ["cafe.orders"])
        bodies = Bodies(open_registry("dir:.choreo/log/schemas"))
    assert (new.value or b"")[:5] == (old.value or b"")[:5]
    assert bodies.read(new) == {"table": "t1", "drink": "milk", "cups": 2, "guest": "Grace"}
    assert choreo("replay", "verify").stdout.count("clean") == 2


def test_what_only_a_class_can_write_is_not_edited_without_it(hasty: Cafe, choreo: Choreo) -> None:
    """A CloudEvent has headers that its class makes, and JSON names no schema: both are refused with that."""
    hasty.order("latte")
    with open_log("embedded:.choreo/log") as log:
        (record,) = read_to_end(log, ["cafe.orders"])
        ids = unpack(dict(record.headers)["choreo"])
        others = [pack(ids._replace(event_id=bytes([number]) * 16, correlation_id="others")) for number in (1, 2)]
        cloud = NewRecord(record.topic, record.key, record.value, [("choreo", others[0]), ("ce_id", b"1")])
        log.append([cloud, NewRecord(record.topic, record.key, b'{"drink": "latte"}', [("choreo", others[1])])])
    choreo(*RUN)
    (hasty.directory / "cafe.py").unlink()
    (hasty.directory / "choreo.toml").unlink()
    edit = ("dead-letters", "edit", "--set", "drink=milk", "--dry-run")
    assert "only its class can write" in choreo(*edit, "01010101", code=2).stderr
    assert "it begins with 7b" in choreo(*edit, str(UUID(bytes=b"\2" * 16)), code=2).stderr
    assert '+  "drink": "milk",' in choreo(*edit, str(UUID(bytes=ids.event_id))).stdout


def test_what_is_personal_stays_as_it_was_while_somebody_edits_the_rest(hasty: Cafe, choreo: Choreo) -> None:
    """A file in which the field is masked does not overwrite it with the mask."""
    hasty.order("latte")
    (letter,) = hasty.letters()
    body = hasty.directory / "body.json"
    body.write_text(json.dumps({"table": "t1", "drink": "milk", "cups": 1, "guest": "***"}), encoding="utf-8")
    said = choreo("dead-letters", "edit", letter["id"], "--body", str(body), *WHY)
    assert "Grace" not in said.stdout + said.stderr
    with open_log("embedded:.choreo/log") as log:
        bodies = Bodies(open_registry("dir:.choreo/log/schemas"))
        guests = [bodies.read(record)["guest"] for record in read_to_end(log, ["cafe.orders"])]
    assert guests == ["Grace", "Grace"]
    choreo(*RUN)
    hasty.broken("milk")
    assert hasty.served() == ["milk"]


def test_an_editor_opens_the_event(hasty: Cafe, choreo: Choreo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves is put back; where it changes nothing, nothing is."""
    hasty.order("latte")
    (letter,) = hasty.letters()
    monkeypatch.setenv("EDITOR", "true")
    assert "nothing is changed" in choreo("dead-letters", "edit", letter["id"], *WHY, code=2).stderr
    monkeypatch.setenv("EDITOR", "sed -i s/latte/milk/")
    choreo("dead-letters", "edit", letter["id"], *WHY)
    choreo(*RUN)
    assert hasty.served() == ["milk"]


def test_where_nobody_is_no_editor_is_opened(hasty: Cafe, choreo: Choreo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal and without an editor in the environment, the other ways to edit are named."""
    hasty.order("latte")
    (letter,) = hasty.letters()
    for name in ("EDITOR", "VISUAL"):
        monkeypatch.delenv(name, raising=False)
    assert "--set FIELD=VALUE" in choreo("dead-letters", "edit", letter["id"], *WHY, code=2).stderr


def test_a_dropped_letter_is_nobodys_affair_any_more(hasty: Cafe, choreo: Choreo) -> None:
    """Nothing is put on a topic of events; it says who dropped it, and why."""
    hasty.order("latte")
    (letter,) = hasty.letters()
    before = hasty.ends()
    choreo("dead-letters", "drop", letter["id"], *WHY)
    after = hasty.ends()
    assert {name for name in after if after[name] != before.get(name, 0)} == {"choreo.operations[0]"}
    assert [(row["state"], row["by"]) for row in hasty.letters()] == [("dropped", "ada")]
    choreo("dead-letters", "redrive", letter["position"], "--again", *WHY)
    assert [row["state"] for row in hasty.letters()] == ["redriven"]


def test_parked_keys_are_listed_shown_and_released(cafe: Cafe, choreo: Choreo) -> None:
    """What was given up is handled again, then what waits behind it; its letter is settled."""
    cafe.order("latte", "tea")
    cafe.order("water", table="t2")
    (row,) = cafe.rows("parked", "list", "--given-up")
    assert (row["key"], row["event"], row["waiting"], row["until"]) == ("t1", "cafe.Ordered", 2, "an operator")
    shown = choreo("parked", "show", "t1").stdout
    assert "latte" in shown
    assert "Grace" not in shown + choreo("parked", "list").stdout
    assert "waits for no operator" in choreo("parked", "release", "t2", *WHY, code=2).stderr
    cafe.broken()
    choreo("parked", "release", "t1", *WHY)
    choreo(*RUN)
    assert cafe.served() == ["latte", "tea"]
    assert "no key waits" in choreo("parked", "list").stderr
    assert [one["state"] for one in cafe.letters()] == ["redriven"]
    assert choreo("replay", "verify").stdout.count("clean") == 2


def test_a_parked_event_is_dropped_and_its_key_goes_on(cafe: Cafe, choreo: Choreo) -> None:
    """Its service lets go of it in its turn; the others of its key are handled."""
    cafe.order("latte", "tea")
    choreo("parked", "drop", "t1", *WHY)
    choreo(*RUN)
    assert cafe.served() == ["tea"]
    assert [one["state"] for one in cafe.letters()] == ["dropped"]
    assert choreo("replay", "verify").stdout.count("clean") == 2


def test_a_key_is_released_before_its_next_attempt_is_due(directory: Path, choreo: Choreo) -> None:
    """What waits for an hour is tried now, and what waits behind it goes on; it can't be dropped before it is given up.
    The operation says so, a dry run does nothing, and replays are clean.
    """
    cafe = cafe_in(directory, choreo, "park")
    code = directory / "cafe.py"
    retry = "Retry(attempts=3, wait_s=3600, max_wait_s=3600)"
    text = CAFE.replace('Retry(attempts=1, then="THEN")', retry).replace("from pathlib", "import signal\nfrom pathlib")
    text = text.replace(
        "        raise OSError",
        "        signal.raise_signal(signal.SIGTERM)  # idle it is in an hour\n        raise OSError",
    )
    code.write_text(text, encoding="utf-8")
    cafe.broken("latte")
    cafe.order("latte", "tea")
    (row,) = cafe.rows("parked", "list")
    assert (row["attempts"], row["given_up"], cafe.letters()) == (2, False, [])
    assert "it is tried again" in choreo("parked", "drop", "t1", *WHY, code=2).stderr
    before = cafe.ends()
    assert "would be tried now" in choreo("parked", "release", "t1", "--dry-run").stdout
    assert cafe.ends() == before
    cafe.broken()
    assert "an order needs a reason" in choreo("parked", "release", "t1", code=2).stderr
    choreo("parked", "release", "t1", *WHY)
    choreo(*RUN)
    assert cafe.served() == ["latte", "tea"]
    assert cafe.rows("parked", "list") == []
    began, ended = cafe.operations()
    assert isinstance(began, OperationBegan)
    assert (began.kind, began.who, began.asked) == ("release", "ada", {"keys": "t1"})
    assert isinstance(ended, OperationEnded)
    assert ended.counts == {"woken": 1}
    assert choreo("replay", "verify").stdout.count("clean") == 2


BELL = """


class Ring(Handler[Ordered]):
    rung = Store[str, int](default=0)
    ready = Timer[str]()
    retry = Retry(attempts=1)

    def handle(self, order: Ordered, ctx: Context) -> None:
        self.ready.set(order.table, after=timedelta(0))

    @ready.due
    def ring(self, table: str, ctx: Context) -> Served:
        ctx.ask("bell", machine, "bell")
        self.rung[table] += 1
        return Served(table=table, drink="bell")


hall = Service("hall", handlers=[Ring])
"""


@pytest.fixture
def hall(directory: Path, choreo: Choreo) -> Cafe:
    """A cafe whose bell is broken: a timer is given up for each table."""
    cafe = cafe_in(directory, choreo, "skip")
    code, toml = directory / "cafe.py", directory / "choreo.toml"
    text = code.read_text(encoding="utf-8") + BELL
    text = text.replace("Service, Store\n", "Service, Store, Timer\n")
    code.write_text(text.replace("from pathlib", "from datetime import timedelta\nfrom pathlib"), encoding="utf-8")
    toml.write_text('[project]\nservices = ["cafe.py:hall"]\n', encoding="utf-8")
    cafe.broken("bell")
    return cafe


@pytest.mark.parametrize("behind", [True, False])
def test_a_key_that_waits_behind_a_timer_is_released(hall: Cafe, choreo: Choreo, behind: bool) -> None:
    """By a record that waits behind it, or by the one that set it: the timer is tried anew, its letter is settled, and
    the story says that the copy was handled by nobody.
    """
    hall.order("tea")
    if behind:
        hall.order("water")
    (row,) = hall.rows("parked", "list", "--given-up")
    assert (row["event"], row["waiting"]) == ("a timer", 1 + behind)
    assert "would be redriven" in choreo("parked", "release", "t1", "--dry-run").stdout
    hall.broken()
    choreo("parked", "release", "t1", *WHY)
    choreo(*RUN)
    assert hall.served() == ["bell"] * (1 + behind)
    assert hall.rows("parked", "list") == []
    assert [(one["event"], one["origin"], one["state"]) for one in hall.letters()] == [(None, "a timer", "redriven")]
    with open_log("embedded:.choreo/log") as log:
        stories = {unpack(dict(one.headers)["choreo"]).correlation_id for one in read_to_end(log, ["cafe.orders"])}
    nodes = [node for story in stories for node in hall.rows("trace", story)[0]["nodes"]]
    assert [len(node["handled_by"]) for node in nodes if node.get("event") == "cafe.Ordered"] == [1] * (1 + behind)
    assert choreo("replay", "verify").stdout.count("clean") == 1


def test_a_key_goes_on_without_the_timer_that_was_given_up(hall: Cafe, choreo: Choreo) -> None:
    """It leaves the line, what waits behind it is handled, and its letter is settled."""
    hall.order("tea")
    hall.order("water")
    choreo("parked", "drop", "t1", *WHY)
    choreo(*RUN)
    assert hall.served() == []
    assert [one["state"] for one in hall.letters()] == ["dropped", "open"]
    hall.broken()
    choreo("parked", "release", "t1", *WHY)
    choreo(*RUN)
    assert hall.served() == ["bell"]
    assert choreo("replay", "verify").stdout.count("clean") == 1


def test_records_are_emitted_again_and_a_dry_run_says_who_would_handle_them(hasty: Cafe, choreo: Choreo) -> None:
    """Everybody handles the copies, which are never copied themselves; the operation is on the log."""
    hasty.order("tea", "water", "milk")
    before = hasty.ends()
    (row,) = hasty.rows("replay", "emit", "cafe.orders", "--where", "event.drink != 'milk'", "--dry-run")
    assert (row["event"], row["records"], row["handled_by"]) == ("cafe.Ordered", 2, ["bar", "till"])
    assert "not known" not in choreo("replay", "emit", "cafe.orders", "--dry-run").stderr
    Path("half.toml").write_text('[project]\nservices = ["cafe.py:bar"]\n', encoding="utf-8")
    half = choreo("replay", "emit", "cafe.orders", "--dry-run", "--config", "half.toml").stderr
    assert "whether till handle them is not known" in half
    assert hasty.ends() == before
    emit = ("replay", "emit", "cafe.orders", *WHY, "--yes", "--rate", "1000/s")
    (done,) = hasty.rows(*emit, "--where", "event.drink != 'milk'")
    assert (done["emitted"], done["copies"]) == (2, 0)
    (done,) = hasty.rows(*emit, "--limit", "3")
    assert (done["emitted"], done["copies"]) == (3, 0)
    assert "has ended" in choreo("replay", "emit", "--resume", done["operation"][:8], code=2).stderr
    choreo(*RUN)
    assert hasty.served() == ["tea", "water", "milk", "tea", "water", "tea", "water", "milk"]
    assert choreo("replay", "verify").stdout.count("clean") == 2
    with open_log("embedded:.choreo/log") as log:
        log.append([NewRecord("cafe.orders", b"t1", b"garbage", [("choreo", b"garbage")])])
    (done,) = hasty.rows(*emit)
    assert (done["emitted"], done["copies"], done["unread"]) == (3, 5, 1)


def test_records_are_emitted_to_another_topic(hasty: Cafe, choreo: Choreo) -> None:
    """Nobody of the project reads them there; Choreo's own topics are no such topic."""
    hasty.order("tea")
    choreo("topics", "create", "elsewhere")
    choreo("replay", "emit", "cafe.orders", "--to", "elsewhere", *WHY, "--yes")
    with open_log("embedded:.choreo/log") as log:
        places = [TopicPartition("elsewhere", number) for number in range(4)]
        assert sum(log.ends(places).values()) == 1
    for arguments in (("cafe.orders", "--to", "choreo.bar.changelog"), ("choreo.bar.journal",)):
        assert "of Choreo's own" in choreo("replay", "emit", *arguments, *WHY, "--yes", code=2).stderr
    assert "there is no topic nowhere" in choreo("replay", "emit", "nowhere", *WHY, code=2).stderr


LATER = """

class Wanted(Event, namespace="cafe", topic="cafe.orders", key="table"):
    table: str
    drinks: tuple[str, ...]

    @classmethod
    def upcast(cls, old: Ordered) -> "Wanted":
        return cls(table=old.table, drinks=(old.drink,) * old.cups)


class Make(Handler[Wanted]):
    made = Store[str, tuple[str, ...]](default=())

    def handle(self, order: Wanted, ctx: Context) -> Served:
        return Served(table=order.table, drink=" and ".join(order.drinks))

"""


def test_a_letter_is_written_anew_in_the_class_that_has_replaced_its_own(hasty: Cafe, choreo: Choreo) -> None:
    """The bytes are those of the new class; ids, key and mark are as without --upcast. What can't be lifted stays."""
    hasty.order("latte", cups=2)
    with open_log("embedded:.choreo/log") as log:
        log.append([NewRecord("cafe.orders", b"t1", b"garbage")])
    choreo(*RUN)
    head, _, rest = CAFE.partition("def machine(")
    _, _, tail = rest.partition("class Hear(")
    (hasty.directory / "cafe.py").write_text(f"{head.rstrip()}\n{LATER}\nclass Hear({tail}", encoding="utf-8")
    del sys.modules["cafe"]
    (done,) = hasty.rows("dead-letters", "redrive", "--service", "bar", "--upcast", *WHY, "--yes")
    assert done["redriven"] == 1
    assert [why.partition(":")[0] for why in done["refused"]] == ["it can't be written anew"]
    (row,) = hasty.rows("replay", "emit", "cafe.orders", "--where", "name == 'cafe.Ordered'", "--dry-run")
    assert row["records"] == 1
    with open_log("embedded:.choreo/log") as log:
        last = [one for one in read_to_end(log, ["cafe.orders"]) if one.key == b"t1"][-1]
    assert Bodies(open_registry("dir:.choreo/log/schemas")).name(last) == "cafe.Wanted"
    choreo(*RUN)
    assert hasty.served() == ["latte and latte"]


def test_what_the_log_no_longer_has_is_put_back_from_its_archive(hasty: Cafe, choreo: Choreo) -> None:
    """Letters and records whose topics have been cut are found in an archive, and are put on the log itself."""
    drinks = [f"d{number}" for number in range(8)]
    hasty.broken(*drinks)
    hasty.order(*drinks)
    choreo("archives", "write", "--to", "kept")
    half_forgotten()
    short, archive = ("--log", f"embedded:{SHORT}"), ("--archive", "kept")
    assert len(hasty.letters(*short)) < len(drinks)
    assert len(hasty.letters(*short, *archive)) == len(drinks)
    (done,) = hasty.rows("dead-letters", "redrive", "--service", "bar", *short, *archive, *WHY, "--yes")
    assert done["redriven"] == len(drinks)
    assert {row["state"] for row in hasty.letters(*short, *archive)} == {"redriven"}
    (row,) = hasty.rows("replay", "emit", "cafe.orders", "--dry-run", *short, *archive)
    assert row["records"] == len(drinks)
