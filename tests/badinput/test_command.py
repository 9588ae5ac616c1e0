"""Bad input at the command line: an exit code, lines that say what to do, no traceback, and nothing lost."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from choreo.log.interface import TopicSpec
from choreo.log.open import open_log
from choreo.record import NewRecord, TopicPartition
from tests.badinput.post import records_of
from tests.cli.conftest import ROOT, Choreo, process
from tests.cli.conftest import choreo as choreo
from tests.cli.conftest import directory as directory
from tests.cli.conftest import project as project

LOG = "embedded:.choreo/log"
RUN = ("run", "shop.py", "order.yaml", "--until-idle")
FULL = """
import resource, sys
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), hard))
from choreo.cli.main import main
main()
"""


def refused(choreo: Choreo, *arguments: str, kind: str, code: int = 1, text: str | None = None) -> str:
    """What a command that fails says on stderr, its kind of error among it, and no traceback."""
    result = choreo(*arguments, code=code, text=text)
    assert result.stdout == ""
    assert kind in result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def statuses(choreo: Choreo) -> dict[str, str]:
    rows = [json.loads(line) for line in choreo("sagas", "list", "--json").stdout.splitlines()]
    return {row["key"]: row["status"] for row in rows}


def committed(group: str) -> list[int | None]:
    """How far a group has come on the topic of orders."""
    with open_log(LOG) as log:
        partitions = [TopicPartition("orders", number) for number in range(log.topics()["orders"].partitions)]
        return list(log.committed(group, partitions).values())


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("steps:", "steps: [", "error[not-yaml]"),
        ("fails_on: PaymentDeclined", "fails_on: PaymentDeclind", "did you mean PaymentDeclined?"),
        ("starts_on: OrderPlaced", "starts_on: OrderWished", "error[unknown-event]"),
    ],
)
def test_a_broken_spec_runs_nothing(project: Path, choreo: Choreo, good: str, bad: str, said: str) -> None:
    """The error has its place in the file; not even the sound services begin; mended, all of it is done."""
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=5")
    spec = project / "order.yaml"
    sound = spec.read_text(encoding="utf-8")
    spec.write_text(sound.replace(good, bad), encoding="utf-8")
    stderr = refused(choreo, *RUN, kind="SpecError")
    assert said in stderr
    assert "order.yaml:" in stderr
    assert set(committed("choreo.inventory")) == {None}
    spec.write_text(sound, encoding="utf-8")
    choreo(*RUN)
    assert statuses(choreo) == {"o1": "completed"}


def test_a_spec_that_is_not_there_or_no_text_is_named(project: Path, choreo: Choreo) -> None:
    """A missing file and one that is not UTF-8 are told apart."""
    assert "gone.yaml" in refused(choreo, "run", "shop.py", "gone.yaml", kind="ConfigError", code=2)
    (project / "order.yaml").write_bytes(b"saga: \xff\xfe")
    assert "save it as UTF-8" in refused(choreo, *RUN, kind="SpecError")


def test_bad_records_are_listed_whole_and_the_good_ones_are_done(project: Path, choreo: Choreo) -> None:
    """A run ends well; `dead-letters` lists each bad record, and shows every byte of a large one."""
    large = bytes(range(256)) * 3_900
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=5")
    with open_log(LOG) as log:
        log.append([NewRecord("orders", b"o1", value) for value in (b"garbage", b"", None, large)])
    choreo("emit", "shop.py:OrderPlaced", "order_id=o2", "total=5")
    assert "Traceback" not in choreo(*RUN).stderr
    assert statuses(choreo) == {"o1": "completed", "o2": "completed"}
    rows = [json.loads(line) for line in choreo("dead-letters", "list", "payments", "--json").stdout.splitlines()]
    assert [row["door"] for row in rows] == ["decode"] * 4
    shown = json.loads(choreo("dead-letters", "show", rows[-1]["id"], "--json").stdout)
    assert bytes.fromhex(shown["value"]) == large


def test_what_others_write_to_a_lifecycle_topic_hides_no_saga(project: Path, choreo: Choreo) -> None:
    """Garbage among the lifecycle events, under the keys of sagas too: listings leave it out, and say that they do."""
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=5")
    choreo(*RUN)
    values = [b"garbage", None, b"", b"\0\x7f\xff\xff\xffx"]
    with open_log(LOG) as log:
        partitions = range(log.topics()["choreo.saga.order.lifecycle"].partitions)
        kept = [r.value for r in records_of(log, "orders") if r.value]
        log.append(
            [NewRecord("choreo.saga.order.lifecycle", b"o1", v, (), n) for v in values + kept for n in partitions]
        )
    assert statuses(choreo) == {"o1": "completed"}
    listed = choreo("sagas", "list")
    assert "left out" in listed.stderr
    assert "o1" in listed.stdout
    assert "completed" in choreo("sagas", "why", "o1").stdout
    assert "completed" in choreo("sagas", "show", "o1").stdout
    choreo(*RUN)


def test_a_registry_that_knows_none_of_the_schemas_is_an_error(project: Path, choreo: Choreo) -> None:
    """A listing that can read nothing does not say that there is nothing: it says which schema is not registered."""
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=5")
    choreo(*RUN)
    said = refused(choreo, "sagas", "list", "--registry", "dir:elsewhere", kind="UnknownSchemaError")
    assert "point the registry at the one" in said


def test_an_event_of_ten_megabytes_is_not_emitted(project: Path, choreo: Choreo) -> None:
    """`choreo emit` says how much a record takes and what to do; the log stays as it was."""
    line = json.dumps({"order_id": "x" * 10_000_000, "total": 1})
    said = refused(choreo, "emit", "shop.py:OrderPlaced", "-", kind="RecordTooLargeError", text=line)
    assert "1,000,000 bytes" in said
    assert "send their address" in said
    assert committed("nobody") == [None] * 4
    rows = [json.loads(line) for line in choreo("topics", "show", "orders", "--json").stdout.splitlines()]
    assert [row["end"] for row in rows] == [0] * 4


def test_a_topic_of_another_count_is_refused_before_anything_is_read(project: Path, choreo: Choreo) -> None:
    """A changelog with other partitions than its inputs: the error names both counts, and nothing was consumed."""
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=5")
    with open_log(LOG) as log:
        log.create_topics([TopicSpec("choreo.inventory.changelog", 3)])
    said = refused(choreo, *RUN, kind="PartitionCountError")
    assert "choreo.inventory.changelog" in said
    assert "3" in said
    assert "\n  try  " in said
    assert set(committed("choreo.inventory")) == {None}


def test_a_state_directory_in_use_is_refused_and_free_afterwards(project: Path, choreo: Choreo) -> None:
    """A second run of a service that runs names the process to stop, and does not disturb it."""
    first = process("run", "shop.py:inventory")
    try:
        assert first.stderr is not None
        said = ""
        while "running inventory" not in said:
            said = first.stderr.readline()
        said = refused(choreo, "run", "shop.py:inventory", "--until-idle", kind="StateInUseError", code=3)
        assert f"process {first.pid} has it open" in said
        assert "a state directory of its own" in said
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGTERM)
        said = first.communicate(timeout=60)[1]
    assert first.returncode == 0, said
    choreo("run", "shop.py:inventory", "--until-idle")


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(project: Path, choreo: Choreo) -> None:
    """Exit code 1 and what to do about it; with room again the same command finishes, every saga once."""
    orders = [json.dumps({"order_id": f"o{n}-{'x' * 150}", "total": 5}) for n in range(1_000)]
    choreo("emit", "shop.py:OrderPlaced", "-", text="\n".join(orders))
    command = [sys.executable, "-c", FULL, "400000", *RUN]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 1, done.stderr
    assert "DiskFullError: no room left" in done.stderr
    assert "\n  try  " in done.stderr
    assert "Traceback" not in done.stderr
    choreo(*RUN)
    found = statuses(choreo)
    assert (len(found), set(found.values())) == (1_000, {"completed"})
    assert choreo("replay", "verify", "shop.py", "order.yaml").stdout.count("clean") == 3


def test_a_log_that_is_a_file_is_refused(project: Path, choreo: Choreo) -> None:
    """A path that can't be a log's directory is named, with what to give instead."""
    (project / "file").write_text("", encoding="utf-8")
    assert "file" in refused(choreo, "topics", "list", "--log", "embedded:file", kind="StateError")
