"""Store keys: their bytes sort as the keys do, come back as they were, and refuse what is no key."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, NewType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.errors import DeclarationError, StateError
from choreo.state.keys import is_local, key_codec, split_key, store_prefix

Sku = NewType("Sku", str)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Grade(IntEnum):
    LOW = -1
    HIGH = 7


class Mixed(Enum):
    A = 1
    B = "b"


INTS = st.integers(-(2**63), 2**63 - 1)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=ZONES)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
SORTED: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, st.text()),
    (bytes, st.binary()),
    (int, INTS),
    (bool, st.booleans()),
    (date, st.dates()),
    (datetime, MOMENTS),
    (UUID, st.uuids()),
    (Decimal, DECIMALS),
    (tuple[str, str], st.tuples(st.text("a\x00\xff", max_size=3), st.text("a\x00\xff", max_size=3))),
    (tuple[bytes, int], st.tuples(st.binary(max_size=2), INTS)),
    (tuple[Decimal, str], st.tuples(DECIMALS, st.text(max_size=2))),
]


@pytest.mark.parametrize(("annotation", "values"), SORTED, ids=[str(annotation) for annotation, _ in SORTED])
def test_bytes_sort_as_keys_do_and_come_back(annotation: Any, values: st.SearchStrategy[Any]) -> None:
    """For any two keys of one store: their bytes are in the same order as they are, and decode to the same keys."""
    codec = key_codec("s", annotation)

    @given(values, values)
    def check(one: Any, other: Any) -> None:
        first, second = codec.encode(one), codec.encode(other)
        assert codec.decode(first) == one
        assert (first < second) == (one < other)
        assert (first == second) == (one == other)

    check()


def test_surrogates_are_no_text() -> None:
    """A str that UTF-8 can't hold is a ValueError that names the store."""
    with pytest.raises(ValueError, match="store 's'"):
        key_codec("s", str).encode("\ud800")


def test_enums_lie_as_their_values() -> None:
    """An Enum sorts by its value and comes back as the member; its text is the value."""
    colours, grades = key_codec("c", Colour), key_codec("g", tuple[Grade, str])
    assert colours.encode(Colour.BLUE) < colours.encode(Colour.RED)
    assert colours.decode(colours.encode(Colour.RED)) is Colour.RED
    assert colours.first_part_text(Colour.RED) == b"red"
    assert grades.decode(grades.encode((Grade.LOW, "x"))) == (Grade.LOW, "x")
    assert grades.first_part_text((Grade.HIGH, "x")) == b"7"


@pytest.mark.parametrize(
    ("annotation", "key", "text"),
    [
        (str, "tea é", "tea é".encode()),
        (tuple[str, str], ("vienna", "tea"), b"vienna"),
        (int, -12, b"-12"),
        (bool, True, b"true"),
        (bytes, b"\xff\x00", b"\xff\x00"),
        (date, date(2017, 5, 3), b"2017-05-03"),
        (datetime, datetime(2017, 5, 3, 1, tzinfo=UTC), b"2017-05-03T01:00:00+00:00"),
        (UUID, UUID(int=7), b"00000000-0000-0000-0000-000000000007"),
        (Decimal, Decimal("12.5"), b"12.5"),
        (Colour, Colour.RED, b"red"),
    ],
)
def test_first_part_reads_as_the_record_key(annotation: Any, key: Any, text: bytes) -> None:
    """The first part is the text that the log's record key has, and leads back to all keys that begin with it."""
    codec = key_codec("s", annotation)
    assert codec.first_part_text(key) == text
    assert codec.prefix_of_text(text) == codec.prefix(key[0] if isinstance(key, tuple) else key)
    assert codec.encode(key).startswith(codec.prefix_of_text(text))


@pytest.mark.parametrize("annotation", [int, bool, date, datetime, UUID, Decimal, Colour])
def test_a_text_of_no_key_leads_to_no_key(annotation: Any) -> None:
    """A record key that can't begin any key of the store gives a prefix that no key has."""
    codec = key_codec("s", annotation)
    nowhere = codec.prefix_of_text(b"tea")
    assert nowhere.startswith(codec.start)
    assert nowhere[len(codec.start)] == 0


@pytest.mark.parametrize(
    ("annotation", "key"),
    [
        (str, 1),
        (str, None),
        (int, "1"),
        (int, True),
        (bool, 1),
        (bytes, "a"),
        (date, datetime(2020, 1, 1, tzinfo=UTC)),
        (datetime, date(2020, 1, 1)),
        (datetime, datetime(2020, 1, 1)),  # a naive one on purpose
        (UUID, "x"),
        (Decimal, 1.5),
        (Colour, "red"),
        (tuple[str, str], "ab"),
        (tuple[str, str], ("a",)),
        (tuple[str, str], ("a", 1)),
    ],
)
def test_a_key_of_another_type_is_a_type_error(annotation: Any, key: Any) -> None:
    """A key of the wrong type is a TypeError that names the store."""
    with pytest.raises(TypeError, match="no key of store 'stock'"):
        key_codec("stock", annotation).encode(key)


@pytest.mark.parametrize(("annotation", "key"), [(int, 2**63), (Decimal, Decimal("nan")), (Decimal, Decimal("inf"))])
def test_a_key_without_a_place_in_the_order_is_a_value_error(annotation: Any, key: Any) -> None:
    """An int beyond 64 bits and a Decimal that is no number are ValueErrors that name the store."""
    with pytest.raises(ValueError, match="no key of store 'stock'"):
        key_codec("stock", annotation).encode(key)


@pytest.mark.parametrize(
    "annotation", [float, list[str], tuple[str, ...], tuple[()], dict, Mixed, str | None, tuple[str, float]]
)
def test_a_type_without_an_order_is_refused(annotation: Any) -> None:
    """A store whose keys have no known order as bytes is refused when it is declared."""
    with pytest.raises(DeclarationError, match="'stock' can't be keyed by"):
        key_codec("stock", annotation)


@pytest.mark.parametrize("name", ["", "a\x00b"])
def test_a_store_name_can_be_told_from_its_keys(name: str) -> None:
    """A name that would run into the key is refused."""
    with pytest.raises(DeclarationError):
        key_codec(name, str)


def test_annotated_and_new_types_are_what_they_stand_for() -> None:
    """Annotated and NewType are keys as the type beneath is."""
    assert key_codec("s", Sku).encode(Sku("tea")) == key_codec("s", str).encode("tea")
    assert key_codec("s", tuple[Annotated[Sku, "x"], int]).encode(("tea", 1)) == key_codec("s", tuple[str, int]).encode(
        ("tea", 1)
    )


def test_prefix_takes_leading_parts() -> None:
    """A prefix covers exactly the keys that begin with the parts: `tea` is not `teapot`."""
    codec = key_codec("s", tuple[str, str])
    tea = codec.prefix("tea")
    assert tea == codec.prefix(("tea",))
    assert codec.encode(("tea", "x")).startswith(tea)
    assert not codec.encode(("teapot", "x")).startswith(tea)
    assert codec.prefix(()) == codec.start
    for wrong in (("a", "b", "c"), 1, ("a", 2)):
        with pytest.raises(TypeError, match="store 's'"):
            codec.prefix(wrong)


def test_no_store_reads_the_keys_of_another() -> None:
    """A store's prefix is none of a store whose name begins alike, and decoding a foreign key is a StateError."""
    assert not store_prefix("stocks").startswith(store_prefix("stock"))
    with pytest.raises(StateError, match="not a key of store 'stock'"):
        key_codec("stock", str).decode(key_codec("stocks", str).encode("a"))


def test_a_changed_key_type_says_what_to_do() -> None:
    """Keys that were written as another type are a StateError that says to rename the store."""
    with pytest.raises(StateError, match="give the store another name"):
        key_codec("s", int).decode(key_codec("s", str).encode("a"))
    with pytest.raises(StateError, match="after the last part"):
        key_codec("s", str).decode(key_codec("s", tuple[str, str]).encode(("a", "b")))


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"s"])
def test_a_damaged_key_is_a_state_error(damage: Callable[[bytes], bytes]) -> None:
    """Bytes missing at the end, or too many, are noticed."""
    for annotation, key in ((str, "abc"), (Decimal, Decimal("-1.5")), (UUID, UUID(int=1))):
        codec = key_codec("s", annotation)
        with pytest.raises(StateError):
            codec.decode(damage(codec.encode(key)))


def test_split_key_needs_no_codec() -> None:
    """Store and parts of any key can be shown without knowing its declaration; other bytes are a ValueError."""
    key = (1, "a\x00b", Decimal("-2.50"), UUID(int=3))
    assert split_key(key_codec("s", tuple[int, str, Decimal, UUID]).encode(key)) == ("s", key)
    for data in (b"", b"\x00meta", b"\x01noend", b"\x01s\x00!"):
        with pytest.raises(ValueError, match="no store key"):
            split_key(data)


def test_local_entries_are_told_by_their_first_byte() -> None:
    """Only keys that begin with byte 0 are local."""
    assert is_local(b"\x00meta")
    assert not is_local(store_prefix("~timer"))
    assert not is_local(b"")
