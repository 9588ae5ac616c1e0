"""Erased fields: the codec may answer that a personal field is gone; a replay that meets one says so and is clean."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import model_validator

from choreo import Context, Event, Handler, Personal, Service, Store, Value
from choreo.errors import StateError
from choreo.events.cloudevents import CloudEvents
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.fields import ERASED
from choreo.events.registry import MemoryRegistry
from choreo.events.wire import Json
from choreo.log.memory import MemoryLog, MemoryPartition
from choreo.record import Record
from choreo.replay import rebuild
from choreo.replay.contrast import served
from choreo.replay.deviations import Report
from choreo.replay.findings import Verdict
from choreo.replay.sandbox import Sandbox
from choreo.replay.scratch import lasting
from choreo.replay.shadow import Shadow
from choreo.replay.verify import Verification, verify
from choreo.service.client import fresh_ids
from choreo.state.backend import Backend
from choreo.state.keys import key_codec
from choreo.state.values import value_codec
from choreo.telemetry.privacy import masked
from tests.runtime.town import NOON, Town


class Joined(Event, namespace="club", topic="club.members", key="member"):
    member: str
    email: Personal[str]
    born: Personal[date]
    fee: int = 0


class JoinedLater(Event, namespace="club", topic="club.members", key="member"):
    member: str
    email: Personal[str]

    @classmethod
    def upcast(cls, old: Joined) -> "JoinedLater":
        return cls(member=old.member, email=old.email)


class Welcomed(Event, namespace="club", topic="club.members", key="member"):
    member: str


class Card(Value):
    to: Personal[str]
    text: str


class Invited(Event, namespace="club", topic="club.invitations", key="member"):
    member: str
    card: Card
    fee: int


class Welcome(Handler[Joined]):
    members = Store[str, Joined]()
    emails = Store[str, str]()

    def handle(self, event: Joined, ctx: Context) -> Welcomed:
        self.emails[event.member] = event.email
        if event.born is not ERASED:
            self.members[event.member] = event
        return Welcomed(member=event.member)


class Invite(Handler[Joined]):
    """Tells others what is personal, within a value."""

    surcharge = 0
    text = "come in"

    def handle(self, event: Joined, ctx: Context) -> Invited:
        card = Card(to=event.email, text=self.text)
        return Invited(member=event.member, card=card, fee=event.fee + self.surcharge)


def erasing(*names: str) -> Callable[[Record, type[Event], Mapping[str, Any]], Mapping[str, Any]]:
    """As if the keys of a member called bob were gone."""

    def unseal(record: Record, cls: type[Event], body: Mapping[str, Any]) -> Mapping[str, Any]:
        return dict.fromkeys(names, ERASED) if body.get("member") == "bob" and cls is not Welcomed else {}

    return unseal


@pytest.fixture
def town() -> Town:
    town = Town(Service("club", handlers=[Welcome]))
    for member in ("ada", "bob"):
        town.tell(Joined(member=member, email=f"{member}@example.org", born=date(1990, 1, 2)))
    return town


def codec_erasing(*names: str) -> Callable[..., Codec]:
    """Makes codecs for which these fields of bob are gone."""

    def made(*arguments: Any, **keywords: Any) -> Codec:
        codec = Codec(*arguments, **keywords)
        codec.unseal = erasing(*names)
        return codec

    return made


def verdict_of(town: Town, monkeypatch: pytest.MonkeyPatch, *names: str) -> Verdict:
    monkeypatch.setattr(rebuild, "Codec", codec_erasing(*names))
    return verify(town.services[0], town.log, town.registry, lambda n: town.workers[0].tasks[n].task.entries.backend)


def test_what_differs_only_in_erased_fields_is_clean(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that hold what was erased since are counted as erased, not as different."""
    verdict = verdict_of(town, monkeypatch, "email")
    assert verdict.clean
    assert verdict.erased == 2


def test_another_difference_is_one_all_the_same(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that differs elsewhere too is a difference, whatever was erased beside it."""
    backend = town.workers[0].tasks[0].task.entries.backend
    key = key_codec("members", str).encode("bob")
    found = backend.get(key) or b""
    backend.write({key: found.replace(b'"fee":0', b'"fee":7')})
    verdict = verdict_of(town, monkeypatch, "email")
    assert verdict.erased == 1
    assert [one.key for one in verdict.differences] == [("bob",)]


def test_where_nothing_was_erased_nothing_is_excused(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that happens to be the word is a difference like any other."""
    backend = town.workers[0].tasks[0].task.entries.backend
    backend.write({key_codec("emails", str).encode("bob"): b'\x01"other"'})
    assert not verdict_of(town, monkeypatch).clean


def invited() -> Town:
    """A club that invites, with a member whose address will be erased."""
    town = Town(Service("club", handlers=[Invite]))
    for member in ("ada", "bob"):
        town.tell(Joined(member=member, email=f"{member}@example.org", born=date(1990, 1, 2)))
    return town


def test_events_that_differ_only_in_erased_fields_are_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a handler emitted of an erased field is counted as erased, as entries are, and is no fault."""
    verdict = verdict_of(invited(), monkeypatch, "email")
    assert verdict.clean, verdict
    assert (verdict.erased, verdict.unlike) == (1, 0)


def test_an_event_that_differs_elsewhere_too_is_unlike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another value beside what was erased is a fault all the same; and so is the word where nothing was erased."""
    town = invited()
    monkeypatch.setattr(Invite, "surcharge", 1)
    verdict = verdict_of(town, monkeypatch, "email")
    assert (verdict.erased, verdict.unlike) == (0, 2)
    assert verdict.findings
    monkeypatch.setattr(Invite, "surcharge", 0)
    monkeypatch.setattr(Invite, "text", "erased")
    verdict = verdict_of(town, monkeypatch)
    assert (verdict.erased, verdict.unlike) == (0, 2)


def test_an_event_under_another_key_is_unlike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the event says may be erased: its key and its ids are those of the log."""
    town = invited()
    (_, record) = town.records("club.invitations")
    assert isinstance(town.log, MemoryLog)
    partition = town.log.partition(record.topic_partition)
    assert isinstance(partition, MemoryPartition)
    partition.records[-1] = record._replace(key=b"eve")
    verdict = verdict_of(town, monkeypatch, "email")
    assert (verdict.erased, verdict.unlike) == (0, 1)


def test_a_shadow_run_passes_over_what_was_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs in erased fields alone is no difference; what else the new code changes is told."""
    town = Town(Service("club", handlers=[Welcome, Invite]))
    for member in ("ada", "bob"):
        town.tell(Joined(member=member, email=f"{member}@example.org", born=date(1990, 1, 2)))

    def shadow() -> Report:
        service = Service("club", handlers=[Welcome, Invite])
        return Shadow(Sandbox(service, town.log, town.registry), served(town.services[0])).run()

    monkeypatch.setattr(rebuild, "Codec", codec_erasing("email"))
    assert shadow().clean
    monkeypatch.setattr(Invite, "surcharge", 1)
    assert dict(shadow().fields) == {("club.Invited", "fee"): 2}
    monkeypatch.setattr(rebuild, "Codec", Codec)
    monkeypatch.setattr(Invite, "surcharge", 0)
    monkeypatch.setattr(Invite, "text", "erased")
    assert not shadow().clean


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


def test_what_was_erased_is_counted_over_an_interruption(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verification that goes on says as many as one that ran through."""
    monkeypatch.setattr(rebuild, "Codec", codec_erasing("email"))
    sandbox = Sandbox(town.services[0], town.log, town.registry, lasting=lambda: lasting(tmp_path / "begun"))
    live: Callable[[int], Backend] = lambda n: town.workers[0].tasks[n].task.entries.backend  # noqa: E731

    def interrupt(done: int, total: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        Verification(sandbox, live).run(emissions_told=interrupt)
    redone: list[int] = []
    verdict = Verification(sandbox, live).run(lambda partition, done, total: redone.append(partition))
    assert (redone, verdict.clean, verdict.erased) == ([], True, 2)


def read(codec: Codec, event: Event) -> Any:
    ids: Ids = fresh_ids(NOON, "s")
    made = codec.encode(event, ids)
    return codec.event(Record(made.topic, 0, 0, 0, made.key, made.value, made.headers))


def test_an_erased_field_of_any_type_reads_as_erased() -> None:
    """The event has ERASED in the place of what is gone, and all else as it was; outputs say `erased`."""
    codec = Codec(MemoryRegistry(), [Joined], "c")
    codec.unseal = erasing("email", "born")
    event = read(codec, Joined(member="bob", email="bob@example.org", born=date(1990, 1, 2), fee=5))
    assert isinstance(event, Joined)
    assert event.email is ERASED
    assert event.born is ERASED  # type: ignore[comparison-overlap]  # what no type can say
    assert (event.member, event.fee) == ("bob", 5)
    assert codec.erased == 2
    assert masked(event) == {"member": "bob", "email": "erased", "born": "erased", "fee": 5}
    untouched = Joined(member="ada", email="ada@example.org", born=date(1990, 1, 2))
    assert read(codec, untouched) == untouched


class Address(Value):
    street: Personal[str]
    city: str
    since: Personal[date] = date(2000, 1, 1)


class Person(Value):
    name: Personal[str]
    home: Address
    children: tuple["Person", ...] = ()

    @model_validator(mode="after")
    def has_a_name(self) -> "Person":
        if self.name != self.name.title():
            raise ValueError("no name")
        return self


class Moved(Event, namespace="club", topic="club.moves", key="member"):
    member: str
    person: Person
    past: list[Address] = []
    by_year: dict[str, Address] = {}


class MovedInJson(Event, namespace="club", topic="club.moves.json", key="member", wire=Json()):
    member: str
    person: Person
    past: list[Address] = []
    by_year: dict[str, Address] = {}


class MovedInCloud(
    Event,
    namespace="club",
    topic="club.moves.cloud",
    key="member",
    cloudevents=CloudEvents(type="club.moved", source="/club", mode="structured"),
):
    member: str
    person: Person
    past: list[Address] = []
    by_year: dict[str, Address] = {}


HERE, THERE = Address(street="Ring 1", city="Wien"), Address(street="Gasse 2", city="Graz")
MOVES: list[type[Event]] = [Moved, MovedInJson, MovedInCloud]


def erase_streets(record: Record, cls: type[Event], body: Mapping[str, Any]) -> Mapping[str, Any]:
    """All that is personal in where somebody lived, and the name of the child."""
    person = {**body["person"], "home": _gone(body["person"]["home"])}
    person["children"] = [{**child, "name": ERASED} for child in person["children"]]
    by_year = {year: _gone(address) for year, address in body["by_year"].items()}
    return {"person": person, "past": [ERASED, *map(_gone, body["past"][1:])], "by_year": by_year}


def _gone(address: Mapping[str, Any]) -> dict[str, Any]:
    return {**address, "street": ERASED, "since": ERASED}


@pytest.mark.parametrize("cls", MOVES)
def test_what_is_erased_within_values_passes_on_every_wire(cls: type[Event]) -> None:
    """Fields of records in records, in lists, in maps and in values of their own kind read as erased, in Avro, JSON and
    CloudEvents; all else is there with its type, validators of the whole are not asked, and outputs say `erased`.
    """
    codec = Codec(MemoryRegistry(), MOVES, "c")
    codec.unseal = erase_streets
    child = Person(name="Bo", home=THERE)
    told: dict[str, Any] = {
        "person": Person(name="Ada", home=HERE, children=(child,)),
        "past": [THERE, HERE],
        "by_year": {"1": HERE},
    }
    event = read(codec, cls(member="ada", **told))
    assert type(event) is cls
    assert codec.erased == 2 + 1 + 3 + 2
    assert type(event.person.home) is Address
    assert event.person.home.street is ERASED
    assert event.person.home.since is ERASED
    assert (event.person.name, event.person.home.city) == ("Ada", "Wien")
    assert event.person.children[0].name is ERASED
    assert event.person.children[0].home == THERE
    assert event.past[0] is ERASED
    assert (event.past[1].street, event.past[1].city) == (ERASED, "Wien")
    assert event.by_year["1"].street is ERASED
    shown: Any = masked(event)
    assert shown["person"]["home"] == {"street": "erased", "city": "Wien", "since": "erased"}
    assert shown["person"]["name"] == "***"
    codec.unseal = None
    assert read(codec, cls(member="ada", **told)) == cls(member="ada", **told)


class Moves(Handler[Moved]):
    """Keeps whole events, reads them back, and counts."""

    moves = Store[str, tuple[Moved, ...]](default=())
    count = Store[str, int](default=0)

    def handle(self, event: Moved, ctx: Context) -> None:
        self.moves[event.member] = (*self.moves[event.member], event)
        self.count[event.member] = len(self.moves[event.member])


def test_what_is_erased_within_a_store_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event with erased fields of any type can be kept, read and kept again: its entry differs only in what was
    erased, and all others are the same.
    """

    def made(*arguments: Any, **keywords: Any) -> Codec:
        codec = Codec(*arguments, **keywords)
        codec.unseal = erase_streets
        return codec

    service = Service("registry", handlers=[Moves])
    town = Town(service)
    told: dict[str, Any] = {"person": Person(name="Ada", home=HERE), "past": [THERE, HERE], "by_year": {"1": HERE}}
    town.tell(Moved(member="ada", **told), Moved(member="ada", **told))
    backend = town.workers[0].tasks[0].task.entries.backend
    monkeypatch.setattr(rebuild, "Codec", made)
    verdict = verify(service, town.log, town.registry, lambda n: backend)
    assert verdict.clean, verdict
    assert verdict.erased == 1
    (key, value) = next(entry for entry in backend.scan() if b"moves" in entry[0])
    backend.write({key: value.replace(b"Wien", b"Linz", 1)})
    verdict = verify(service, town.log, town.registry, lambda n: backend)
    assert (verdict.erased, verdict.different) == (0, 1)


def test_what_is_no_value_is_still_refused() -> None:
    """Beside something erased, or in the place of it, another text than the word is no date."""
    codec = value_codec(Address)
    kept = b'\x01{"street": "erased", "city": "Wien", "since": "%s"}'
    assert codec.load(kept % b"erased").since is ERASED
    with pytest.raises(StateError, match="can't be read as Address"):
        codec.load(kept % b"today")


def test_an_erased_event_is_lifted_like_any_other() -> None:
    """The class that has replaced another gets the erased field too."""
    codec = Codec(MemoryRegistry(), [JoinedLater], "c")
    codec.unseal = erasing("email")
    event = read(codec, Joined(member="bob", email="bob@example.org", born=date(1990, 1, 2)))
    assert isinstance(event, JoinedLater)
    assert event.email == ERASED
