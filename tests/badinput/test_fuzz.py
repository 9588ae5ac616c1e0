"""Random records, and good ones with bytes changed, before a running service: it never stops, and it loses nothing."""

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from hypothesis import example, given, settings
from hypothesis import strategies as st

from choreo import Context, Handler, Service, Store
from choreo.errors import ChoreoError
from choreo.events.codec import Codec
from choreo.events.envelope import HEADER
from choreo.events.event import key_of
from choreo.record import NewRecord, Record
from choreo.service.client import fresh_ids
from tests.badinput.post import DEAD, IN, OUT, Letter, Parcel, Sorted, framed, letters, records_of
from tests.runtime.town import NOON, Town

Contents = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
"""Key, value and headers of a record."""


class Watch(Handler[Parcel]):
    """Notes where each parcel stood that was handed to it."""

    numbers: ClassVar[list[str]] = []

    def handle(self, parcel: Parcel, ctx: Context) -> None:
        self.numbers.append(parcel.number)


class Tally(Handler[Parcel]):
    """Counts how often a parcel came by, whatever it weighs: a changed byte may be its weight."""

    seen = Store[str, int](default=0)

    def handle(self, parcel: Parcel, ctx: Context) -> Sorted:
        self.seen[parcel.number] += 1
        return Sorted(number=parcel.number, times=self.seen[parcel.number])


@dataclass(frozen=True)
class Change:
    """What becomes of a good record: bytes cut out and put in at a place of its key, value or packed ids."""

    part: int
    place: int
    cut: int
    put: bytes

    def of(self, data: bytes) -> bytes:
        at = self.place % (len(data) + 1)
        return data[:at] + self.put + data[at + self.cut :]


CHANGES = st.builds(Change, st.integers(0, 2), st.integers(0, 80), st.integers(0, 3), st.binary(max_size=3))
NUMBERS = st.sampled_from(["a", "b", "ab", "\u00fc", "x" * 300])
WILD = st.tuples(
    st.none() | st.binary(max_size=6),
    st.none() | st.binary(max_size=40) | st.binary(max_size=12).map(lambda body: b"\0" + body),
    st.lists(st.tuples(st.sampled_from([HEADER, "ce_id", "ce_time", "choreo-at", "choreo-event-id", "x"]),
                       st.binary(max_size=50)), max_size=2).map(tuple),
)  # fmt: skip
BODIES = st.tuples(st.sampled_from([Parcel, Sorted, Letter]), st.binary(max_size=12), st.none() | st.binary(max_size=3))


def changed(town: Town, number: str, changes: list[Change]) -> Contents:
    codec = Codec(town.registry, (), town.log.cluster_id())
    record = codec.encode(Parcel(number=number, weight=1), fresh_ids(NOON, "story"))
    parts = [record.key or b"", record.value or b"", record.headers[0][1]]
    for change in changes:
        parts[change.part] = change.of(parts[change.part])
    return parts[0], parts[1], ((HEADER, parts[2]),)


def good(codec: Codec, record: Record) -> str | None:
    """The number of its parcel; None where it is no parcel of this service. Raises ChoreoError where it is no event."""
    if codec.event_class(record) is not Parcel:
        return None
    codec.ids(record)
    event = codec.event(record)
    assert isinstance(event, Parcel)
    if key_of(event) != record.key:
        raise ChoreoError("another's key")
    return event.number


@settings(max_examples=150)
@example(wild=[], bodies=[], parcels=[("ab", [Change(1, 68, 0, b"\x81")]), ("ab", [])], seed=Random(1), crash=False)
@given(
    wild=st.lists(WILD, max_size=6),
    bodies=st.lists(BODIES, max_size=6),
    parcels=st.lists(st.tuples(NUMBERS, st.lists(CHANGES, max_size=2)), max_size=10),
    seed=st.randoms(use_true_random=False),
    crash=st.booleans(),
)
def test_whatever_comes_good_ones_are_handled_once_and_bad_ones_kept(
    wild: list[Contents],
    bodies: list[tuple[type[Parcel], bytes, bytes | None]],
    parcels: list[tuple[str, list[Change]]],
    seed: Random,
    crash: bool,
) -> None:
    """Records that are events are handled exactly once, in order; those that are none lie whole in the dead letters.

    Crashes in between change nothing. Records of types that the service does not know are passed over.
    """
    Watch.numbers.clear()
    town = Town(Service("post", handlers=[Tally, Watch]))
    contents = [*wild, *[(key, framed(town.registry, body, kind), ()) for kind, body, key in bodies]]
    contents += [changed(town, number, changes) for number, changes in parcels]
    seed.shuffle(contents)
    for number, (key, value, headers) in enumerate(contents):
        town.log.append([NewRecord(IN, key, value, headers, 0)])
        town.time.settle()
        if crash and number % 3 == 2:
            town.crash()
    town.tell(Parcel(number="last"))
    codec = Codec(town.registry, (Parcel, Sorted), town.log.cluster_id())
    handled: list[str] = []
    refused: list[tuple[int, Contents]] = []
    for record in records_of(town.log, IN):
        try:
            number_of = good(codec, record)
        except ChoreoError:
            refused.append((record.offset, (record.key, record.value, tuple(record.headers))))
            continue
        handled += [number_of] if number_of is not None else []
    kept = [(letter.origin.offset, (r.key, r.value, tuple(r.headers)[:-1])) for letter, r in letters(town.log)]
    assert kept == refused
    assert Watch.numbers == handled
    assert handled[-1] == "last"
    out = Counter(event.number for event in town.events(OUT, (Sorted,)))  # type: ignore[attr-defined]  # only such
    assert out == Counter(handled)
    assert len(records_of(town.log, DEAD)) == len(refused)
