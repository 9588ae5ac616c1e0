"""What reading the log again keeps says which version it is: an unknown one is refused or begun anew, never guessed."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from choreo.clock import to_datetime
from choreo.errors import ArchiveError, ConfigError, DecodeError, StartError, StateError
from choreo.events.codec import Codec
from choreo.events.registry import MemoryRegistry
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, Position, Record, TopicPartition
from choreo.replay import verify
from choreo.replay.again import Span
from choreo.replay.archive import Archive
from choreo.replay.letters import Letters
from choreo.replay.operations import Operations, Settled
from choreo.replay.redrive import obstacle
from choreo.replay.renewal import ORIGIN, Renewal
from choreo.replay.sandbox import Sandbox
from choreo.replay.scratch import Scratch, lasting
from choreo.replay.starts import Starts
from choreo.resilience.dead_letter import HEADER, DeadLetter, whole
from choreo.resilience.operations import TOPIC, LetterPlace, LettersSettled
from choreo.runtime.shapes import refuse_unfinished
from choreo.state.backend import Backend
from choreo.state.memory import MemoryBackends
from choreo.state.meta import META_KEY
from choreo.state.rebuilt import REBUILT, UNFINISHED, rebuilt_to
from choreo.state.shapes import SHAPES, shapes_on_record
from tests.replay.archived import filled, write
from tests.replay.test_verify import Interrupted, run_town
from tests.runtime.town import NOON

ONE = UUID(int=1)


def later(file: Path) -> None:
    """As a newer release would have written it."""
    text = file.read_text(encoding="utf-8")
    assert '"format": 1' in text
    file.write_text(text.replace('"format": 1', '"format": 2'), encoding="utf-8")


def opened(directory: Path) -> object:
    """What an archive says of itself, of a topic and of a partition."""
    archive = Archive(directory)
    return archive.topics, archive.series(TopicPartition("orders", 0))


@pytest.mark.parametrize("which", ["archive.json", "topics/orders/topic.json", "topics/orders/0/*.json"])
def test_an_archive_of_another_format_is_refused(tmp_path: Path, which: str) -> None:
    """Of the archive, of a topic, and the index of a volume: it says which file, which format, and what to run."""
    write(filled(), tmp_path)
    (file, *_) = sorted(tmp_path.glob(which))
    later(file)
    with pytest.raises(ArchiveError, match="of format 2") as refused:
        opened(tmp_path)
    assert refused.value.at == file
    assert refused.value.hint == "run the Choreo that wrote it"


@pytest.mark.parametrize(
    ("key", "read", "says"),
    [
        (
            SHAPES.encode("bins"),
            lambda backend: shapes_on_record(backend, "bins"),
            "shapes of store 'bins'.*version 09",
        ),
        (REBUILT, rebuilt_to, "a rebuild is noted in version 09"),
        (UNFINISHED, lambda backend: refuse_unfinished("s", 0, backend), "a rebuild is noted in version 09"),
    ],
)
def test_entries_of_another_version_are_refused(key: bytes, read: Callable[[Backend], object], says: str) -> None:
    """The shapes of a store, how far it was rebuilt, and that this was not ended."""
    backend = MemoryBackends().open("s-0")
    backend.write({key: b"\x09{}"})
    with pytest.raises(StateError, match=says) as refused:
        read(backend)
    assert "newer release" in str(refused.value.hint)
    backend.write({key: None})
    read(backend)


def test_who_left_a_task_half_replaced_is_still_said() -> None:
    """Version 1 is read."""
    backend = MemoryBackends().open("s-0")
    backend.write({UNFINISHED: b"\x01ada"})
    with pytest.raises(StartError) as refused:
        refuse_unfinished("s", 0, backend)
    assert str(refused.value.why).startswith("ada ")


def test_a_snapshot_of_another_version_is_refused() -> None:
    """It does not say in a way known here whose it is and at which checkpoint it was taken."""
    town = run_town(1)
    backends = MemoryBackends()
    backends.open("inventory-0").write({META_KEY: b"\x09{}"})
    kept = backends.snapshots("inventory-0")
    kept.take(1)
    with pytest.raises(StateError, match="does not say whose it is") as refused:
        Starts(town.log, town.services[0], [kept]).at_or_before(1)
    assert refused.value.why == "its format is 09"


def test_notes_of_another_format_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an interrupted verification had noted in another format is forgotten: everything is redone."""
    town = run_town(2)
    live: Callable[[int], Backend] = lambda n: town.workers[0].tasks[n].task.entries.backend  # noqa: E731
    sandbox = Sandbox(town.services[0], town.log, town.registry, lasting=lambda: lasting(tmp_path / "begun"))

    def interrupted() -> set[int]:
        seen: set[int] = set()

        def progress(partition: int, done: int, total: int) -> None:
            seen.add(partition)
            if partition == 1:
                raise Interrupted

        with pytest.raises(Interrupted):
            verify.Verification(sandbox, live).run(progress)
        return seen

    assert interrupted() == {0, 1}
    assert interrupted() == {1}
    monkeypatch.setattr(verify, "FORMAT", verify.FORMAT + 1)
    assert interrupted() == {0, 1}


def test_the_scratch_of_a_rebuild_of_another_version_is_begun_anew() -> None:
    """What is kept for going on with a rebuild is thrown away where its layout is another."""
    town, scratch = run_town(1), MemoryBackends().open("scratch")
    renewal = Renewal(town.services[0], 0, town.log, town.registry, scratch)
    assert not renewal.begin("code")
    for _ in renewal.run():
        pass
    assert renewal.begin("code")
    scratch.write({ORIGIN: b"\x09" + (scratch.get(ORIGIN) or b"")[1:]})
    assert not renewal.begin("code")
    assert renewal.checkpoint == 0


def test_the_span_of_an_emission_of_another_format_is_refused() -> None:
    """Who goes on with it is told to do so by the release that began it; one that had no format yet is read."""
    span = Span({TopicPartition("t", 0): 3}, {TopicPartition("t", 0): 9})
    assert Span.load(span.dump()) == span
    assert Span.load('[["t", 0, 3, 9]]') == span
    with pytest.raises(ConfigError, match="in format 2"):
        Span.load(json.dumps({"format": 2, "rows": []}))


def test_an_operation_of_a_newer_release_is_refused() -> None:
    """What has become of letters is not guessed at: an outcome that this release does not know is an error with its
    place, no letter that is open.
    """
    log, registry = MemoryLog(), MemoryRegistry()
    operations = Operations(log, registry, lambda: NOON)
    operations.begin(ONE, "redrive", ["s"], ("ada", "why"), {})
    place = LetterPlace(topic="choreo.s.dead-letters", partition=0, offset=0)
    fields = {"operation": ONE, "who": "ada", "why": "why", "letters": (place,), "at": to_datetime(NOON)}
    log.append([operations.record(LettersSettled(outcome="redriven", **fields))])
    settled = log.append([operations.record(LettersSettled(outcome="dropped", **fields))])[0]
    (record,) = [one for one in _records(log) if one.offset == settled.offset]
    assert record.value is not None
    assert record.value.count(b"\x0edropped") == 1
    log.append([NewRecord(TOPIC, record.key, record.value.replace(b"dropped", b"planted"), record.headers)])
    with pytest.raises(DecodeError, match=r"LettersSettled|planted") as refused:
        list(operations.events())
    assert refused.value.at == Position(TOPIC, 0, settled.offset + 1)


def test_a_dead_letter_of_another_version_is_none() -> None:
    """It is listed as what it is, a record that this release can't read, and can't be put back."""
    log = MemoryLog()
    letter = DeadLetter("s", "handle", "OSError", "no", Position("t", 0, 0), 1, NOON)
    (record,) = letter.records(Record("t", 0, 0, 0, b"k", b"v", ()), "choreo.s.dead-letters")
    marks = [(name, b"\x09" + value[1:] if name == HEADER else value) for name, value in record.headers]
    log.create_topics([TopicSpec("choreo.s.dead-letters", 1)])
    log.append([record._replace(headers=marks)])
    with Scratch(Path("/nowhere")) as scratch:
        settled = Settled(Operations(log, MemoryRegistry(), lambda: NOON), scratch)
        codec = Codec(MemoryRegistry(), (), log.cluster_id())
        (found,) = Letters(log, codec.ids, settled).of(["s"])
    assert (found.said, found.wrong) == (None, f"no header {HEADER} of version 1")
    assert "it is no dead letter of this Choreo" in str(obstacle(found, log.topics()))


def test_a_dead_letter_in_parts_of_another_version_is_refused() -> None:
    """Its parts are one body with a version of its own."""
    letter = DeadLetter("s", "decode", "DecodeError", "no", Position("t", 0, 0), 1, NOON)
    parts = letter.records(Record("t", 0, 0, 0, b"k", b"v" * 999_900, ()), "dead")
    assert len(parts) == 2
    records = [Record("dead", 0, n, 0, one.key, one.value, one.headers) for n, one in enumerate(parts)]
    first = records[0]._replace(value=b"\x09" + (records[0].value or b"")[1:])
    with pytest.raises(DecodeError, match="a dead letter of version 09"):
        list(whole([first, records[1]]))


def _records(log: MemoryLog) -> list[Record]:
    with log.reader({TopicPartition(TOPIC, 0): 0}) as reader:
        return reader.read(0)
