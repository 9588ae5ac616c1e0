"""replay shadow: other code over a recorded run; what it does otherwise is told, all of it and nothing else."""

from datetime import timedelta
from typing import Any

import pytest

from choreo import Context, Event, Handler, Retry, Service, Store, Timer
from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.replay.contrast import served
from choreo.replay.deviations import Report
from choreo.replay.leeway import Stub, away
from choreo.replay.points import Moment
from choreo.replay.sample import First, Sample, Share
from choreo.replay.sandbox import Sandbox
from choreo.replay.shadow import Shadow, Window
from choreo.service.calls import Asked
from tests.runtime.test_async import Bank, Charge, RideEnded
from tests.runtime.test_thread import Placed, Reminded, Reserve, Reserved
from tests.runtime.town import NOON, Town


def named(handler: type[Handler[Any]], name: str = "Reserve") -> Service:
    """A service of the same names as the live one."""
    handler.__name__ = name
    return Service("inventory", handlers=[handler])


def shadow(town: Town, service: Service, window: Window | None = None, stub: Stub = away) -> Report:
    """What `service` does otherwise than the first service of the town."""
    before = everything(town.log)
    report = Shadow(Sandbox(service, town.log, town.registry), served(town.services[0]), window, stub).run()
    assert everything(town.log) == before
    return report


def everything(log: Log) -> object:
    """All topics, how far they reach, and what the groups committed."""
    places = [TopicPartition(name, n) for name, topic in log.topics().items() for n in range(topic.partitions)]
    return log.ends(places), log.committed("choreo.inventory", places)


def run_town(partitions: int = 3, service: Service | None = None, **options: object) -> Town:
    """Twelve orders are placed again and again by a worker that dies; some fail; reminders fire."""
    town = Town(service or Service("inventory", handlers=[Reserve]), partitions=partitions, options=options)
    for turn in range(3):
        town.tell(*[Placed(order_id=f"o{n}", pieces=n + turn) for n in range(12)])
        town.tell(Placed(order_id="bad", pieces=-1), Placed(order_id="o1", pieces=13))
        town.crash()
        town.wait(3 + 4000 * turn)
    return town


def test_the_same_code_differs_in_nothing() -> None:
    """Over a run with crashes, retries, dead letters and timers the code that ran reports nothing at all."""
    report = shadow(run_town(), Service("inventory", handlers=[Reserve]))
    assert report.clean, report
    assert report.inputs > 60
    assert report.emissions > 50
    assert report.entries > 15
    assert (report.seen.new_turns, report.seen.lost_turns) == (0, 0)


def test_changed_fields_are_told_for_each_event_and_no_other() -> None:
    """Code that decides otherwise for one order: each of its events that differs is told with the fields that do, and
    the entry that it left; the first of them is the cause, those behind it are consequences.
    """

    class More(Reserve):
        totals = Store[str, int](default=0)

        def handle(self, event: Placed, ctx: Context) -> Reserved:
            if event.order_id == "o7" and self.totals["o7"] == 7:
                self.totals["o7"] += 100
            return super().handle(event, ctx)

    report = shadow(run_town(), named(More))
    assert dict(report.by_event) == {("town.Reserved", "changed"): 2, ("totals", "entry"): 1}
    assert dict(report.by_handler) == {("Reserve", "changed"): 2, ("Reserve", "entry"): 1}
    assert dict(report.fields) == {("town.Reserved", "total"): 2}
    assert (report.causes, report.consequences) == (1, 2)
    (first,) = (one for one, _ in report.most_telling())
    assert (first.name, first.key, first.handlers, first.fields) == ("town.Reserved", "o7", ("Reserve",), ("total",))
    assert first.upon is not None
    assert (first.upon.name, first.upon.key) == ("town.Placed", "o7")


def test_events_on_one_side_only_are_told() -> None:
    """An event that the new code emits besides, or no more, is told; one that merely comes second now is not."""

    class Twice(Reserve):
        totals = Store[str, int](default=0)

        def handle(self, event: Placed, ctx: Context) -> tuple[Reserved | Reminded, ...]:  # type: ignore[override]
            answer = super().handle(event, ctx)
            return (Reminded(order_id="o3"), answer) if event.order_id == "o3" else (answer,)

    class Never(Reserve):
        totals = Store[str, int](default=0)

        def handle(self, event: Placed, ctx: Context) -> Reserved | None:  # type: ignore[override]
            answer = super().handle(event, ctx)
            return None if event.order_id == "o3" else answer

    more, less = shadow(run_town(), named(Twice)), shadow(run_town(), named(Never))
    assert dict(more.by_event) == {("town.Reminded", "only new"): 3}
    assert dict(less.by_event) == {("town.Reserved", "missing"): 3}
    assert more.by_handler["Reserve", "only new"] == less.by_handler["Reserve", "missing"] == 3


def test_timers_that_are_set_otherwise_fire_in_their_turn() -> None:
    """A reminder that the new code sets later fires behind the inputs that were emitted by then and tells of them; the
    one that was recorded does not.
    """

    turns: list[tuple[str, float]] = []

    class Later(Reserve):
        totals = Store[str, int](default=0)
        reminder = Timer[str]()

        def handle(self, event: Placed, ctx: Context) -> Reserved:
            answer = super().handle(event, ctx)
            self.reminder.set(event.order_id, after=timedelta(minutes=90))
            turns.append((event.order_id, (ctx.now.timestamp() * 1e6 - NOON) / 6e7))
            return answer

        @reminder.due
        def remind(self, key: str, ctx: Context) -> Reserved:  # type: ignore[override]  # another event than live
            turns.append((f"remind {key}", (ctx.now.timestamp() * 1e6 - NOON) / 6e7))
            return Reserved(order_id=key, total=self.totals[key])

    town = Town(Service("inventory", handlers=[Reserve]))
    town.tell(Placed(order_id="o1", pieces=2))
    town.wait(80 * 60)
    town.tell(Placed(order_id="o2", pieces=3))
    town.wait(20 * 60)
    town.tell(Placed(order_id="o3", pieces=3))
    report = shadow(town, named(Later))
    assert (report.seen.new_turns, report.seen.lost_turns) == (1, 1)
    assert dict(report.by_event) == {
        ("town.Reserved", "only new"): 1,
        ("town.Reminded", "missing"): 1,
        ("timer reminder", "entry"): 2,
    }
    assert turns == [("o1", 0), ("o2", 80), ("remind o1", 90), ("o3", 100)]


def test_a_timer_that_was_cancelled_late_is_no_difference() -> None:
    """A worker that was away handles a cancellation before the timer that was due first: the same code does, too."""

    class Cancelling(Handler[Placed]):
        reminder = Timer[str]()

        def handle(self, event: Placed, ctx: Context) -> None:
            if event.pieces:
                self.reminder.set(event.order_id, after=timedelta(hours=1))
            else:
                self.reminder.cancel(event.order_id)

        @reminder.due
        def remind(self, key: str, ctx: Context) -> Reminded:
            return Reminded(order_id=key)

    service = Service("inventory", handlers=[Cancelling])
    town = Town(service)
    town.tell(Placed(order_id="o1", pieces=1), Placed(order_id="o2", pieces=1))
    for worker in town.workers:
        worker.stop()
    town.clock.move_to(NOON + 7_200_000_000)
    codec_of(town, Placed(order_id="o1", pieces=0))
    town.start()
    town.wait(10)
    assert town.events("town.orders", [Reminded]) == [Reminded(order_id="o2")]
    assert shadow(town, Service("inventory", handlers=[Cancelling])).clean


def test_a_timer_that_fired_late_is_no_difference_where_the_changelog_is_compacted() -> None:
    """A worker that was away handles what came meanwhile before the timers that were due: the journal tells that they
    had their turn, also where no entry of them is left.
    """

    class Summing(Handler[Placed]):
        totals = Store[str, int](default=0)
        reminder = Timer[str]()

        def handle(self, event: Placed, ctx: Context) -> None:
            self.totals[event.order_id] += event.pieces
            if self.totals[event.order_id] == event.pieces:
                self.reminder.set(event.order_id, after=timedelta(hours=1))

        @reminder.due
        def remind(self, key: str, ctx: Context) -> Reserved:
            return Reserved(order_id=key, total=self.totals[key])

    town = Town(Service("inventory", handlers=[Summing]))
    town.tell(Placed(order_id="o1", pieces=2))
    for worker in town.workers:
        worker.stop()
    town.clock.move_to(NOON + 7_200_000_000)
    codec_of(town, Placed(order_id="o1", pieces=3))
    town.start()
    town.wait(10)
    assert town.events("town.orders", [Reserved]) == [Reserved(order_id="o1", total=5)]
    compact(town, TopicPartition("choreo.inventory.changelog", 0))
    report = shadow(town, Service("inventory", handlers=[Summing]))
    assert not report.causes
    assert (report.seen.new_turns, report.seen.lost_turns) == (0, 0)


def compact(town: Town, place: TopicPartition) -> None:
    """What Kafka does to a changelog: of each key the last record is left."""
    partition = town.log.partition(place)  # type: ignore[attr-defined]  # a MemoryLog
    last = {record.key: record for record in partition.records}
    partition.records = sorted(last.values(), key=lambda record: record.offset)
    partition.offsets = [record.offset for record in partition.records]


def codec_of(town: Town, *events: Event) -> None:
    """Put events on the log while nobody is at work."""
    from choreo.events.codec import Codec
    from choreo.service.client import fresh_ids

    codec = Codec(town.registry, (), town.log.cluster_id())
    town.log.append([codec.encode(event, fresh_ids(town.clock.now(), "story")) for event in events])


def test_dead_letters_are_told() -> None:
    """An input that becomes a dead letter by the new code, and one that no longer does, are told with their handler;
    attempts that failed are counted.
    """

    class Picky(Handler[Placed]):
        totals = Store[str, int](default=0)
        reminder = Timer[str]()
        retry = Retry(attempts=3, wait_s=1)

        def handle(self, event: Placed, ctx: Context) -> Reserved | None:
            if event.order_id == "o4":
                raise KeyError("o4")
            self.totals[event.order_id] += 1
            return None if event.order_id == "bad" else Reserved(order_id=event.order_id, total=1)

        @reminder.due
        def remind(self, key: str, ctx: Context) -> Reminded:
            return Reminded(order_id=key)

    town = Town(Service("inventory", handlers=[Reserve]))
    town.tell(Placed(order_id="bad", pieces=-1), Placed(order_id="o4", pieces=1))
    town.wait(10)
    report = shadow(town, named(Picky))
    assert report.by_handler["Reserve", "dead letter"] == 1
    assert report.by_handler["Reserve", "no dead letter"] == 1
    assert report.failures == {("Reserve", "KeyError"): 3}
    assert report.stories == ["story"], "what is parked behind a dead letter belongs to its story"


def fares(bank: Bank, handler: type[Handler[Any]] = Charge) -> Service:
    handler.__name__ = "Charge"
    return Service("fares", handlers=[handler], provide={"bank": lambda: bank})


def test_recorded_calls_are_answered_from_the_journal() -> None:
    """Nobody is called: the same code reports nothing, and a bank that says otherwise now changes nothing."""
    town = Town(fares(Bank()), partitions=2)
    town.tell(*[RideEnded(ride=f"r{n % 4}", kilometres=n) for n in range(1, 9)])
    now = Bank()
    report = shadow(town, fares(now))
    assert report.clean, report
    assert not now.asked


def test_a_new_call_is_listed_and_answered_by_a_stub_or_fails() -> None:
    """A call that the journal lacks is listed with its arguments and what it was made upon; a stub's answer is what the
    handler gets, and without one it fails as by a downstream that is away. A call that is no longer made is told, too.
    """

    class Careful(Charge):
        total = Store[str, int](default=0)

        async def handle(self, event: RideEnded, ctx: Context) -> Any:
            card = await ctx.ask("card", self.bank.card, event.ride)
            limit = await ctx.ask("limit", self.bank.price, 7)
            self.total[event.ride] += limit
            return FareCharged(ride=event.ride, cents=limit, card=card)

        handle.__annotations__["return"] = None

    from tests.runtime.test_async import FareCharged

    Careful.handle.__annotations__["return"] = FareCharged
    town = Town(fares(Bank()))
    town.tell(RideEnded(ride="r1", kilometres=3))

    def stub(asked: Asked) -> int:
        return 11 * asked.args[0]

    report = shadow(town, fares(Bank(), Careful), stub=stub)
    assert (report.seen.new_calls, report.seen.unanswered) == ({"limit": 1}, {})
    assert report.seen.dropped_calls == {"price": 1, "charge": 1}
    (call,) = report.seen.shown
    assert (call.name, call.arguments, call.answered) == ("limit", (7,), True)
    assert report.fields == {("fares.FareCharged", "cents"): 1}
    failed = shadow(town, fares(Bank(), Careful))
    assert failed.seen.unanswered["limit"] >= 1
    assert failed.failures["Charge", "AwayError"] >= 1
    assert failed.by_event["fares.FareCharged", "missing"] == 1


@pytest.mark.parametrize("sample", [Share(40), First(5)])
def test_a_sample_takes_whole_stories(sample: Sample) -> None:
    """Of a sample the same code reports nothing, and other code only stories that are in it."""

    class More(Reserve):
        totals = Store[str, int](default=0)

        def handle(self, event: Placed, ctx: Context) -> Reserved:
            return Reserved(order_id=event.order_id, total=super().handle(event, ctx).total + 1)

    town = Town(Service("inventory", handlers=[Reserve]), partitions=3)
    for turn in range(2):
        for n in range(30):
            town.tell(Placed(order_id=f"o{n}", pieces=1 + turn), ids=ids_of(town, f"story {n}", turn))
        town.wait(7200)
    assert shadow(town, Service("inventory", handlers=[Reserve]), Window(sample=sample)).clean
    report = shadow(town, named(More), Window(sample=sample))
    assert 0 < len(report.stories) < 30
    assert report.by_event["town.Reserved", "changed"] == 2 * len(report.stories)
    assert all(sample.knows(story) for story in report.stories)


def ids_of(town: Town, story: str, turn: int) -> Any:
    from choreo.service.client import fresh_ids

    return fresh_ids(town.clock.now(), story)


def test_a_part_of_the_past_is_run_from_what_was_there() -> None:
    """From one moment to another the new code begins with the stores as they were, and only what was handled between
    them is held against it.
    """

    class More(Reserve):
        totals = Store[str, int](default=0)

        def handle(self, event: Placed, ctx: Context) -> Reserved:
            return Reserved(order_id=event.order_id, total=super().handle(event, ctx).total + 1)

    town = Town(Service("inventory", handlers=[Reserve]))
    for _ in range(6):
        town.tell(Placed(order_id="o1", pieces=1), Placed(order_id="o2", pieces=1))
        town.wait(7200)
    hours = [Moment(NOON + n * 3_600_000_000 + 1) for n in (3, 7)]
    window = Window(hours[0], hours[1])
    same = shadow(town, Service("inventory", handlers=[Reserve]), window)
    assert same.clean, same
    assert same.entries > 2
    report = shadow(town, named(More), window)
    assert report.by_event["town.Reserved", "changed"] == 2 * 2
