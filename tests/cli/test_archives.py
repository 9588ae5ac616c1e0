"""choreo archives: a log is archived, forgets, is verified through its archive, and is restored elsewhere."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from choreo.log.embedded import EmbeddedLog
from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.replay.archive import Archive
from tests.cli.conftest import Choreo
from tests.replay.archived import places, records_of

RUN = ("shop.py", "order.yaml")
LOG, SHORT = Path(".choreo/log"), Path(".choreo/short")


@pytest.fixture
def ran(project: Path, choreo: Choreo) -> Path:
    """Twenty orders went through the shop."""
    place(choreo, 1, 20)
    return project


def place(choreo: Choreo, first: int, last: int, *options: str) -> None:
    """Place orders and run until there is nothing left to do."""
    orders = [json.dumps({"order_id": f"o{n}", "total": 10 * n}) for n in range(first, last + 1)]
    choreo("emit", "shop.py:OrderPlaced", "-", *options, text="\n".join(orders))
    choreo("run", *RUN, "--until-idle", *options)


def rows(choreo: Choreo, *words: str, code: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in choreo(*words, "--json", code=code).stdout.splitlines()]


def everything(directory: Path) -> dict[str, Any]:
    """All that a log has: topics, ends, what groups have committed, and the files of its stores."""
    with EmbeddedLog(directory) as log:
        every = places(log, *log.topics())
        groups = [name.removesuffix(".journal") for name in log.topics() if name.endswith(".journal")]
        committed = {group: log.committed(group, every) for group in groups}
        found: dict[str, Any] = {"topics": log.topics(), "ends": log.ends(every), "committed": committed}
    state = [file for file in sorted((directory / "state").rglob("*")) if file.is_file()]
    return found | {"state": [(str(file), file.stat().st_size) for file in state if "LOG" not in file.name]}


def half_forgotten(whole: Path = LOG) -> None:
    """The same log as retention leaves it: every topic but changelogs begins at its middle; stores and schemas stay."""
    with EmbeddedLog(whole) as log, EmbeddedLog(SHORT) as short:
        restorer = short.restorer(log.cluster_id())
        for name, topic in log.topics().items():
            every = places(log, name)
            ends = log.ends(every)
            starts = {place: 0 if name.endswith("changelog") else ends[place] // 2 for place in every}
            restorer.make(topic, log.config(name), {place.partition: start for place, start in starts.items()})
            for place in every:
                kept = [record for record in records_of(log, place) if record.offset >= starts[place]]
                restorer.write(kept, {place: ends[place]})
    shutil.copytree(whole / "state", SHORT / "state")
    shutil.copytree(whole / "schemas", SHORT / "schemas")


def of(log: Log, topics: list[str]) -> dict[TopicPartition, object]:
    return {place: records_of(log, place) for place in places(log, *topics)}


@pytest.mark.usefixtures("ran")
def test_half_a_log_and_its_archive_verify_clean(choreo: Choreo) -> None:
    """With the older half gone verify fails; through the archive it is clean, by option and setting; lists see all."""
    choreo("archives", "write", "--to", "kept")
    sagas = rows(choreo, "sagas", "list")
    half_forgotten()
    short = ("--log", f"embedded:{SHORT}")
    assert "from checkpoint 0 to" in choreo("replay", "verify", *RUN, *short, code=1).stderr
    verified = choreo("replay", "verify", *RUN, *short, "--archive", "kept")
    assert verified.stdout.count("clean") == 3
    shown = [(row["key"], row["status"]) for row in rows(choreo, "sagas", "list", *short, "--archive", "kept")]
    assert shown == [(row["key"], row["status"]) for row in sagas]
    Path("choreo.toml").write_text(f'[log]\nurl = "embedded:{SHORT}"\narchive = "kept"\n')
    assert choreo("replay", "verify", *RUN).stdout.count("clean") == 3
    settings = {row["name"]: row["value"] for row in rows(choreo, "config", "show")}
    assert settings["log.archive"] == "kept"


@pytest.mark.usefixtures("ran")
def test_what_was_forgotten_is_run_again_and_told_from_the_archive(choreo: Choreo) -> None:
    """Of half a log and its archive a shadow run, a look at the past and a fork make what they make of the whole log;
    records that are gone from the log are selected to be emitted again.
    """
    Path("new").mkdir()
    for name in RUN:
        shutil.copy(name, f"new/{name}")
    choreo("archives", "write", "--to", "kept")
    asked = (
        ("replay", "shadow", "payments", *RUN, "--code", "new"),
        ("replay", "state", "inventory", *RUN, "--step"),
        ("replay", "emit", "orders", "--dry-run"),
    )
    whole = [rows(choreo, *words) for words in asked]
    story = choreo("replay", "fork", "o3", *RUN).stdout
    half_forgotten()
    beside = ("--log", f"embedded:{SHORT}", "--archive", "kept")
    for before, words in zip(whole, asked, strict=True):
        after = rows(choreo, *words, *beside)
        for row in (*before, *after):
            row.pop("us_per_input", None)
        assert after == before, words
    assert choreo("replay", "fork", "o3", *RUN, *beside).stdout == story
    lost = "the cause is not on the log any more"
    assert lost in choreo("trace", "o20", "--log", f"embedded:{SHORT}").stderr
    assert lost not in choreo("trace", "o20", *beside).stderr


def test_the_shop_is_verified_through_its_archive(directory: Path, choreo: Choreo) -> None:
    """The sample shop, with timers, calls, retries, compensations: with half of its log gone, all services are clean.

    The archive alone will do, beside the stores.
    """
    choreo("demo", "--count", "40", "--quiet")
    whole = directory / ".choreo" / "demo" / "log"
    choreo("archives", "write", "--to", "kept", "--log", f"embedded:{whole}")
    half_forgotten(whole)
    choreo("replay", "verify", "demo", "--log", f"embedded:{SHORT}", code=1)
    beside = ("--archive", "kept", "--registry", "dir:kept/schemas")
    through = rows(choreo, "replay", "verify", "demo", "--log", f"embedded:{SHORT}", *beside)
    assert len(through) > 5
    assert {row["clean"] for row in through} == {True}
    assert all(row["inputs"] for row in through)
    Path("choreo.toml").write_text(f'[run]\nstate_dir = "{SHORT}/state"\n')
    assert rows(choreo, "replay", "verify", "demo", "--log", "memory:", *beside) == through


@pytest.mark.usefixtures("ran")
def test_an_archive_alone_is_verified_by_its_changelogs(choreo: Choreo) -> None:
    """Without log, stores and registry an archive brings its schemas, and its changelogs are what a replay is held
    against; where it has none, that is said with the command that archives one, and is no difference.
    """
    alone = ("replay", "verify", *RUN, "--log", "memory:", "--archive", "kept")
    choreo("archives", "write", "--to", "kept")
    without = choreo(*alone, code=2).stderr
    assert "there is nothing to compare inventory with" in without
    assert "choreo archives write choreo.inventory.changelog --to" in without
    changelogs = [f"choreo.{name}.changelog" for name in ("inventory", "payments", "saga.order")]
    choreo("archives", "write", *changelogs, "--to", "kept")
    schemas = sorted(Path("kept").rglob("*.avsc"))
    found = rows(choreo, *alone)
    assert [(row["service"], row["clean"]) for row in found] == [
        ("inventory", True),
        ("payments", True),
        ("saga.order", True),
    ]
    assert all(row["entries"] for row in found)
    assert sorted(Path("kept").rglob("*.avsc")) == schemas


@pytest.mark.usefixtures("ran")
def test_nothing_live_is_touched(choreo: Choreo) -> None:
    """Writing, listing, checking and verifying through an archive change no topic, no offset and no store."""
    before = everything(LOG)
    choreo("archives", "write", "--to", "kept")
    choreo("archives", "list", "--from", "kept")
    choreo("archives", "show", "orders", "--from", "kept", "--check")
    choreo("archives", "restore", "--from", "kept", "--dry-run")
    assert everything(LOG) == before
    choreo("replay", "verify", *RUN, "--archive", "kept")
    assert everything(LOG) == before


@pytest.mark.usefixtures("ran")
def test_a_second_write_appends(choreo: Choreo) -> None:
    """What is new comes behind what is there; a topic without anything new is not shown; the list sums up."""
    first = {row["topic"]: row["records"] for row in rows(choreo, "archives", "write", "--to", "kept")}
    assert "nothing new" in choreo("archives", "write", "--to", "kept").stderr
    place(choreo, 21, 25)
    second = {row["topic"]: row["records"] for row in rows(choreo, "archives", "write", "--to", "kept")}
    listed = {row["topic"]: row for row in rows(choreo, "archives", "list", "--from", "kept")}
    assert {name: row["records"] for name, row in listed.items() if row["records"]} == {
        name: first.get(name, 0) + second.get(name, 0) for name in {*first, *second}
    }
    assert {row["missing"] for row in listed.values()} == {0}
    assert not [name for name in listed if name.endswith(".changelog")]
    assert listed["orders"]["config"]["retention.ms"] == "-1"
    with EmbeddedLog(LOG) as log:
        archive = Archive(Path("kept"))
        for name in listed:
            for one in places(log, name):
                kept = [record for batch in archive.series(one).records() for record in batch]
                assert kept == records_of(log, one)


@pytest.mark.usefixtures("ran")
def test_a_restored_log_is_verified(choreo: Choreo) -> None:
    """Restored with its changelogs into a new directory, verify is clean without stores; again, nothing is left to do.

    It needs a reason, which stands on the log, and asks before it begins.
    """
    with EmbeddedLog(LOG) as log:
        topics = list(log.topics())
    choreo("archives", "write", *topics, "--to", "kept")
    again = ("--log", "embedded:again")
    choreo("archives", "restore", "--from", "kept", *again, code=2)
    why = ("--why", "the disk was lost")
    assert "go on" not in choreo("archives", "restore", "--from", "kept", *again, *why, code=2).stdout
    choreo("archives", "restore", "--from", "kept", *again, *why, "--yes")
    with EmbeddedLog(LOG) as log, EmbeddedLog(Path("again")) as new:
        assert of(new, topics) == of(log, topics)
        told = records_of(new, TopicPartition("choreo.archives", 0))
    assert len(told) == 1
    assert b"the disk was lost" in (told[0].value or b"")
    assert choreo("replay", "verify", *RUN, *again).stdout.count("clean") == 3
    done = rows(choreo, "archives", "restore", "--from", "kept", *again, *why, "--yes")
    assert {row["restored"] for row in done} == {0}


@pytest.mark.usefixtures("ran")
def test_a_damaged_archive_stops_verify(choreo: Choreo) -> None:
    """One flipped byte: verify and `show --check` name the file and the block, and end with exit code 1."""
    choreo("archives", "write", "--to", "kept", "--codec", "null")
    half_forgotten()
    file = max(Path("kept/topics/orders").rglob("*.avro"), key=lambda one: one.stat().st_size)
    content = file.read_bytes()
    at = content.rindex(b"choreo") + 20
    file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    said = choreo("replay", "verify", *RUN, "--log", f"embedded:{SHORT}", "--archive", "kept", code=1).stderr
    assert f"{file}, block 0" in said
    assert f"{file}, block 0" in choreo("archives", "show", "orders", "--from", "kept", "--check", code=1).stderr
    file.write_bytes(content)
    choreo("archives", "show", "orders", "--from", "kept", "--check")


@pytest.mark.usefixtures("ran")
def test_what_is_missing_is_said(choreo: Choreo) -> None:
    """Offsets that were gone before the first write are told by `write` and by `list`."""
    half_forgotten()
    short = ("--log", f"embedded:{SHORT}")
    assert "were gone before they could be written" in choreo("archives", "write", "--to", "kept", *short).stderr
    listed = choreo("archives", "list", "--from", "kept")
    assert "orders: offsets 0 to" in listed.stderr


def test_questions_that_have_no_answer(project: Path, choreo: Choreo) -> None:
    """No archive named, none there, a topic that is not in it, a time that is none: usage."""
    choreo("archives", "list", code=2)
    assert "no archive here" in choreo("archives", "list", "--from", "nowhere", code=2).stderr
    place(choreo, 1, 2)
    choreo("archives", "write", "--to", "kept", "--until", "yesterday", code=2)
    choreo("archives", "write", "--to", "kept", "ordres", code=2)
    choreo("archives", "write", "--to", "kept", "--until", "2026-01-01T00:00")
    assert "known:" in choreo("archives", "show", "ordres", "--from", "kept", code=2).stderr
    assert "no archive here" in choreo("replay", "verify", *RUN, "--archive", "nowhere", code=2).stderr


def moved(choreo: Choreo, *left_out: str) -> tuple[tuple[str, ...], str]:
    """The log is archived, but for topics that end so, and restored elsewhere; answers the options of the new log, and
    what the restore had to say.
    """
    with EmbeddedLog(LOG) as log:
        topics = [name for name in log.topics() if not left_out or not name.endswith(left_out)]
    choreo("archives", "write", *topics, "--to", "kept")
    again = ("--log", "embedded:again")
    return again, choreo("archives", "restore", "--from", "kept", *again, "--why", "a lost disk", "--yes").stderr


def told(directory: Path) -> list[tuple[bytes, bytes]]:
    """All events, whenever they were told."""
    with EmbeddedLog(directory) as log:
        return sorted((one.key or b"", one.value or b"") for tp in places(log, "orders") for one in records_of(log, tp))


def standings(directory: Path) -> dict[str, object]:
    """What each group has committed."""
    with EmbeddedLog(directory) as log:
        groups = [name.removesuffix(".journal") for name in log.topics() if name.endswith(".journal")]
        return {group: log.committed(group, places(log, "orders")) for group in groups}


@pytest.mark.usefixtures("ran")
def test_a_restored_log_goes_on_where_the_old_one_was(choreo: Choreo) -> None:
    """Groups stand where they stood: what comes now is handled as on the old log, what was handled is not once more."""
    again, said = moved(choreo)
    assert "rebuild" not in said
    before = standings(LOG)
    assert len(before) == 3
    assert standings(Path("again")) == before
    place(choreo, 21, 25)
    place(choreo, 21, 25, *again)
    assert told(Path("again")) == told(LOG)
    assert choreo("replay", "verify", *RUN, *again).stdout.count("clean") == 3


@pytest.mark.usefixtures("ran")
def test_without_changelogs_a_restored_log_is_rebuilt_first(choreo: Choreo) -> None:
    """No service goes on with empty stores: it is refused, by name of the command that makes them, and then goes on."""
    again, said = moved(choreo, ".changelog")
    refused = choreo("run", *RUN, "--until-idle", *again, code=1).stderr
    assert "are lost: its journal tells of checkpoints" in refused
    for service in ("inventory", "payments", "saga.order"):
        assert f"{service} has no stores here: before it is started, choreo replay rebuild {service}" in said
        choreo("replay", "rebuild", service, *RUN, *again, "--why", "no changelogs", "--yes")
    place(choreo, 21, 25)
    place(choreo, 21, 25, *again)
    assert told(Path("again")) == told(LOG)


@pytest.mark.usefixtures("ran")
def test_an_archive_is_listed_by_the_filters_of_all_lists(choreo: Choreo) -> None:
    """By a condition over the columns, by the times of what was written, so many; a name that is none is a mistake."""
    choreo("archives", "write", "--to", "kept")
    listing = ("archives", "list", "--from", "kept")
    every = rows(choreo, *listing)
    assert [row["topic"] for row in rows(choreo, *listing, "--where", "kind == 'events' && records > 0")] == ["orders"]
    assert rows(choreo, *listing, "--where", "topic.endsWith('.journal')", "--limit", "1") == [
        next(row for row in every if row["topic"].endswith(".journal"))
    ]
    assert rows(choreo, *listing, "--since", "1h") == [row for row in every if row["records"]]
    assert rows(choreo, *listing, "--until", "1h") == []
    assert "what there is: topic, kind" in choreo(*listing, "--where", "name == 'x'", code=2).stderr
