"""Outputs: records of what handlers returned, each made when somebody asks for it."""

from choreo.events.codec import Codec, Unsigned
from choreo.events.envelope import HEADER, Ids, caused_by, derive_id, foreign_ids, pack
from choreo.events.registry import MemoryRegistry
from choreo.record import Headers, NewRecord, Record
from choreo.runtime.intake import Input, Way
from choreo.runtime.outputs import Outputs, Returned
from choreo.runtime.parking import Waiting

FOREIGN = Record("orders", 2, 7, 1_700_000_000_000, b"o1", b"{}")
RELAYED = NewRecord("others", b"o1", b"{}")


CODEC = Codec(MemoryRegistry(), [], "cluster")


def origin(said: Ids | None) -> Ids | Record:
    """Of an input that says these ids, or none."""
    return Input(b"o1", said, (), Way((), True, None), Waiting(FOREIGN), CODEC).origin()


class Told:
    """Headers that count how often they were made."""

    def __init__(self) -> None:
        self.made = 0

    def headers(self, ids: Ids, key: bytes | None) -> Headers:
        self.made += 1
        return ((HEADER, pack(ids)),)


def test_no_ids_are_made_until_a_record_is_asked_for() -> None:
    """How many there are is known without; each is made once, however often it is come to, and in its place."""
    told = Told()
    unsigned = Unsigned("answers", b"o1", b"body", told.headers)
    outputs = Outputs([Returned(unsigned, origin(None), "shop", "Reserve", n, 5) for n in range(2)] + [RELAYED], CODEC)
    assert len(outputs) == 3
    assert told.made == 0
    first = list(outputs)
    assert told.made == 2
    assert list(outputs) == first
    assert told.made == 2
    assert first[2] == RELAYED


def test_the_ids_follow_from_the_input_the_handler_and_the_place() -> None:
    """Those that an input says, and of one that says none those of its place."""
    for said in (Ids(b"e" * 16, "story", at=3), None):
        ids = said or foreign_ids("cluster", FOREIGN)
        told = Told()
        returned = Returned(Unsigned("answers", b"o1", b"body", told.headers), origin(said), "shop", "Reserve", 4, 5)
        (record,) = Outputs([returned], CODEC)
        its = caused_by(ids, derive_id(ids.event_id, "shop", "Reserve", 4), 5)
        assert record == NewRecord("answers", b"o1", b"body", ((HEADER, pack(its)),))


def test_what_was_read_is_not_kept_for_its_ids() -> None:
    """A checkpoint of many large inputs holds neither their events nor their bytes."""
    assert origin(None) == FOREIGN._replace(key=None, value=None)
    said = Ids(b"e" * 16, "story")
    assert origin(said) is said
