"""The thin thread: an event in, a store written, an event out, through one checkpoint."""

from datetime import timedelta

from choreo import Context, Event, GiveUp, Handler, Retry, Service, Store, Timer
from choreo.resilience.dead_letter import read
from tests.runtime.town import NOON, Town


class OrderEvent(Event, namespace="town", topic="town.orders", key="order_id", abstract=True):
    order_id: str


class Placed(OrderEvent):
    pieces: int


class Reserved(OrderEvent):
    total: int


class Reminded(OrderEvent):
    pass


class Reserve(Handler[Placed]):
    totals = Store[str, int](default=0)
    reminder = Timer[str]()
    retry = Retry(attempts=3, wait_s=1)
    failing = False

    def handle(self, event: Placed, ctx: Context) -> Reserved:
        if event.pieces < 0:
            raise ValueError("less than nothing")
        if event.pieces == 13:
            raise GiveUp("no")
        self.totals[event.order_id] += event.pieces
        self.reminder.set(event.order_id, after=timedelta(hours=1))
        return Reserved(order_id=event.order_id, total=self.totals[event.order_id])

    @reminder.due
    def remind(self, key: str, ctx: Context) -> Reminded:
        return Reminded(order_id=key)


ALL = (Placed, Reserved, Reminded)


def town(partitions: int = 1) -> Town:
    return Town(Service("inventory", handlers=[Reserve]), partitions=partitions)


def test_an_event_is_handled_and_answered() -> None:
    """What a handler returns stands on the log, caused by what it handled."""
    place = town()
    place.tell(Placed(order_id="o1", pieces=2))
    assert place.events("town.orders", ALL) == [Placed(order_id="o1", pieces=2), Reserved(order_id="o1", total=2)]
    cause, effect = place.ids("town.orders")
    assert effect.causation_id == cause.event_id
    assert effect.correlation_id == "story"
    assert effect.at > cause.at


def test_a_timer_fires_once_at_its_time() -> None:
    """A timer fires when its time has come, in the story that set it, and not again after a crash."""
    place = town()
    place.tell(Placed(order_id="o1", pieces=2))
    place.wait(3599)
    assert len(place.records("town.orders")) == 2
    place.wait(2)
    place.crash()
    place.wait(7200)
    assert place.events("town.orders", ALL)[2:] == [Reminded(order_id="o1")]
    assert place.ids("town.orders")[2].correlation_id == "story"
    assert place.clock.now() == NOON + 10_801 * 1_000_000


def test_a_store_survives_a_crash() -> None:
    """State that was committed is there after a crash; an event is not handled twice."""
    place = town(partitions=3)
    place.tell(*[Placed(order_id=f"o{n}", pieces=n) for n in range(12)])
    place.crash()
    place.tell(*[Placed(order_id=f"o{n}", pieces=1) for n in range(12)])
    totals = {e.order_id: e.total for e in place.events("town.orders", ALL) if isinstance(e, Reserved)}
    assert totals == {f"o{n}": n + 1 for n in range(12)}


def test_a_failing_event_parks_its_key_alone() -> None:
    """Other keys go on; the parked key's later events wait in order and follow after the last attempt's dead letter."""
    place = town()
    place.tell(Placed(order_id="bad", pieces=-1), Placed(order_id="bad", pieces=1), Placed(order_id="good", pieces=1))
    assert place.events("town.orders", ALL)[3:] == [Reserved(order_id="good", total=1)]
    place.wait(5)
    (letter,) = place.records("choreo.inventory.dead-letters")
    assert read(letter).door == "handle"
    assert read(letter).attempts == 3
    assert "less than nothing" in read(letter).error


def test_giving_up_needs_no_further_attempt() -> None:
    """GiveUp goes to the dead letters at once."""
    place = town()
    place.tell(Placed(order_id="bad", pieces=13))
    (letter,) = place.records("choreo.inventory.dead-letters")
    assert read(letter).attempts == 1
