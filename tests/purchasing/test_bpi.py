"""Reading the event log of purchase orders: plain and zipped, in the order of a replay, bad files refused where bad."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from choreo.demo.bpi import Deed, read_deeds
from choreo.errors import ConfigError
from tests.demo.data import bpic_directory

LINES = (
    "case_id,seq,activity,timestamp\n"
    "b,1,Record Goods Receipt,2018-01-02T09:00:00+00:00\n"
    "a,0,SRM: Created,2018-01-03T08:00:00+00:00\n"
    "a,1,Create Purchase Order Item,1948-01-26T23:59:00+01:00\n"
    "b,0,Create Purchase Order Item,2018-01-02T09:00:00\n"
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with four lines of two cases."""
    (tmp_path / "events.csv").write_text(LINES)
    return tmp_path


def test_deeds_come_oldest_first_and_each_case_by_its_numbers(directory: Path) -> None:
    """Lines in any order; times in UTC as they stand, also one that is decades off; what follows is no earlier."""
    assert read_deeds(directory) == [
        Deed("b", 0, "Create Purchase Order Item", datetime(2018, 1, 2, 9, tzinfo=UTC)),
        Deed("b", 1, "Record Goods Receipt", datetime(2018, 1, 2, 9, tzinfo=UTC)),
        Deed("a", 0, "SRM: Created", datetime(2018, 1, 3, 8, tzinfo=UTC)),
        Deed("a", 1, "Create Purchase Order Item", datetime(1948, 1, 26, 22, 59, tzinfo=UTC)),
    ]


def test_the_zipped_file_reads_as_the_plain_one(directory: Path) -> None:
    """events.csv.gz is read as events.csv is."""
    deeds = read_deeds(directory)
    (directory / "events.csv.gz").write_bytes(gzip.compress((directory / "events.csv").read_bytes()))
    (directory / "events.csv").unlink()
    assert read_deeds(directory) == deeds


def test_the_category_is_read_where_the_file_has_it(directory: Path) -> None:
    """The published log says how an item is matched; its reduction does not."""
    path = directory / "events.csv"
    path.write_text(
        path.read_text().replace("timestamp\n", "timestamp,item_category\n").replace(":00\n", ":00,2-way match\n")
    )
    assert {deed.category for deed in read_deeds(directory)} == {"2-way match"}


@pytest.mark.parametrize(
    ("old", "new", "at", "said"),
    [
        ("activity,", "activty,", ":1", "events.csv has no column activity"),
        ("a,0,", ",0,", ":3", "case_id is empty"),
        ("a,0,", "a,first,", ":3", "seq = 'first' is not a number"),
        ("2018-01-03T08:00:00+00:00", "yesterday", ":3", "timestamp = 'yesterday' is no time"),
        ("2018-01-03T08:00:00+00:00\n", "\n", ":3", "timestamp = '' is no time"),
        (",SRM: Created,2018-01-03T08:00:00+00:00", "", ":3", "the line has only 2 columns"),
        ("a,1,", "a,2,", "", "case a does not count from 0: event 1 is missing"),
        ("a,1,", "a,0,", "", "case a does not count from 0: event 0 stands twice"),
    ],
)
def test_a_bad_line_is_refused_by_file_and_line(directory: Path, old: str, new: str, at: str, said: str) -> None:
    """What can't be read is named with its column, its value, its file and its line."""
    path = directory / "events.csv"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError) as refused:
        read_deeds(directory)
    assert said in refused.value.message
    assert str(refused.value.at) == f"{path}{at}"
    assert refused.value.hint


@pytest.mark.parametrize("content", [b"\xff\xfe\x00bin", b"\x1f\x8b\x08\x00cut"])
def test_a_file_that_is_no_event_log_is_refused(tmp_path: Path, content: bytes) -> None:
    """A binary or broken file is a ConfigError with its name, not a traceback."""
    (tmp_path / "events.csv.gz").write_bytes(content)
    with pytest.raises(ConfigError, match=r"can't read events\.csv\.gz"):
        read_deeds(tmp_path)


def test_a_file_without_events_is_refused(directory: Path) -> None:
    """A file with a header alone holds nothing to run."""
    path = directory / "events.csv"
    path.write_text(LINES.partition("\n")[0] + "\n")
    with pytest.raises(ConfigError, match="holds no events"):
        read_deeds(directory)


def test_a_missing_file_is_named_both_ways(tmp_path: Path) -> None:
    """Whoever lacks the file is told both names that would do, and of a directory that is not there."""
    with pytest.raises(ConfigError) as refused:
        read_deeds(tmp_path)
    assert refused.value.why == "neither events.csv.gz nor events.csv is there"
    with pytest.raises(ConfigError) as refused:
        read_deeds(tmp_path / "gone")
    assert refused.value.why == "the directory does not exist"


@pytest.mark.slow
def test_every_real_line_becomes_a_deed() -> None:
    """All 338,247 lines of 11,973 items are read, in an order that keeps each item's own."""
    deeds = read_deeds(bpic_directory())
    assert len(deeds) == 338_247
    last: dict[str, int] = {}
    for deed in deeds:
        assert deed.seq == last.get(deed.case_id, -1) + 1
        last[deed.case_id] = deed.seq
    assert len(last) == 11_973
