"""`make bench` measures; here each family is seen to run at the size of a smoke test, and to print what can be read."""

import json
from pathlib import Path

import pytest

from benchmarks import peers, steps
from benchmarks.__main__ import main
from benchmarks.families import FAMILIES, Program, sized
from benchmarks.figure import Baseline, Figure, percentile
from benchmarks.machine import SkippedError, dead_letter_ends, refuse_dead_letters
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord
from tests.kafka.fixtures import kafka_bootstrap as kafka_bootstrap

PEERS = peers.SHARED.is_dir() and peers.has_quix()
WITHOUT_KAFKA = [name for name, family in FAMILIES.items() if not family.kafka and name != "calls"]
WITH_KAFKA = [name for name, family in FAMILIES.items() if family.kafka and name not in ("events", "profile")]


def printed(name: str) -> list[dict[str, object]]:
    """What a family says at the size of a smoke test: each line one figure of its own, with a value and a unit."""
    family = FAMILIES[name]
    rows = [json.loads(line) for line in family.lines(sized(family, quick=True, count=None))]
    assert rows
    assert all(row["name"].split(".")[0] == name and row["unit"] and row["n"] for row in rows)
    assert all(row["value"] is not None and row["value"] >= 0 for row in rows)
    return rows


@pytest.mark.xdist_group("compiled")
@pytest.mark.timeout(1200)  # the first of them may have to compile a wheel
@pytest.mark.parametrize("name", WITHOUT_KAFKA)
def test_a_family_is_measured(name: str) -> None:
    """Each family that needs no broker prints its figures."""
    printed(name)


@pytest.mark.kafka
@pytest.mark.parametrize("name", WITH_KAFKA)
def test_a_family_is_measured_on_kafka(name: str, kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each family that needs a broker prints its figures, on the broker of KAFKA_BOOTSTRAP."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka_bootstrap)
    printed(name)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.skipif(
    not PEERS, reason=f"no peers in {peers.SHARED} or {peers.VENV}: `make bench ONLY=events` installs them"
)
@pytest.mark.parametrize("name", ["events", "profile"])
def test_a_family_with_peers_is_measured(name: str, kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures against the raw loop and Quix Streams name both, and the profile adds up to its total."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka_bootstrap)
    rows = printed(name)
    if name == "events":
        assert [row["ratio"] for row in rows if row["name"] in ("events.of_raw", "events.of_quix")] != [None, None]
    else:
        *parts, total = rows
        assert sum(float(str(part["value"])) for part in parts) == pytest.approx(total["value"], rel=0.01)


def test_a_figure_is_one_line_with_its_ratio() -> None:
    """Name, value, unit, what it is compared with, and the terms."""
    line = Figure("a.b", 30.0, "ms", Baseline("before", 60.0), {"n": 7}).line()
    expected = {"name": "a.b", "value": 30.0, "unit": "ms", "baseline": {"what": "before", "value": 60.0}}
    assert json.loads(line) == expected | {"ratio": 0.5, "n": 7}


@pytest.mark.parametrize(("share", "found"), [(0.5, 5), (0.99, 10), (0.1, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, found: int) -> None:
    """Nearest rank, of values in any order."""
    assert percentile([10, 1, 9, 2, 8, 3, 7, 4, 6, 5], share) == found


def test_a_sample_belongs_to_the_first_step_that_is_in_its_stack() -> None:
    """What lies below a step is the step's, other work of the runtime the task's, that of other threads nobody's."""
    stacks = (
        "run_worker (choreo/runtime/loop.py:19);Codec.event (choreo/events/codec.py:9);read (strict.py:1) 3\n"
        "run_worker (choreo/runtime/loop.py:19);Task.take (choreo/runtime/task.py:5) 2\n"
        "serve (threading.py:1) 9"
    )
    assert steps.by_step(stacks) == {"decode": 3, "task": 2}


def test_absent_peers_are_skipped_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the peers' folder `events` is not measured, says so, and the run ends with 1."""
    monkeypatch.setattr(peers, "SHARED", tmp_path)
    assert main(["--quick", "events"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"NOT MEASURED: events: {tmp_path / 'raw_eos.py'} is not here" in captured.err


def test_a_program_that_is_absent_is_skipped() -> None:
    """A family that is a program of its own is skipped where the program is not there."""
    family = Program("none", "nowhere", "nothing")
    with pytest.raises(SkippedError, match=r"benchmarks/nowhere\.py is not here"):
        list(family.lines(sized(family, quick=True, count=None)))


def test_a_figure_answers_for_its_own_dead_letters_only() -> None:
    """Dead letters that lay on a shared broker before do not spoil a figure; those of its own do."""
    log, topic = MemoryLog(), "choreo.shop.dead-letters"
    log.create_topics([TopicSpec(topic, 2)])
    log.append([NewRecord(topic, b"another's", b"")])
    before = dead_letter_ends(log)
    refuse_dead_letters(log, before)
    log.append([NewRecord(topic, b"mine", b"")])
    with pytest.raises(RuntimeError, match=topic):
        refuse_dead_letters(log, before)


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt figure ends with 2 and the names that there are; --list prints them all."""
    assert main(["evnts"]) == 2
    assert "events, embedded" in capsys.readouterr().err
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(FAMILIES)
