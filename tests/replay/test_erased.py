"""Erased fields: the codec may answer that a personal field is gone; a replay that meets one says so and is clean."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import pytest

from choreo import Context, Event, Handler, Personal, Service, Store
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.fields import ERASED
from choreo.events.registry import MemoryRegistry
from choreo.record import Record
from choreo.replay import rebuild
from choreo.replay.verify import Verdict, verify
from choreo.service.client import fresh_ids
from choreo.state.keys import key_codec
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


class Welcome(Handler[Joined]):
    members = Store[str, Joined]()
    emails = Store[str, str]()

    def handle(self, event: Joined, ctx: Context) -> Welcomed:
        self.emails[event.member] = event.email
        if event.born is not ERASED:
            self.members[event.member] = event
        return Welcomed(member=event.member)


def erasing(*names: str) -> Callable[[Record, type[Event], dict[str, Any]], Mapping[str, Any]]:
    """As if the keys of a member called bob were gone."""

    def unseal(record: Record, cls: type[Event], body: dict[str, Any]) -> Mapping[str, Any]:
        return dict.fromkeys(names, ERASED) if body.get("member") == "bob" and cls is not Welcomed else {}

    return unseal


@pytest.fixture
def town() -> Town:
    town = Town(Service("club", handlers=[Welcome]))
    for member in ("ada", "bob"):
        town.tell(Joined(member=member, email=f"{member}@example.org", born=date(1990, 1, 2)))
    return town


def verdict_of(town: Town, monkeypatch: pytest.MonkeyPatch, *names: str) -> Verdict:
    class Erasing(Codec):
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            self.unseal = erasing(*names)

    monkeypatch.setattr(rebuild, "Codec", Erasing)
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


def read(codec: Codec, event: Event) -> Event:
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


def test_an_erased_event_is_lifted_like_any_other() -> None:
    """The class that has replaced another gets the erased field too."""
    codec = Codec(MemoryRegistry(), [JoinedLater], "c")
    codec.unseal = erasing("email")
    event = read(codec, Joined(member="bob", email="bob@example.org", born=date(1990, 1, 2)))
    assert isinstance(event, JoinedLater)
    assert event.email == ERASED
