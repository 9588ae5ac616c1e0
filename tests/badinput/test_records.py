"""Bad records in front of a service that runs for real: the embedded log, stores on disk, a thread, the wall clock."""

from collections import Counter
from pathlib import Path

import pytest

from choreo.errors import RecordTooLargeError
from choreo.events.registry import DirectoryRegistry
from choreo.log.embedded import EmbeddedLog
from choreo.log.interface import Log
from choreo.record import NewRecord
from choreo.runtime.plan import plan_of
from choreo.runtime.topics import create_topics
from choreo.state.rocks import RocksBackends
from tests.badinput.post import (
    IN,
    Letter,
    Sorted,
    framed,
    letters,
    parcels,
    post,
    records_of,
    running,
    sorted_parcels,
    wait_for,
)

PARTITIONS = 2


def bad_records(registry: DirectoryRegistry) -> dict[str, NewRecord]:
    """One of each kind, by what is wrong with it; all in partition 0, among the good ones."""
    whole = framed(registry, b"\x04ab\x02")
    other = {"type": "record", "name": "post.Parcel", "fields": [{"name": "number", "type": "long"}]}
    stranger = registry.register("post.Parcel", other)
    made: dict[str, tuple[bytes | None, bytes | None]] = {
        "garbage": (b"ab", bytes(range(256)) * 40),
        "text": (b"ab", b'{"number": "ab"}'),
        "empty": (b"ab", b""),
        "no value": (b"ab", None),
        "unknown schema id": (b"ab", b"\0\x7f\xff\xff\xff" + whole[5:]),
        "schema of its name with other fields": (b"ab", b"\0" + stranger.to_bytes(4, "big") + b"\x04"),
        "schema of another type of this service": (b"ab", framed(registry, b"\x04ab\x02", Sorted)),
        "cut short": (b"ab", whole[:-2]),
        "goes on too long": (b"ab", whole + b"\0"),
        "a length below zero": (b"ab", framed(registry, b"\x03ab\x02")),
        "empty key": (b"", whole),
        "no key": (None, whole),
        "another's key": (b"cd", whole),
        "a key of no text": (b"\xff\xfe", whole),
        "the largest": (b"ab", b"\xff" * 999_990),
    }
    return {name: NewRecord(IN, key, value, [("trace", b"\x00\xff")], 0) for name, (key, value) in made.items()}


def test_every_kind_of_bad_record_is_kept_and_nothing_waits_for_it(tmp_path: Path) -> None:
    """Each is a dead letter with its bytes, its origin and a reason; every good one around is handled exactly once.

    Also over a restart in the midst of them: nothing is put aside twice, nothing is handled twice.
    """
    registry = DirectoryRegistry(tmp_path / "schemas")
    bad = bad_records(registry)
    lies: dict[int, str] = {}
    with EmbeddedLog(tmp_path / "log") as log:
        create_topics(log, [plan_of(post)], PARTITIONS)
        for name, record in bad.items():
            lies[log.append([record])[0].offset] = name
            log.append(parcels(log, registry, "a", f"p{len(lies)}"))
            if len(lies) in (len(bad) // 2, len(bad)):
                run_until_handled(log, registry, tmp_path, len(lies))
        expected = Counter({("a", times): 1 for times in range(1, len(bad) + 1)})
        expected += Counter({(f"p{number}", 1): 1 for number in range(1, len(bad) + 1)})
        assert sorted_parcels(log, registry) == expected
        found = letters(log)
        assert sorted(lies[letter.origin.offset] for letter, _ in found) == sorted(bad)
        for letter, kept in found:
            name = lies[letter.origin.offset]
            assert (kept.key, kept.value) == (bad[name].key, bad[name].value), name
            assert ("trace", b"\x00\xff") in list(kept.headers), name
            assert (letter.door, letter.origin.topic, letter.origin.partition) == ("decode", IN, 0), name
            assert "\n  try  " in letter.error, f"{name}: the letter does not say what to do"


def run_until_handled(log: Log, registry: DirectoryRegistry, directory: Path, bad: int) -> None:
    """One life of the service: until all is handled that was sent with so many bad records, then it ends in order."""
    backends = RocksBackends(directory / "state")
    try:
        with running(log, registry, backends):
            wait_for(lambda: sorted_parcels(log, registry).total() == 2 * bad and len(letters(log)) == bad)
    finally:
        backends.close()


def test_an_event_of_a_type_that_the_service_does_not_know_is_left_alone(tmp_path: Path) -> None:
    """A topic may hold events of others: they stay where they are, no dead letter, nothing waits for them."""
    registry = DirectoryRegistry(tmp_path / "schemas")
    with EmbeddedLog(tmp_path / "log") as log:
        create_topics(log, [plan_of(post)], PARTITIONS)
        log.append([NewRecord(IN, b"ab", framed(registry, b"\x04ab", Letter), (), 0), *parcels(log, registry, "a")])
        backends = RocksBackends(tmp_path / "state")
        with running(log, registry, backends) as worker:
            wait_for(lambda: worker.handled == 2 and sorted_parcels(log, registry).total() == 1)
        backends.close()
        assert (letters(log), len(records_of(log, IN))) == ([], 2)


def test_a_record_of_ten_megabytes_is_refused_where_it_is_written(tmp_path: Path) -> None:
    """The embedded log takes no such record: its writer is told the limit and what to do, and nothing of it is kept."""
    with EmbeddedLog(tmp_path / "log") as log:
        create_topics(log, [plan_of(post)], PARTITIONS)
        registry = DirectoryRegistry(tmp_path / "schemas")
        good = parcels(log, registry, "before")
        with pytest.raises(RecordTooLargeError, match="10,000,0") as raised:
            log.append([*good, NewRecord(IN, b"big", b"x" * 10_000_000)])
        assert raised.value.at == IN
        assert "1,000,000 bytes" in str(raised.value.why)
        assert "send their address" in str(raised.value.hint)
        assert records_of(log, IN) == []
