"""Locks at work: coordinators and the lock service on the memory log, in virtual time, crashes included."""

from typing import Any

from choreo import Event
from choreo.errors import HandlingError
from choreo.events.envelope import Ids
from choreo.record import NewRecord, Record
from choreo.replay.verify import verify
from choreo.resilience.dead_letter import read
from choreo.saga.coordinator import coordinator
from choreo.saga.lifecycle import lifecycle_event
from choreo.saga.lock_events import answering, asking
from choreo.saga.lock_line import Line
from choreo.saga.locks import LockKeeper, lock_service, lock_services
from choreo.saga.spec import Spec, parse_spec
from choreo.service.client import fresh_ids
from tests.runtime.town import Town


class DeskEvent(Event, namespace="desk", topic="desk.work", key="case", abstract=True):
    """What happens to a case of a customer."""

    case: str


class Opened(DeskEvent):
    customer: str


class Closed(DeskEvent): ...


class CheckWanted(DeskEvent): ...


class Checked(DeskEvent): ...


class CheckFailed(DeskEvent): ...


EVENTS: dict[str, type[Event]] = {event.contract.full_name: event for event in DeskEvent.__subclasses__()}
SPEC = """\
saga: NAME
version: 1
namespace: desk
starts_on: Opened
correlate_by: case
within: none
isolate_on: {by: customer, scope: desk EXPIRES}
cancels_on: Closed
steps:
  - {name: check, emit: CheckWanted, completes_on: Checked, fails_on: CheckFailed, compensate: none}
"""


def spec(name: str = "claim", expires: str = "") -> Spec:
    return parse_spec(SPEC.replace("NAME", name).replace("EXPIRES", expires), f"{name}.yaml", EVENTS)


class Desk(Town):
    """Coordinators of these specs, and what keeps their locks."""

    def __init__(self, *specs: Spec, partitions: int = 3) -> None:
        super().__init__(*(coordinator(one, EVENTS) for one in specs), *lock_services(specs), partitions=partitions)

    def tell(self, *events: Event, ids: Ids | None = None) -> None:
        """Each in a story of its own, a moment after the one before."""
        for event in events:
            super().tell(event, ids=ids or fresh_ids(self.clock.now(), f"story-{self.clock.now()}"))
            self.wait(0.001)

    def crash(self) -> None:
        """Everybody dies, and is at work again."""
        super().crash()
        self.wait(0.001)

    def asked(self) -> list[str]:
        """The cases whose check was asked for, in order."""
        found = sorted(zip(self.ids("desk.work"), self.events("desk.work", EVENTS.values()), strict=True), key=_time)
        return [event.case for _, event in found if isinstance(event, CheckWanted)]

    def lines(self) -> dict[str, Line]:
        keys, values = LockKeeper.lines.codecs()
        (worker,) = (one for one in self.workers if one.service.name == "locks.desk")
        backends = [live.task.entries.backend for live in worker.tasks.values()]
        found = (entry for backend in backends for entry in backend.scan(keys.prefix(())))
        return {keys.decode(raw): values.load(value) for raw, value in found}

    def holders(self) -> dict[str, str]:
        return {lock: line.holder.key for lock, line in self.lines().items() if line.holder}

    def statuses(self, saga: str = "claim") -> dict[str, str]:
        changed = lifecycle_event(saga)
        told: list[Any] = self.events(f"choreo.saga.{saga}.lifecycle", [changed])
        return {event.key: event.status for event in sorted(told, key=lambda one: one.at)}

    def differences(self) -> list[str]:
        """What a replay of each service from the log alone has otherwise than it has it."""
        found = []
        for worker in self.workers:
            tasks = worker.tasks
            backend = lambda n, tasks=tasks: tasks[n].task.entries.backend  # noqa: E731
            verdict = verify(worker.service, self.log, self.registry, backend)
            found += [str(one) for one in (*verdict.differences, *verdict.divergences)]
        return found


def _time(told: tuple[Any, Event]) -> int:
    at: int = told[0].at
    return at


def opened(case: str, customer: str = "ada") -> Opened:
    return Opened(case=case, customer=customer)


def test_sagas_of_one_customer_go_one_by_one() -> None:
    """The second saga of a customer begins when the first has ended; that of another customer waits for nobody."""
    desk = Desk(spec())
    desk.tell(opened("c1"))
    desk.tell(opened("c2"))
    desk.tell(opened("c3", "bob"))
    assert desk.asked() == ["c1", "c3"]
    desk.tell(Checked(case="c1"))
    assert desk.asked() == ["c1", "c3", "c2"]
    desk.tell(Checked(case="c2"), Checked(case="c3"))
    assert desk.statuses() == dict.fromkeys(("c1", "c2", "c3"), "completed")
    assert desk.lines() == {}


def test_locks_are_granted_in_the_order_of_the_requests() -> None:
    """In log order of their topic, over all that wait; each after the end of the one before."""
    desk = Desk(spec())
    for number in range(6):
        desk.tell(opened(f"c{number}"))
    for number in range(6):
        assert desk.asked() == [f"c{n}" for n in range(number + 1)]
        desk.tell(Checked(case=f"c{number}"))
    assert desk.lines() == {}


def test_sagas_of_one_scope_exclude_each_other() -> None:
    """Another saga of the same scope waits, too; both are answered on topics of their own."""
    desk = Desk(spec("claim"), spec("refund"))
    desk.tell(opened("c1"))
    first, second = sorted(["claim", "refund"], key=lambda saga: desk.lines()["ada"].holder.saga != saga)  # type: ignore[union-attr]  # somebody holds it
    assert [one.saga for one in desk.lines()["ada"].waiting] == [second]
    assert len(desk.asked()) == 1
    desk.tell(Checked(case="c1"))
    assert {first: "completed"}.items() <= {saga: desk.statuses(saga)["c1"] for saga in (first, second)}.items()


def test_partitions_of_locks_and_sagas_may_differ() -> None:
    """A lock finds its line and a grant its saga, whatever the numbers of partitions are."""
    desk = Desk(spec(), partitions=5)
    other = Desk(spec(), partitions=1)
    for town in (desk, other):
        town.tell(*(opened(f"c{number}", f"customer{number % 4}") for number in range(12)))
        for _ in range(3):
            town.tell(*(Checked(case=case) for case in town.asked()))
        assert set(town.statuses().values()) == {"completed"}
    assert len(desk.records("choreo.saga.claim.locks")) == 12


def test_a_cancelled_saga_leaves_the_line() -> None:
    """Cancelled while it waits, it is passed over."""
    desk = Desk(spec())
    for case in ("c1", "c2", "c3"):
        desk.tell(opened(case))
    desk.tell(Closed(case="c2"))
    desk.tell(Checked(case="c1"))
    assert desk.asked() == ["c1", "c3"]
    assert (desk.statuses()["c2"], desk.holders()) == ("cancelled", {"ada": "c3"})


def test_an_expired_lock_goes_to_the_next() -> None:
    """At its time, also after a crash; the holder is told and says so in its story."""
    desk = Desk(spec(expires=", expires: 10m"))
    desk.tell(opened("c1"))
    desk.tell(opened("c2"))
    desk.wait(599)
    desk.crash()
    assert desk.holders() == {"ada": "c1"}
    desk.wait(2)
    assert (desk.holders(), desk.asked()) == ({"ada": "c2"}, ["c1", "c2"])
    told: list[Any] = desk.events("choreo.saga.claim.lifecycle", [lifecycle_event("claim")])
    assert ("lock: lost (choreo.saga.claim.LockExpired)",) in [event.change for event in told if event.key == "c1"]
    desk.tell(Checked(case="c1"))
    assert desk.holders() == {"ada": "c2"}


def test_a_lock_that_is_released_in_time_does_not_expire() -> None:
    """The next holder has its whole time."""
    desk = Desk(spec(expires=", expires: 10m"))
    desk.tell(opened("c1"))
    desk.tell(opened("c2"))
    desk.wait(590)
    desk.tell(Checked(case="c1"))
    desk.wait(590)
    assert desk.holders() == {"ada": "c2"}
    desk.wait(11)
    assert desk.holders() == {}


def test_a_free_lock_leaves_nothing_behind() -> None:
    """Neither a line nor a timer is kept of it."""
    desk = Desk(spec(expires=", expires: 10m"))
    desk.tell(opened("c1"))
    assert len(desk.stored("locks.desk")) >= 2
    desk.tell(Checked(case="c1"))
    assert [key for key in desk.stored("locks.desk") if not key.startswith(b"\x01~journal")] == []


def test_a_lock_belongs_to_the_story_of_its_saga() -> None:
    """A grant belongs to the saga that gets the lock, though another one's release made it."""
    desk = Desk(spec())
    desk.tell(opened("c1"))
    desk.tell(opened("c2"))
    desk.tell(Checked(case="c1"))
    started = {event.case: ids.correlation_id for ids, event in _told(desk, "desk.work", Opened)}
    answers = _told(desk, "choreo.saga.claim.locks", *answering("claim"))
    granted = {event.key: ids.correlation_id for ids, event in answers}
    assert len(set(granted.values())) == 2
    assert granted == started


def _told(desk: Desk, topic: str, *classes: type[Event]) -> list[tuple[Any, Any]]:
    events = desk.events(topic, EVENTS.values() if topic == "desk.work" else classes)
    return [(ids, one) for ids, one in zip(desk.ids(topic), events, strict=True) if isinstance(one, classes)]


def test_crashes_lose_no_lock_and_a_replay_is_the_same() -> None:
    """Whenever everybody dies, locks go on; the stores rebuilt from the log equal the live ones, entry by entry."""
    desk = Desk(spec(expires=", expires: 10m"))
    for number in range(8):
        desk.tell(opened(f"c{number}", f"customer{number % 2}"))
        desk.crash()
    desk.tell(Closed(case="c4"))
    desk.wait(700)
    desk.lose_stores()
    for _ in range(4):
        desk.tell(*(Checked(case=case) for case in desk.asked()))
        desk.crash()
    assert set(desk.statuses().values()) == {"completed", "cancelled"}
    assert (desk.lines(), desk.differences()) == ({}, [])


def test_a_grant_to_an_ended_saga_is_given_back() -> None:
    """A request that is heard again after the end, or was made for a saga that is gone, holds nothing up."""
    desk = Desk(spec())
    asks = asking("desk")
    desk.tell(opened("c1"))
    desk.tell(Checked(case="c1"))
    desk.tell(asks.requested(lock="ada", saga="claim", saga_key="c1"))
    desk.tell(asks.requested(lock="ada", saga="claim", saga_key="nobody"))
    assert (desk.lines(), desk.statuses()) == ({}, {"c1": "completed"})


def test_everything_may_arrive_twice() -> None:
    """Each event of the locks once more, at any later time, changes neither who holds nor who gets a lock."""
    desk = Desk(spec())
    desk.tell(opened("c1"))
    desk.tell(opened("c2"))
    for topic in ("choreo.locks.desk.requests", "choreo.saga.claim.locks"):
        desk.log.append([_again(record) for record in desk.records(topic)])
    desk.time.settle()
    assert (desk.asked(), desk.holders()) == (["c1"], {"ada": "c1"})
    assert [one.key for one in desk.lines()["ada"].waiting] == ["c2"]
    desk.tell(Checked(case="c1"))
    for topic in ("choreo.locks.desk.requests", "choreo.saga.claim.locks"):
        desk.log.append([_again(record) for record in desk.records(topic)])
    desk.time.settle()
    assert (desk.asked(), desk.holders()) == (["c1", "c2"], {"ada": "c2"})
    desk.tell(Checked(case="c2"))
    assert desk.lines() == {}


def _again(record: Record) -> NewRecord:
    return NewRecord(record.topic, record.key, record.value, record.headers, record.partition)


def test_a_saga_that_the_service_does_not_know_is_not_left_waiting_unseen() -> None:
    """Its request becomes a dead letter that says which specs must be run together."""
    town = Town(lock_service("desk", ["claim"]))
    town.tell(asking("desk").requested(lock="ada", saga="refund", saga_key="c1"))
    town.wait(4000)
    (letter,) = map(read, town.records("choreo.locks.desk.dead-letters"))
    assert letter.cause == HandlingError.__name__
    assert "the sagas of this scope are claim" in letter.error


def test_specs_without_locks_need_no_service() -> None:
    """One service for each scope, with all its sagas; none where nothing is isolated."""
    plain = parse_spec(SPEC.replace("isolate_on", "#").replace("NAME", "claim"), "claim.yaml", EVENTS)
    assert lock_services([plain]) == []
    (service,) = lock_services([spec("claim"), spec("refund")])
    assert (service.name, len(service.emitted)) == ("locks.desk", 6)
