"""Probes and status over real HTTP, of services at work on the memory log under a clock that is moved."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest

from choreo import Service
from choreo.errors import ConfigError, LogUnavailableError
from choreo.record import NewRecord
from choreo.runtime import opening
from choreo.runtime.observer import Observers
from choreo.telemetry.endpoint import Address, Endpoint, read_address
from choreo.telemetry.family import FamilyWatch
from choreo.telemetry.health import Verdict
from choreo.telemetry.status import Watch
from choreo.telemetry.tally import Tally
from tests.runtime.test_observer import Posted, Stopping, Weigh
from tests.runtime.watched import WatchedTown

HERE = Address("127.0.0.1", 0)


class Watched(WatchedTown):
    """A town with a tally and a watch."""

    def __init__(self, service: Service) -> None:
        Weigh.broken.clear()
        tally = Tally()
        super().__init__(service, observer=Observers([tally]))
        self.watch = Watch(self.log, self.clock, tally, stalled_s=60)
        self.watch.workers = self.workers


@pytest.fixture
def town() -> Watched:
    return Watched(Service("post", handlers=[Weigh]))


@pytest.fixture
def endpoint(town: Watched) -> Iterator[Endpoint]:
    with Endpoint(HERE, town.watch) as endpoint:
        yield endpoint


def asked(address: Address, path: str, method: str = "GET") -> tuple[int, Any, HTTPResponse]:
    """Code, body and the answer itself."""
    connection = HTTPConnection(address.host, address.port, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body else None, answer
    finally:
        connection.close()


def test_a_process_becomes_ready_when_its_tasks_run(town: Watched, endpoint: Endpoint) -> None:
    """Live from the beginning; ready once it is a member and its tasks are open; not any more while it drains."""
    assert asked(endpoint.address, "/healthz")[:2] == (200, {"ok": True, "problems": []})
    code, said, _ = asked(endpoint.address, "/readyz")
    assert (code, said["ok"], said["problems"]) == (503, False, ["post: its worker is still taking up its tasks"])
    town.time.settle()
    assert asked(endpoint.address, "/readyz")[:2] == (200, {"ok": True, "problems": []})
    town.watch.stopping = lambda: True
    assert asked(endpoint.address, "/readyz")[0] == 503


def test_a_restoring_process_is_not_ready(town: Watched, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a store is rebuilt from its changelog the probe and the status show how far it is; then it is ready."""
    for n in range(30):
        town.tell(Posted(parcel=f"p{n}"))
    monkeypatch.setattr(opening, "RESTORE_STEP", 10)
    town.lose_stores()
    town.watch.workers = town.workers
    (worker,) = town.workers
    answers: list[tuple[int, Any]] = []
    while not answers or answers[-1][0] != 200:
        worker.step(town.clock.now(), worker.poll())
        answers.append((asked(endpoint.address, "/readyz")[0], asked(endpoint.address, "/status")[1]))
    restoring = [status["services"][0]["tasks"][0]["restoring"] for _, status in answers[:-1]]
    assert {code for code, _ in answers[:-1]} == {503}
    assert [step["done"] for step in restoring] == sorted({step["done"] for step in restoring})
    assert len(restoring) > 1
    assert answers[-1][1]["services"][0]["tasks"][0]["state"] == "running"


def test_a_worker_that_stands_still_is_unhealthy(town: Watched, endpoint: Endpoint) -> None:
    """The clock goes on and no step is made: the process is to be restarted; a step heals it."""
    town.time.settle()
    town.clock.move_to(town.clock.now() + 60_000_000)
    assert asked(endpoint.address, "/healthz")[0] == 200
    town.clock.move_to(town.clock.now() + 1_000_000)
    code, said, _ = asked(endpoint.address, "/healthz")
    assert (code, said["problems"]) == (503, ["post: its worker has made no step for 61.0 s"])
    town.workers[0].step(town.clock.now())
    assert asked(endpoint.address, "/healthz")[0] == 200
    town.workers[0].abandon()
    assert asked(endpoint.address, "/healthz")[1]["problems"] == ["post: its worker has ended"]


def test_the_status_shows_each_task(town: Watched, endpoint: Endpoint) -> None:
    """Lag, ages, counts of failures and checkpoints; ages in seconds by the clock."""
    Weigh.broken.add("p1")
    town.log.append([NewRecord("post.parcels", b"k", b"\xffgarbage", (), 0)])
    town.tell(*[Posted(parcel=f"p{n}") for n in range(3)])
    town.wait(5)
    committed_at = town.workers[0].tasks[0].meta.written_at
    code, said, answer = asked(endpoint.address, "/status")
    assert (code, answer.getheader("Content-Type")) == (200, "application/json")
    assert (said["live"], said["ready"], said["log"]) == (True, True, "memory:")
    (service,) = said["services"]
    assert (service["service"], service["lag"]) == ("post", 0)
    assert service["handled"] == town.workers[0].handled >= 4
    assert service["checkpoints"]["made"] == town.workers[0].checkpoints > 0
    (task,) = service["tasks"]
    assert (task["state"], task["lag"], task["parked"], task["uncommitted"]) == ("running", 0, 1, 0)
    assert (task["failed_attempts"], task["dead_letters"]) == (2, 1)
    assert task["checkpoint_age_s"] == (town.clock.now() - committed_at) / 1_000_000 > 4
    assert task["inputs"][0]["next"] == task["inputs"][0]["end"] > 0


def test_lag_grows_while_a_task_takes_nothing_in() -> None:
    """A halted task: not ready, still live; its lag counts what came since. The error's own text is not shown."""
    town = Watched(Service("post", handlers=[Stopping]))
    Weigh.broken.add("p1")
    with Endpoint(HERE, town.watch) as endpoint:
        town.tell(Posted(parcel="p1"))
        town.tell(*[Posted(parcel=f"q{n}") for n in range(7)])
        code, said, _ = asked(endpoint.address, "/readyz")
        task = asked(endpoint.address, "/status")[1]["services"][0]["tasks"][0]
        assert asked(endpoint.address, "/healthz")[0] == 200
    assert (code, said["problems"]) == (503, ["task post-0 is halted: Stopping failed 1 times on post.parcels[0]@0"])
    assert (task["state"], task["lag"]) == ("halted", 7)
    assert "scale" not in json.dumps([said, task])


def test_a_log_that_is_away_hides_only_the_lag(
    town: Watched, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Probes never ask the log; the status says what it knows and leaves the lags open."""
    town.tell(Posted(parcel="p1"))
    asked_for: list[object] = []

    def away(partitions: object) -> object:
        asked_for.append(partitions)
        raise LogUnavailableError("the log is away")

    monkeypatch.setattr(town.log, "ends", away)
    assert (asked(endpoint.address, "/healthz")[0], asked(endpoint.address, "/readyz")[0]) == (200, 200)
    assert asked_for == []
    task = asked(endpoint.address, "/status")[1]["services"][0]["tasks"][0]
    assert task["lag"] is None
    assert task["handled"] >= 1
    assert len(asked_for) == 1


def test_the_log_is_asked_once_a_second(town: Watched, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many who look at the status cost the log no more than one."""
    town.tell(Posted(parcel="p1"))
    ends = town.log.ends
    asked_for: list[object] = []

    def counted(partitions: Any) -> Any:
        asked_for.append(partitions)
        return ends(partitions)

    monkeypatch.setattr(town.log, "ends", counted)
    for _ in range(5):
        asked(endpoint.address, "/status")
    assert len(asked_for) == 1
    town.clock.move_to(town.clock.now() + 1_000_000)
    asked(endpoint.address, "/status")
    assert len(asked_for) == 2


def test_other_paths_and_methods(endpoint: Endpoint) -> None:
    """HEAD for simple probes; anything else is refused with what there is."""
    code, _, answer = asked(endpoint.address, "/healthz", "HEAD")
    assert (code, answer.headers["Server"].strip()) == (200, "choreo")
    code, said, _ = asked(endpoint.address, "/metrics")
    assert (code, said["try"]) == (404, ["/healthz", "/readyz", "/status"])
    assert asked(endpoint.address, "/healthz/?x=1")[0] == 200


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8080", "127.0.0.1:8080"),
        (":8080", "127.0.0.1:8080"),
        ("0.0.0.0:1", "0.0.0.0:1"),
        ("[::1]:80", "[::1]:80"),
    ],
)
def test_an_address_is_for_this_machine_unless_it_says_more(text: str, address: str) -> None:
    """Only a port: loopback."""
    assert str(read_address(text)) == address


@pytest.mark.parametrize("text", ["here", "1.2.3.4", "host:", "h:70000", "h:-1"])
def test_what_is_no_address_is_a_config_error(text: str) -> None:
    """It is found before anything runs."""
    with pytest.raises(ConfigError, match="is no address"):
        read_address(text)


def test_a_taken_port_is_a_config_error(town: Watched, endpoint: Endpoint) -> None:
    """Who else listens there is not known; what to do is."""
    with pytest.raises(ConfigError, match="can't be served") as caught:
        Endpoint(endpoint.address, town.watch)
    assert "another port" in str(caught.value)


def test_several_processes_are_as_well_as_the_worst_of_them(town: Watched, endpoint: Endpoint) -> None:
    """The parent of `--workers N` asks them all; one that never answered is starting, one that fell silent is dead."""
    other = Watched(Service("post", handlers=[Weigh]))
    town.time.settle()
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        silent = Address("127.0.0.1", reserved.getsockname()[1])
    with Endpoint(HERE, other.watch) as second:
        family = FamilyWatch([endpoint.address, second.address, silent])
        assert family.live() == Verdict(True)
        assert family.ready().problems == (
            "worker 2 does not answer",
            "worker 1: post: its worker is still taking up its tasks",
        )
        other.time.settle()
        with Endpoint(silent, other.watch):
            assert (family.live(), family.ready()) == (Verdict(True), Verdict(True))
            said: Any = family.status()
            assert (said["live"], said["ready"]) == (True, True)
            assert [each["services"][0]["service"] for each in said["workers"]] == ["post"] * 3
    assert family.live().problems == ("worker 1 does not answer", "worker 2 does not answer")
    with Endpoint(HERE, family) as whole:
        assert asked(whole.address, "/healthz")[0] == 503
        assert asked(whole.address, "/status")[1]["workers"][1:] == [None, None]
