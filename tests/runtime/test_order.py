"""Order: causes before effects, inputs before timers, outcomes that do not depend on the partition count."""

from datetime import timedelta

from choreo import Context, Event, Handler, Service, Store, Timer
from choreo.clock import VirtualClock
from choreo.record import TopicPartition
from choreo.runtime.frontier import Frontier
from tests.runtime.town import Town


class Asked(Event, namespace="order", topic="order.questions", key="case"):
    case: str


class Answered(Event, namespace="order", topic="order.answers", key="case"):
    case: str
    number: int = 0


class Expired(Event, namespace="order", topic="order.questions", key="case"):
    case: str


class Answer(Handler[Asked]):
    def handle(self, event: Asked, ctx: Context) -> list[Answered]:
        return [Answered(case=event.case, number=n) for n in range(2)]


class Watch(Handler[Asked | Answered]):
    """Expires what was not answered within a minute; remembers in which order it saw things."""

    seen = Store[str, tuple[str, ...]](default=())
    patience = Timer[str]()

    def handle(self, event: Asked | Answered, ctx: Context) -> None:
        self.seen[event.case] = (*self.seen[event.case], type(event).__name__)
        if isinstance(event, Asked):
            self.patience.set(event.case, after=timedelta(minutes=1))
        else:
            self.patience.cancel(event.case)

    @patience.due
    def expire(self, case: str, ctx: Context) -> Expired:
        return Expired(case=case)


def watched(town: Town) -> dict[str, bytes]:
    found = town.stored("watch")
    return {key.decode().split("\0", 1)[1]: value for key, value in found.items() if b"seen" in key}


def test_a_cause_is_handled_before_what_it_caused() -> None:
    """A service that reads question and answer from two topics sees the question first, however far behind it is."""
    answer, watch = Service("answer", handlers=[Answer]), Service("watch", handlers=[Watch])
    town = Town(answer, watch, partitions=3)
    town.workers = town.workers[:1]
    town.time = type(town.time)(town.clock, town.workers)
    town.tell(*[Asked(case=f"c{n}") for n in range(50)])
    town.crash()
    town.time.settle()
    orders = set(watched(town).values())
    assert len(watched(town)) == 50
    assert orders == {b'\x01["Asked","Answered","Answered"]'}


def test_an_outage_expires_nothing_that_was_answered_meanwhile() -> None:
    """After ten minutes of standing still, answers on the log are read before any timer that passed fires."""
    answer, watch = Service("answer", handlers=[Answer]), Service("watch", handlers=[Watch])
    town = Town(answer, watch)
    workers = town.workers
    town.time = type(town.time)(town.clock, workers[1:])
    town.tell(*[Asked(case=f"c{n}") for n in range(20)])
    town.time = type(town.time)(town.clock, workers[:1])
    town.time.settle()
    workers[1].abandon()
    town.clock.move_to(town.clock.now() + 600_000_000)
    town.workers = workers[:1]
    town.crash()
    town.wait(600)
    assert [e for e in town.events("order.questions", (Asked, Expired)) if isinstance(e, Expired)] == []


class Ends:
    def __init__(self) -> None:
        self.end = 0
        self.asked = 0

    def ends(self, partitions: object) -> dict[TopicPartition, int]:
        self.asked += 1
        return {INPUT: self.end}

    def position(self, partition: TopicPartition) -> int:
        return self.read

    read = 0


INPUT = TopicPartition("t", 0)


def test_the_frontier_moves_only_when_what_was_there_is_read() -> None:
    """An input counts as read up to an instant when everything that ended before it has been handled."""
    log = Ends()
    frontier = Frontier(log, log)
    log.end = 3
    frontier.look([INPUT], 10)
    assert frontier.read_until(INPUT) == -1
    log.end = 9
    log.read = 2
    frontier.look([INPUT], 20)
    assert (frontier.read_until(INPUT), log.asked) == (-1, 1)
    log.read = 3
    frontier.look([INPUT], 30)
    assert (frontier.read_until(INPUT), log.asked) == (10, 2)
    log.read = 9
    frontier.look([INPUT], 40)
    assert (frontier.read_until(INPUT), log.asked) == (40, 3)
    frontier.forget([INPUT])
    assert frontier.read_until(INPUT) == -1


def test_an_end_seen_before_a_poll_says_nothing_of_its_causes() -> None:
    """Not even where the clock has not moved since, or was set back: what a poll brought waits until an end was seen
    after it.
    """
    log = Ends()
    frontier = Frontier(log, log)
    frontier.look([INPUT], 10)
    frontier.polls = 1
    assert (frontier.behind([INPUT], 10), frontier.unread([INPUT], 1)) == ([], [INPUT])
    frontier.look([INPUT], 9)
    assert (frontier.read_until(INPUT), frontier.unread([INPUT], 1)) == (10, [])
    assert VirtualClock(5).now() == 5
