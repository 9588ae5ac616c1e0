"""Ids: packed and back for every mixture, derived the same everywhere, copied from cause to effect in one place."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.errors import DecodeError, PublishError
from choreo.events.envelope import (
    WISHES,
    Again,
    Ids,
    caused_by,
    correlation_in,
    derive_id,
    foreign_ids,
    pack,
    unpack,
    uuid8,
)
from choreo.events.plain import headers_again, plain_headers, plain_ids
from choreo.events.saga_mark import SagaMark
from choreo.record import Record

ID, OTHER = bytes(range(16)), bytes(range(16, 32))
wide = st.binary(min_size=16, max_size=16)
text = st.text(st.characters(codec="utf-8"), max_size=40)
sagas = st.builds(SagaMark, name=text, version=st.integers(0, 2**32 - 1), step=st.none() | text)
agains = st.builds(Again, wide, text, st.sampled_from(WISHES))
ids = st.builds(
    Ids, wide, text, st.none() | wide, st.none() | wide, st.integers(0, 2**16 - 1), st.integers(-(2**63), 2**63 - 1),
    st.booleans(), st.none() | sagas, st.none() | text, st.none() | agains,
)  # fmt: skip


@given(given_ids=ids)
def test_ids_read_back_as_they_were_packed(given_ids: Ids) -> None:
    """Every mixture of ids survives the packed header."""
    assert unpack(pack(given_ids)) == given_ids
    assert correlation_in(pack(given_ids)) == given_ids.correlation_id.encode()


@given(given_ids=ids.filter(lambda one: one.correlation_id != ""))
def test_ids_read_back_from_plain_text(given_ids: Ids) -> None:
    """Every mixture of ids survives the text headers, for moments that a calendar has."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    known = given_ids._replace(at=1_767_225_600_000_000)
    assert moment.timestamp() * 1_000_000 == known.at
    assert plain_ids(plain_headers(known), foreign_ids("c", Record("t", 0, 0, 0, None, None))) == known


def test_the_layout_is_what_other_languages_were_told() -> None:
    """The bytes of the header, spelt out: this layout may not change without a new version."""
    assert pack(Ids(ID, "o1", at=5)) == b"\x01\x00" + ID + b"\0\0\0\0\0\0\0\x05" + b"o1"
    every = Ids(ID, "o1", OTHER, ID, 2, 5, True, SagaMark(name="s", version=3, step="pay"), "k")
    tail = OTHER + ID + b"\0\x02" + b"\0\x01s" + b"\0\0\0\x03" + b"\0\x03pay" + b"\0\x01k" + b"o1"
    assert pack(every) == b"\x01\x3f" + ID + b"\0\0\0\0\0\0\0\x05" + tail
    once_more = Ids(ID, "o1", again=Again(OTHER, "pay", "drop"))
    assert pack(once_more) == b"\x01\x40" + ID + bytes(8) + OTHER + b"\x01" + b"\0\x03pay" + b"o1"
    assert pack(Ids(ID, "o1", again=Again(OTHER))) == b"\x01\x40" + ID + bytes(8) + OTHER + b"\0" + b"\0\0" + b"o1"
    no_step = Ids(ID, "", saga=SagaMark(name="s", version=3, step=None))
    assert pack(no_step)[-9:] == b"\0\x01s" + b"\0\0\0\x03" + b"\xff\xff"


@given(data=st.binary(max_size=80))
def test_fuzzed_headers_raise_nothing_but_decode_errors(data: bytes) -> None:
    """Any bytes are ids or a DecodeError; bytes that are ids pack to themselves."""
    for candidate in (data, b"\x01" + data, b"\x01" + bytes([len(data) % 128]) + ID + data):
        try:
            read = unpack(candidate)
        except DecodeError:
            continue
        assert unpack(pack(read)) == read


@pytest.mark.parametrize("data", [b"\x02" + bytes(25), b"\x01\x80" + bytes(24)])
def test_a_later_version_is_told_as_such(data: bytes) -> None:
    """An unknown version or flag is refused, never half read."""
    with pytest.raises(DecodeError, match="later version"):
        unpack(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x01\x01" + bytes(24) + b"short",
        b"\x01\x00" + bytes(24) + b"\xff",
        b"\x01\x40" + bytes(40) + bytes([len(WISHES)]) + b"\0\0",
    ],
)
def test_a_broken_header_is_a_decode_error(data: bytes) -> None:
    """A header that ends too early or is no UTF-8 says that it can't be read."""
    with pytest.raises(DecodeError, match="can't be read"):
        unpack(data)


@pytest.mark.parametrize(
    "wrong",
    [{"event_id": b"short"}, {"causation_id": b"short"}, {"request_id": b""}, {"attempt": 2**16}, {"at": 2**63},
     {"again": Again(b"short")}, {"key_id": "k" * 2**16}, {"correlation_id": "\ud800"}],
)  # fmt: skip
def test_ids_that_do_not_fit_are_publish_errors(wrong: dict[str, Any]) -> None:
    """An id that the layout can't hold is refused, not cut."""
    with pytest.raises(PublishError, match="can't be written"):
        pack(Ids(ID, "o1")._replace(**wrong))


def test_derived_ids_are_the_same_everywhere_and_different_for_each() -> None:
    """Same cause, service, handler and index give the same UUID, on every machine; anything else another one."""
    one = derive_id(ID, "shop", "Take", 0)
    assert UUID(bytes=one) == UUID("dd933af2-96c8-8c08-92b9-64d0f744aa1f")
    others = [
        derive_id(OTHER, "shop", "Take", 0),
        derive_id(ID, "sho", "pTake", 0),
        derive_id(ID, "shop", "Take", 1),
        derive_id(ID, "shop", "Tak", 0),
    ]
    assert len({one, *others}) == 5
    assert uuid8(b"a", b"b\0") != uuid8(b"a\0", b"b")
    assert UUID(bytes=one).version == 8
    assert UUID(bytes=one).variant == "specified in RFC 4122"


@given(parts=st.lists(st.binary(max_size=20), max_size=4))
def test_every_derived_id_is_a_uuid(parts: list[bytes]) -> None:
    """Whatever it is made from, a derived id has the bits of a UUID of version 8."""
    assert UUID(bytes=uuid8(*parts)).version == 8


def test_an_effect_keeps_the_story_and_comes_after_its_cause() -> None:
    """Correlation is kept, causation is the parent, time goes on where the clock does not; marks are not copied."""
    parent = Ids(ID, "o1", OTHER, OTHER, 3, 100, True, SagaMark(name="s", version=1, step=None), "k")
    parent = parent._replace(again=Again(OTHER, "pay"))
    assert caused_by(parent, OTHER, 90) == Ids(OTHER, "o1", ID, at=101)
    assert caused_by(parent, OTHER, 500).at == 500


def test_foreign_ids_come_from_the_position() -> None:
    """A record without ids has those of its position in its cluster: the same at every reading."""
    record = Record("t", 1, 2, 3, None, None)
    made = foreign_ids("c", record)
    assert made == foreign_ids("c", record._replace(value=b"x"))
    assert made.correlation_id == str(UUID(bytes=made.event_id))
    assert made.at == 3_000
    others = [record._replace(topic="u"), record._replace(partition=2), record._replace(offset=3)]
    made_of_others = {foreign_ids("c", other).event_id for other in others} | {foreign_ids("d", record).event_id}
    assert len(made_of_others | {made.event_id}) == 5
    assert UUID(bytes=made.event_id).version == 5


def test_cloud_events_ids_are_taken_as_they_are() -> None:
    """`ce_id` that is no UUID becomes one, the same for the same source; a time without a zone is UTC."""
    given_ids = foreign_ids("c", Record("t", 0, 0, 0, None, None))
    headers = [("ce_id", b"A-1"), ("ce_source", b"/erp")]
    told = [("ce_time", b"2026-01-01T00:00:00"), ("ce_correlationid", b"o1")]
    read = plain_ids([*headers, *told], given_ids)
    assert (read.correlation_id, read.at) == ("o1", 1_767_225_600_000_000)
    assert UUID(bytes=read.event_id).version == 5
    assert read.event_id == plain_ids(headers, given_ids).event_id
    assert read.event_id != plain_ids([headers[0], ("ce_source", b"/crm")], given_ids).event_id
    assert plain_ids([("traceparent", b"\xff")], given_ids) == given_ids


carried = st.lists(
    st.sampled_from([("traceparent", b"\xff"), ("choreo-type", b"t"), ("choreo-key", b"k")]), unique=True
)


@given(before=ids.filter(lambda one: one.correlation_id != ""), mark=agains, others=carried, packed=st.booleans())
def test_a_record_put_on_the_log_again_keeps_all_that_it_carried(
    before: Ids, mark: Again, others: list[tuple[str, bytes]], packed: bool
) -> None:
    """Its ids lie where they lay, once, with the mark; other headers stay."""
    before = before._replace(at=1_767_225_600_000_000)
    own = [("choreo", pack(before))] if packed else list(plain_headers(before))
    written = headers_again([*others, *own], before._replace(again=mark))
    nobody = foreign_ids("c", Record("t", 0, 0, 0, None, None))
    read = unpack(dict(written)["choreo"]) if packed else plain_ids(written, nobody)
    assert read == before._replace(again=mark)
    assert [pair for pair in written if pair in others] == others
    assert len(dict(written)) == len(written)


def test_what_a_text_header_wishes_for_must_be_known() -> None:
    """A wish of a later version is no wish of this one."""
    with pytest.raises(DecodeError, match="none of handle, drop, replace"):
        plain_ids(
            [("choreo-again", f"{UUID(int=1)} burn pay".encode())], foreign_ids("c", Record("t", 0, 0, 0, None, None))
        )
