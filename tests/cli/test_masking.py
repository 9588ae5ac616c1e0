"""Masks of a story: one value has one mask of its type, wherever it stands; what is not personal stays."""

from choreo import Event, Personal, Value
from choreo.cli.masking import Masks


class Guest(Value):
    name: Personal[str]
    age: Personal[int]
    room: int


class Arrived(Event, namespace="inn", topic="inn", key="email"):
    email: Personal[str]
    guests: tuple[Guest, ...]
    note: str


class Left(Event, namespace="inn", topic="inn", key="who"):
    who: str


ARRIVED = Arrived(
    email="ada@lovelace.org",
    guests=(Guest(name="Ada", age=36, room=36), Guest(name="Ada", age=41, room=2)),
    note="Ada",
)


def test_one_value_has_one_mask_everywhere() -> None:
    """A masked text is the same in every field and event, keys and unmarked fields too; numbers keep their type, and
    are replaced only where they are personal.
    """
    masks = Masks([ARRIVED, Left(who="ada@lovelace.org")])
    masked, left = masks.masked(ARRIVED), masks.masked(Left(who="ada@lovelace.org"))
    assert masked.email == left.who != "ada@lovelace.org"
    assert masked.email.endswith("@example.org")
    first, second = masked.guests
    assert first.name == second.name == masked.note != "Ada"
    assert (first.room, second.room) == (36, 2)
    assert first.age not in (36, 41)
    assert first.age != second.age
    assert masks.masked(Left(who="somebody")) == Left(who="somebody")


def test_what_would_reveal_a_person_is_seen() -> None:
    """A value that was masked, in any depth, or another personal one reveals; masks and the rest do not."""
    masks = Masks([ARRIVED])
    assert masks.reveals({"key": [Left(who="Ada")]})
    assert masks.reveals(Guest(name="Grace", age=1, room=1))
    assert not masks.reveals({"key": [Left(who="somebody")], "36": 36})
