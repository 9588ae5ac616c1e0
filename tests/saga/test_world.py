"""Random worlds: services that act late, twice or never, events in any order, crashes of luck; and what always
holds.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import permutations

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from choreo.saga.decision import SAGA_TIMER, Emit, Received
from choreo.saga.explain import explain, waits_for
from tests.saga.shop import changed, spec_of
from tests.saga.story import Story

RETRY = "within: 1h\n    on_timeout: {retry: {attempts: 3, wait: 10m}}"
SPEC = spec_of(changed(("within: 2d", RETRY)))
DO = {"reserve": "StockReserved", "pay": "PaymentTaken", "ship": "ParcelHandedOver", "deliver": "OrderDelivered"}
FAIL = {"reserve": "StockRejected", "pay": "PaymentDeclined"}
UNDO = {"reserve": "StockReleased", "pay": "PaymentRefunded", "ship": "ParcelRecalled"}


@dataclass
class World:
    """What really happened, what is under way to the services, and what is under way to the coordinator."""

    story: Story = field(default_factory=lambda: Story(SPEC))
    happened: Counter[str] = field(default_factory=Counter)
    successes: Counter[str] = field(default_factory=Counter)
    certain_failures: set[str] = field(default_factory=set)
    asked_in_vain: dict[str, int] = field(default_factory=dict)
    """How many undos had been asked for when a step was known to have failed."""
    to_services: list[tuple[str, str]] = field(default_factory=list)
    to_coordinator: list[Received] = field(default_factory=list)
    delivered: list[Received] = field(default_factory=list)
    heard: int = 0

    def say(self, name: str) -> None:
        """A service emits an event: it is later than all that was emitted before."""
        self.story.now += 1
        self.to_coordinator.append(self.story.received(name))

    def hear_requests(self) -> None:
        """What the coordinator emitted is on its way to the services."""
        for emit in self.story.emits[self.heard :]:
            if emit.kind != "notice":
                self.to_services.append((emit.kind, str(emit.step)))
        self.heard = len(self.story.emits)

    def act(self, kind: str, step: str, answers: str) -> None:
        """A service does, undoes, refuses or unknowingly does what it was asked for. A do happens once at most."""
        if kind == "undo":
            if answers == "fails" and step == "reserve":
                self.say("StockReleaseFailed")
                return
            self.happened[step] = 0
            self.say(UNDO[step])
        elif answers == "fails" and step in FAIL and not self.successes[step] and step not in self.certain_failures:
            self.certain_failures.add(step)
            self.say(FAIL[step])
        elif answers == "unknown" and step == "pay" and not self.successes[step]:
            self.say("PaymentUnknown")
            self.to_services.append(("do", step))
        elif step not in self.certain_failures and not self.successes[step]:
            self.happened[step] = 1
            self.successes[step] += 1
            self.say(DO[step])
            if step == "ship":
                self.to_services.append(("do", "deliver"))

    def deliver(self, index: int, *, again: bool = False) -> None:
        """The coordinator hears one of the events that are under way, or one that it heard before."""
        if again:
            self.story.give(self.delivered[index % len(self.delivered)])
        else:
            received = self.to_coordinator.pop(index % len(self.to_coordinator))
            self.delivered.append(received)
            self.story.give(received)
        for step in FAIL:
            if self.story.instance is not None and self.story.instance.steps[step].state == "failed":
                self.asked_in_vain.setdefault(step, len(undos(self.story.emits, step)))
        self.hear_requests()

    def wait(self, duration: str) -> None:
        self.story.after(duration)
        self.hear_requests()

    def rest(self) -> None:
        """Everybody acts and everything is heard, until nothing is under way."""
        for _ in range(500):
            if self.to_coordinator:
                self.deliver(0)
            elif self.to_services:
                self.act(*self.to_services.pop(0), answers="does")
            else:
                return
        raise AssertionError("the world does not come to rest")


def undos(emits: list[Emit], step: str) -> list[Emit]:
    return [emit for emit in emits if emit.kind == "undo" and emit.step == step]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_happens_a_saga_ends_or_says_what_it_waits_for(data: st.DataObject) -> None:
    """After any course of events: it ends or waits visibly, nothing is left behind, and each undo has its reason."""
    world = World()
    world.say("OrderPlaced")
    world.to_services += [("do", "reserve"), ("do", "pay")]
    for _ in range(data.draw(st.integers(5, 30), "steps")):
        choice = data.draw(st.sampled_from(["deliver", "deliver", "act", "act", "again", "wait", "cancel"]), "choice")
        number = data.draw(st.integers(0, 20), "number")
        if choice == "deliver" and world.to_coordinator:
            world.deliver(number)
        elif choice == "act" and world.to_services:
            asked = world.to_services.pop(number % len(world.to_services))
            world.act(*asked, answers=data.draw(st.sampled_from(["does", "does", "fails", "unknown"]), "answers"))
        elif choice == "again" and world.delivered:
            world.deliver(number, again=True)
        elif choice == "wait":
            world.wait(data.draw(st.sampled_from(["10s", "1m", "1h"]), "duration"))
        elif choice == "cancel" and number < 3:
            world.say("OrderCancelled")
        check_always(world)
    world.rest()
    check_always(world)
    check_at_rest(world)


def check_always(world: World) -> None:
    """Each round asks under one id, attempt by attempt; a step is undone at most once more than it happened."""
    emits = world.story.emits
    for step in UNDO:
        asked = undos(emits, step)
        for number in {emit.round for emit in asked}:
            same = [emit for emit in asked if emit.round == number]
            assert len({emit.request_id for emit in same}) == 1
            assert [emit.attempt for emit in same] == list(range(1, len(same) + 1))
        assert len({emit.round for emit in asked}) <= world.successes[step] + 1
    assert len({emit.request_id for emit in emits if emit.kind == "do" and emit.step == "ship"}) <= 1
    check_timers(world.story)


def check_timers(story: Story) -> None:
    """Only what waits has a timer, and each timer is the one that its step knows of."""
    if story.instance is not None:
        due = {name: record.due for name, record in story.instance.steps.items() if record.due is not None}
        due |= {SAGA_TIMER: story.instance.due} if story.instance.due is not None else {}
        assert story.timers == due
        assert (SAGA_TIMER in due) == story.instance.ended
        for record in story.instance.steps.values():
            waits = record.state in ("idle", "waiting", "requested", "compensating")
            assert waits or (record.due is None and not record.resting)


def check_at_rest(world: World) -> None:
    """Ended or waiting visibly; what is undone leaves nothing behind, what is completed is all there."""
    story = world.story
    instance = story.instance
    assert instance is not None
    event(instance.status)
    left = {step for step in UNDO if world.happened[step]}
    told = explain(SPEC, instance)
    assert instance.ended or waits_for(SPEC, instance), told
    if instance.status in ("compensated", "cancelled"):
        assert left == set(), told
    if instance.status == "completed":
        assert left == set(UNDO), told
        assert not [emit for emit in story.emits if emit.kind == "undo"], told
    if instance.cancelled:
        assert all(emit.cancelled for emit in story.emits if emit.kind == "undo")
    for step, record in instance.steps.items():
        if record.state == "failed" and step in world.certain_failures and record.by == f"shop.{FAIL[step]}":
            assert len(undos(story.emits, step)) == world.asked_in_vain[step], told


@pytest.mark.parametrize("rest", list(permutations(DO.values())), ids=lambda order: "-".join(order))
def test_successes_in_any_order_complete(rest: tuple[str, ...]) -> None:
    """The order in which the same events arrive does not change the outcome, the start event included."""
    for place in range(len(rest) + 1):
        story = Story(SPEC).when(*rest[:place], "OrderPlaced", *rest[place:]).stands("completed")
        assert [emit.event for emit in story.emits] in ([], ["shop.ShipmentRequested"])


@pytest.mark.parametrize("stock", ["StockReserved", "StockRejected"])
@pytest.mark.parametrize("money", ["PaymentDeclined", "PaymentUnknown"])
def test_a_failure_ends_the_same_in_any_order(stock: str, money: str) -> None:
    """A failed payment and whatever the stock says: compensated, whichever is heard first."""
    outcomes = set()
    for order in permutations(["OrderPlaced", stock, money]):
        story = Story(SPEC).when(*order, "StockReleased", "PaymentRefunded", "StockReleased")
        assert story.instance is not None
        kept = story.state("reserve") == "done" or story.state("pay") in ("done", "unknown")
        outcomes.add((story.instance.status, kept))
    assert outcomes == {("compensated", False)}
