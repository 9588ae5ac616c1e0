"""What sagas went through is read back from the log, and leads to where they stand."""

import sys
from types import SimpleNamespace
from typing import Any

from choreo.cli.progress import Progress
from choreo.cli.saga_past import Pasts
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.record import TopicPartition
from choreo.saga.commands import command_of
from choreo.saga.coordinator import Coordinator, coordinator
from choreo.saga.decision import Command, Order, Received, Skip
from choreo.saga.instance import Instance
from choreo.saga.migration import Answers, Verdict, Versions, classify
from choreo.saga.refold import History, Tick
from choreo.saga.rules import Spec
from choreo.saga.spec import parse_spec
from choreo.service.client import fresh_ids
from choreo.service.service import Service
from tests.runtime.town import Town
from tests.saga.flow import CATALOGUE, FlowEvent, source, step

RETRY = "on_timeout: {retry: {attempts: 5, wait: 10m}}"
STEPS = (
    step("a", "emit: AskA", "within: 1h", RETRY),
    step("b", "emit: AskB", "remind: {emit: Told1, every: 20m, at_most: 2}"),
    step("c", "emit: AskC", "after: [a, b]", "within: 1h", RETRY),
)


class Started(FlowEvent, namespace="flow"):
    """As it is by now: it has one field more, which nobody gave before."""

    m: int


def spec_of(version: int, events: dict[str, type[Event]] = CATALOGUE, **keys: str) -> Spec:
    """A flow, under this number."""
    return parse_spec(source(*STEPS, **{"version": str(version), **keys}), "flow.yaml", events)


def past_of(town: Town, service: Service) -> History:
    """The history of the saga x1, as the console reads it."""
    progress = Progress(sys.stderr, terminal=False, silent=True)
    project: Any = SimpleNamespace(past=town.log, registry=town.registry, progress=progress)
    found = Pasts(project, service).of(["x1"])["x1"]
    assert isinstance(found, History), found
    return found


def live_of(town: Town) -> Instance:
    """The saga x1 as it is stored."""
    keys, values = Coordinator.instances.codecs()
    found: Instance = values.load(town.stored("saga.flow")[keys.encode("x1")])
    return found


def happens(town: Town, *names: str) -> None:
    """These events come, one a second."""
    for name in names:
        town.tell(CATALOGUE[f"flow.{name}"](case="x1"))  # type: ignore[call-arg]  # a field of every event of a flow
        town.wait(1)


def orders(town: Town, order: Order) -> None:
    """Ada gives an order."""
    town.tell(command_of("flow", "x1", order, "ada", "why not"))


def judged(town: Town, history: History, first: Spec, to: Spec) -> Verdict:
    """What a migration would mean to it."""
    return classify(live_of(town), history, Versions({first.digest: first}, to), Answers(), {})


def test_the_log_leads_to_where_a_saga_stands() -> None:
    """Early events, duplicates, what changed nothing, timers between them and orders: all as it was, to its timers."""
    first, to = spec_of(1), spec_of(2)
    service = coordinator(first, CATALOGUE)
    town = Town(service)
    happens(town, "BDone", "Started", "BDone")
    town.wait(2 * 3_600)
    happens(town, "Told1", "ADone", "ADone")
    town.wait(3_600)
    history = past_of(town, service)
    assert [type(one) for one in history.then].count(Tick) == 3
    assert [one.event for one in history.early] == ["flow.BDone"]
    verdict = judged(town, history, first, to)
    assert verdict.order is not None, verdict
    assert verdict.order.instance.steps == live_of(town).steps
    orders(town, Skip("c"))
    (*_, last) = past_of(town, service).then
    assert isinstance(last, Command)
    assert (last.order, last.who) == (Skip("c"), "ada")


def test_an_event_that_its_class_can_not_read_any_more_is_read_as_it_was_written() -> None:
    """What it does not have is asked for."""
    first = spec_of(1)
    town = Town(coordinator(first, CATALOGUE))
    happens(town, "Started", "ADone")
    events: dict[str, type[Event]] = {**CATALOGUE, "flow.Started": Started}
    to = spec_of(2, events, remember="[m]")
    history = past_of(town, coordinator(to, events, older=[first]))
    assert "m" not in history.start.fields
    assert history.start.fields["case"] == "x1"
    assert judged(town, history, first, to).reasons == ("version 2 remembers saga.m, and no event of it has that",)


def test_what_the_coordinator_has_not_handled_is_no_part_of_it() -> None:
    """An event that lies on the log and has not been taken yet is left to come."""
    first = spec_of(1)
    service = coordinator(first, CATALOGUE)
    town = Town(service)
    happens(town, "Started")
    for worker in town.workers:
        worker.abandon()
    codec = Codec(town.registry, (), town.log.cluster_id())
    late = CATALOGUE["flow.ADone"](case="x1")  # type: ignore[call-arg]  # a field of every event of a flow
    town.log.append([codec.encode(late, fresh_ids(town.clock.now(), "story"))])
    assert past_of(town, service).then == ()
    town.start()
    town.time.settle()
    (taken,) = past_of(town, service).then
    assert isinstance(taken, Received)
    assert taken.event == "flow.ADone"


def test_what_changed_nothing_stands_where_the_journal_has_it() -> None:
    """Its time is when it was handled, not when it was emitted: here two hours later, before the timers of then."""
    first = spec_of(1)
    service = coordinator(first, CATALOGUE)
    town = Town(service)
    happens(town, "Started")
    for worker in town.workers:
        worker.abandon()
    codec = Codec(town.registry, (), town.log.cluster_id())
    seen = CATALOGUE["flow.ADone"](case="x1")  # type: ignore[call-arg]  # a field of every event of a flow
    emitted = [fresh_ids(town.clock.now() + n, "story") for n in range(2)]
    town.log.append([codec.encode(seen, ids) for ids in emitted])
    handled = town.clock.now() + 2 * 3_600_000_000
    town.clock.move_to(handled)
    town.start()
    town.time.settle()
    then = past_of(town, service).then
    assert [one.event_id for one in then if isinstance(one, Received)] == [ids.event_id for ids in emitted]
    assert [one.now for one in then][:2] == [handled, handled]
    assert [type(one) for one in then[2:]] == [Tick] * (len(then) - 2)


def test_a_journal_that_is_not_whole_leaves_the_order_to_the_lifecycle() -> None:
    """Where a page is missing the past is read as the changes tell it, and leads to the same steps."""
    first, to = spec_of(1), spec_of(2)
    service = coordinator(first, CATALOGUE)
    town = Town(service)
    happens(town, "Started", "ADone")
    whole = past_of(town, service)
    partition = town.log.partition(TopicPartition("choreo.saga.flow.journal", 0))  # type: ignore[attr-defined]  # a MemoryLog
    del partition.records[0], partition.offsets[0]
    torn = past_of(town, service)
    assert torn == whole
    assert judged(town, torn, first, to).order is not None
