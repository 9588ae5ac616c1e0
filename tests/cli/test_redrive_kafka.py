"""Redriving and emitting again on a real Kafka, by a process that is killed in the middle."""

from pathlib import Path

import pytest

from choreo.cli.records import Bodies, read_to_end
from choreo.events.open import open_registry
from choreo.log.open import open_log
from tests.cli.conftest import Choreo, process
from tests.cli.test_redrive import RUN, WHY, Cafe, cafe_in
from tests.kafka.fixtures import kafka_bootstrap as kafka_bootstrap
from tests.kafka.fixtures import kafka_url as kafka_url

DRINKS = [f"d{number}" for number in range(12)]


def killed_in_the_middle(cafe: Cafe) -> None:
    """A redrive of all letters is killed once it has begun, and given again."""
    running = process("dead-letters", "redrive", "--service", "bar", "--rate", "3", "--yes", *WHY)
    while not cafe.letters("--state", "redriven"):  # ends by the test's own time limit
        assert running.poll() is None, running.communicate()
    running.kill()
    running.communicate()
    assert len(cafe.letters("--state", "open")) > 0
    cafe.choreo("dead-letters", "redrive", "--service", "bar", "--yes", *WHY)
    assert {row["state"] for row in cafe.letters()} == {"redriven"}


def test_a_redrive_that_is_killed_goes_on_without_duplicates(directory: Path, choreo: Choreo) -> None:
    """On the embedded log: every letter goes in once, in order, and replays are clean."""
    cafe = cafe_in(directory, choreo, "skip")
    cafe.broken(*DRINKS)
    cafe.order(*DRINKS)
    cafe.broken()
    killed_in_the_middle(cafe)
    choreo(*RUN)
    assert cafe.served() == DRINKS
    assert choreo("replay", "verify").stdout.count("clean") == 2


@pytest.mark.kafka
def test_the_same_on_kafka(directory: Path, choreo: Choreo, kafka_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every letter goes in once, in order; what is emitted to another topic leaves copies out."""
    monkeypatch.setenv("CHOREO_LOG_URL", kafka_url)
    cafe = cafe_in(directory, choreo, "skip")
    cafe.broken(*DRINKS)
    choreo("topics", "apply")
    choreo(*RUN, "--start-from", "earliest")
    cafe.order(*DRINKS)
    cafe.broken()
    killed_in_the_middle(cafe)
    choreo(*RUN)
    choreo("topics", "create", "elsewhere")
    (done,) = cafe.rows("replay", "emit", "cafe.orders", "--to", "elsewhere", *WHY, "--yes")
    assert (done["emitted"], done["copies"]) == (len(DRINKS), len(DRINKS))
    with open_log(kafka_url) as log:
        bodies = Bodies(open_registry("dir:schemas"))
        served = [bodies.read(record)["drink"] for record in read_to_end(log, ["cafe.served"])]
        copies = [bodies.read(record)["drink"] for record in read_to_end(log, ["elsewhere"])]
    assert (served, copies) == (DRINKS, DRINKS)
    assert choreo("replay", "verify").stdout.count("clean") == 2
