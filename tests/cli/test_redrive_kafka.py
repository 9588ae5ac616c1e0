"""Redriving and emitting again on a real Kafka, by a process that is killed in the middle."""

import os
from pathlib import Path

import pytest

from choreo.cli.records import Bodies, read_to_end
from choreo.events.open import open_registry
from choreo.log.open import open_log
from tests.cli.conftest import Choreo, process, read_until
from tests.cli.test_redrive import RUN, WHY, Cafe, cafe_in
from tests.cli.test_redrive import hall as hall
from tests.kafka.fixtures import kafka_bootstrap as kafka_bootstrap
from tests.kafka.fixtures import kafka_url as kafka_url

DRINKS = [f"d{number}" for number in range(12)]


def killed_in_the_middle(cafe: Cafe) -> None:
    """A redrive of all letters is killed once it has begun, and given again."""
    running = process("dead-letters", "redrive", "--service", "bar", "--rate", "3", "--yes", *WHY)
    address = cafe.directory / ".choreo" / "log" / "serve.json"
    while "kafka" not in os.environ.get("CHOREO_LOG_URL", "") and not address.exists():
        assert running.poll() is None, running.communicate()  # who opens the log first owns it: it must outlive us
    while not cafe.letters("--state", "redriven"):  # ends by the test's own time limit
        assert running.poll() is None, running.communicate()
    running.kill()
    running.communicate()
    assert len(cafe.letters("--state", "open")) > 0
    cafe.choreo("dead-letters", "redrive", "--service", "bar", "--yes", *WHY)
    assert {row["state"] for row in cafe.letters()} == {"redriven"}


def emitted_in_two_goes(cafe: Cafe) -> None:
    """An emission of all orders to another topic is killed once it has begun, and gone on with."""
    running = process("replay", "emit", "cafe.orders", "--to", "elsewhere", "--rate", "3/s", "--yes", *WHY)
    said = read_until(running, "--resume")
    operation = said.rpartition("--resume ")[2].strip()
    while not sum(row["offsets"] for row in cafe.rows("topics", "list") if row["topic"] == "elsewhere"):
        assert running.poll() is None, running.communicate()
    running.kill()
    running.communicate()
    (done,) = cafe.rows("replay", "emit", "--resume", operation[:13])
    assert (done["operation"], done["emitted"], done["copies"]) == (operation, len(DRINKS), len(DRINKS))


def drinks_on(url: str, schemas: str, topic: str) -> list[str]:
    """What lies on a topic."""
    with open_log(url) as log:
        bodies = Bodies(open_registry(schemas))
        return [bodies.read(record)["drink"] for record in read_to_end(log, [topic])]


def test_a_redrive_that_is_killed_goes_on_without_duplicates(directory: Path, choreo: Choreo) -> None:
    """On the embedded log: every letter goes in once, in order, and replays are clean."""
    cafe = cafe_in(directory, choreo, "skip")
    cafe.broken(*DRINKS)
    cafe.order(*DRINKS)
    cafe.broken()
    killed_in_the_middle(cafe)
    choreo(*RUN)
    assert cafe.served() == DRINKS
    choreo("topics", "create", "elsewhere")
    emitted_in_two_goes(cafe)
    assert drinks_on("embedded:.choreo/log", "dir:.choreo/log/schemas", "elsewhere") == DRINKS
    assert choreo("replay", "verify").stdout.count("clean") == 2


def test_a_running_service_takes_up_what_is_redriven_beside_it(directory: Path, choreo: Choreo) -> None:
    """Nobody has to stop: the letter is settled and the event handled while the services run."""
    cafe = cafe_in(directory, choreo, "park")
    cafe.broken("latte")
    cafe.order("latte", "tea")
    cafe.broken()
    running = process("run")
    read_until(running, "running bar, till")
    (letter,) = cafe.letters()
    choreo("dead-letters", "redrive", letter["id"], *WHY)
    while cafe.served() != ["latte", "tea"]:  # ends by the test's own time limit
        assert running.poll() is None, running.communicate()
    assert "no key waits" in choreo("parked", "list").stderr
    running.terminate()
    running.communicate()


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
    emitted_in_two_goes(cafe)
    assert drinks_on(kafka_url, "dir:schemas", "cafe.served") == DRINKS
    assert drinks_on(kafka_url, "dir:schemas", "elsewhere") == DRINKS
    assert choreo("replay", "verify").stdout.count("clean") == 2


@pytest.mark.kafka
def test_a_timer_is_woken_on_kafka(hall: Cafe, choreo: Choreo, kafka_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the record that set it, found behind the time of its story; the replay is clean."""
    monkeypatch.setenv("CHOREO_LOG_URL", kafka_url)
    choreo("topics", "apply")
    choreo(*RUN, "--start-from", "earliest")
    hall.order("tea")
    assert [row["event"] for row in hall.rows("parked", "list", "--given-up")] == ["a timer"]
    hall.broken()
    choreo("parked", "release", "t1", *WHY)
    choreo(*RUN)
    assert drinks_on(kafka_url, "dir:schemas", "cafe.served") == ["bell"]
    assert [row["state"] for row in hall.letters()] == ["redriven"]
    assert choreo("replay", "verify").stdout.count("clean") == 1
