"""Scenarios: each verb of a story, what it promises, and what it says when the promise is broken."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from choreo import GiveUp, Service, Store
from choreo.errors import ConfigError
from choreo.testing import Scenario, World, like
from tests.testing.counters import (
    CarryBox,
    Conveyor,
    Counted,
    CountPieces,
    Forgotten,
    Full,
    HearScanner,
    JamError,
    Put,
    Scanned,
    TooMuchError,
    boxes,
    busy,
    careless,
    carriers,
    relayed,
    scanner,
)


def complaint(failing: Callable[[], object]) -> str:
    """What a failing check says."""
    with pytest.raises(AssertionError) as caught:
        failing()
    return str(caught.value)


def test_what_is_given_is_forgotten_what_is_kept_is_not() -> None:
    """`then` speaks of what followed the last `when`, upon the state that was given."""
    story = Scenario(boxes).given(Put(box="a")).when(Put(box="a"))
    story.then(Counted(box="a", total=2))
    story.when(Put(box="b")).then(Counted(box="b", total=1)).then_stored(CountPieces.totals, {"a": 2, "b": 1})


def test_steps_change_the_story_itself() -> None:
    """Each step may be a line of its own: it is one story, and every step answers it."""
    story = Scenario(boxes)
    assert story.when(Put(box="a")) is story
    assert story.then(Counted(box="a", total=1)) is story


def test_nothing_happens_is_a_promise_too() -> None:
    """`then()` fails where anything was emitted, and passes where nothing was."""
    story = Scenario(boxes).given(Put(box="a")).then()
    assert "unexpected  Counted(box='a', total=2)" in complaint(lambda: story.when(Put(box="a")).then())


def test_order_counts_within_a_key() -> None:
    """Events of one key in another order fail; those of several keys may come in any."""
    story = Scenario(boxes).when(Put(box="a", pieces=3), Put(box="b"))
    story.then(Counted(box="b", total=1), Counted(box="a", total=3), Full(box="a"))
    wrong = complaint(lambda: story.then(Full(box="a"), Counted(box="a", total=3), Counted(box="b", total=1)))
    assert "every event came, but those of one key in another order" in wrong


def test_a_failure_says_what_differs_and_prints_the_story() -> None:
    """The nearest event is shown with its differing fields, then the table: when, who, what, caused by."""
    story = Scenario(boxes).given(Put(box="a", pieces=2)).when(Put(box="a")).after(minutes=5).restart()
    told = complaint(lambda: story.then(Counted(box="a", total=4), like(Forgotten)))
    lines = told.splitlines()
    assert "  missing     Counted(box='a', total=4)" in lines
    assert "  instead     Counted(box='a', total=3)" in lines
    assert "              total is 3, not 4" in lines
    assert "  missing     like(Forgotten)" in lines
    assert "  unexpected  Full(box='a', label='')" in lines
    rows = [line.split() for line in lines[lines.index("The story so far (1 partition):") + 1 :]]
    assert rows[0] == ["#", "when", "who", "what", "caused", "by"]
    assert rows[1] == ["1", "03-02", "12:00:00.000", "given", "Put(box='a',", "pieces=2)"]
    assert rows[4] == ["4", "03-02", "12:00:00.000", "boxes.CountPieces", "Counted(box='a',", "total=3)", "3", "Put"]
    assert rows[5] == ["5", "03-02", "12:00:00.000", "boxes.CountPieces", "Full(box='a',", "label='')", "3", "Put"]
    assert rows[-2:] == [
        ["03-02", "12:05:00.000", "(test)", "after", "0:05:00"],
        ["03-02", "12:05:00.000", "(test)", "restart"],
    ]


def test_timers_fire_when_the_clock_is_moved_there() -> None:
    """A timer fires at its very instant, not before; nobody waits for it."""
    story = Scenario(boxes).when(Put(box="a")).after(minutes=59, seconds=59)
    story.then(Counted(box="a", total=1))
    story.after(seconds=1).then(Counted(box="a", total=1), Forgotten(box="a")).then_stored(CountPieces.totals, {})
    assert story.now == datetime(2026, 3, 2, 13, tzinfo=UTC)
    row = next(line.split() for line in complaint(story.then).splitlines() if line.endswith("a timer"))
    assert row == ["3", "03-02", "13:00:00.000", "boxes.CountPieces", "Forgotten(box='a')", "a", "timer"]


def test_a_story_may_begin_at_another_time() -> None:
    """`start` is when it begins, whatever its time zone."""
    start = datetime(1999, 12, 31, 23, tzinfo=UTC)
    assert Scenario(boxes, start=start).after(hours=2).now == datetime(2000, 1, 1, 1, tzinfo=UTC)


def test_retries_wait_in_virtual_time() -> None:
    """A failing handler is tried again when the clock gets there, and a dead letter comes after the last attempt."""
    conveyor = Conveyor()
    conveyor.jammed = True
    story = Scenario(carriers).using(conveyor=conveyor).when(Full(box="a"))
    told = complaint(lambda: story.then_dead_letter(Full, cause=JamError))
    assert "there are no dead letters" in told
    row = [
        "03-02",
        "12:01:00.000",
        "carriers",
        *["TO", "BE", "TRIED", "AGAIN", "Full:", "JamError:", "a", "box", "lies", "across", "failed", "2", "times"],
    ]
    assert told.splitlines()[-1].split() == row
    story.after(seconds=60).then_dead_letter(Full, cause=JamError).then_dead_letter(Full, cause=Exception)
    told = complaint(lambda: story.then_dead_letter(Full, cause=TooMuchError))
    assert "no Full became a dead letter because of TooMuchError" in told
    assert "Full: JamError: a box lies across" in told
    assert "carriers.CarryBox  DEAD LETTER Full a: JamError: a box lies across" in told
    assert "TO BE TRIED AGAIN" not in told


def test_dead_letters_before_the_last_when_do_not_count() -> None:
    """`then_dead_letter` speaks of what followed the last `when`, as `then` does."""
    story = Scenario(boxes).when(Put(box="a", pieces=10)).after(minutes=5).then_dead_letter(Put, cause=TooMuchError)
    story.when(Put(box="b")).then(Counted(box="b", total=1))
    complaint(lambda: story.then_dead_letter(Put, cause=TooMuchError))


@pytest.mark.parametrize("service", [scanner, relayed], ids=str)
def test_a_dead_letter_is_known_by_its_event(service: Service) -> None:
    """Also that of a foreign event, and that of one which came through a relay."""
    story = Scenario(service, partitions=(3,)).when(Scanned(box="smudged"))
    story.then_dead_letter(Scanned, cause=GiveUp)


def test_stores_are_rebuilt_from_the_log() -> None:
    """After a restart nobody has a disk: what is there came back by the changelog."""
    story = Scenario(boxes).given(Put(box="a", pieces=2)).restart().then_stored(CountPieces.totals, {"a": 2})
    story.when(Put(box="a")).then(Counted(box="a", total=3), Full(box="a")).after(hours=1).then_stored(
        CountPieces.totals, {}
    )


def test_a_wrong_store_is_shown_entry_by_entry() -> None:
    """Entries that are missing, wrong and too many are named; those that fit are not."""
    story = Scenario(boxes).given(Put(box="a"), Put(box="b"), Put(box="c"))
    told = complaint(lambda: story.then_stored(CountPieces.totals, {"a": 1, "b": 2, "d": 1}))
    assert "  'b': 1, expected 2" in told
    assert "  'c': 1, expected no entry" in told
    assert "  'd': no entry, expected 1" in told
    assert "  'a'" not in told


@pytest.mark.parametrize("partitions", [(1,), (5,), (1, 5), (3, 1, 2)])
def test_a_dependency_sees_each_step_once(partitions: tuple[int, ...]) -> None:
    """However many worlds there are, the test's own fake is left as one of them left it."""
    conveyor = Conveyor()
    carried = conveyor.carried
    story = Scenario(carriers, partitions=partitions).using(conveyor=conveyor).given(Full(box="a"))
    assert carried == ["a"]
    carried.clear()
    story.when(Full(box="b")).then_stored(CarryBox.carried, {"a": 1, "b": 1})
    assert conveyor.carried is carried
    assert carried == ["b"]


def test_a_class_makes_a_dependency_for_each_worker() -> None:
    """A class or function given by `using` is called: each world has its own."""
    made: list[Conveyor] = []

    def make() -> Conveyor:
        made.append(Conveyor())
        return made[-1]

    Scenario(carriers, partitions=(1, 2)).using(conveyor=make).when(Full(box="a"))
    assert [conveyor.carried for conveyor in made] == [["a"], ["a"]]


def test_a_result_that_depends_on_the_partitions_is_a_failure() -> None:
    """What differs between 1 and 5 partitions is named at the step where it first shows."""
    story = Scenario(careless)
    told = complaint(lambda: story.when(*(Put(box=box) for box in "abcdefgh")))
    assert told.startswith("the number of partitions changes what happens\n")
    assert "  only with 1 partition:  Counted(box='h', total=8)" in told
    assert "  only with 5 partitions:  Counted(" in told
    assert "The story so far (5 partitions):" in told
    Scenario(careless, partitions=(5,)).when(*(Put(box=box) for box in "abcdefgh"))


def test_a_foreign_topic_is_read_as_it_is() -> None:
    """External events are given like any other, with ids from their place on the log."""
    story = Scenario(scanner, partitions=(4,)).when(Scanned(box="a"), Scanned(box="b"), Scanned(box="a"))
    story.then_stored(HearScanner.scans, {"a": 2, "b": 1}).then(like(Full, box="b"), *[like(Full, box="a")] * 2)
    assert len({full.label for full in story.events(Full)}) == 3


def test_ids_of_foreign_events_are_the_same_in_every_world() -> None:
    """What a handler makes of an id that comes from a place on the log is no difference between the worlds."""
    story = Scenario(relayed).when(*(Scanned(box=box) for box in "abcde"))
    assert len({full.label for full in story.events(Full)}) == 5


def test_an_asynchronous_handler_ends_within_the_step() -> None:
    """Calls that are awaited one after the other are all answered before the step is over."""
    story = Scenario(busy).using(conveyor=Conveyor()).when(Full(box="a")).then(Counted(box="a", total=5))
    assert story.now == datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_one_looks_at_the_whole_story() -> None:
    """`events` has what was said by anybody, given or not, in order; `store` has all partitions."""
    story: World = Scenario(boxes).given(Put(box="a")).when(Put(box="b"), Put(box="a"))
    assert [(put.box, put.pieces) for put in story.events(Put)] == [("a", 1), ("b", 1), ("a", 1)]
    assert [counted.total for counted in story.events(Counted)] == [1, 1, 2]
    assert story.store(CountPieces.totals) == {"a": 2, "b": 1}


def test_a_story_is_told_in_the_order_of_time() -> None:
    """What happened in several partitions while the clock was moved is seen in the order in which it was emitted."""
    story = Scenario(boxes, partitions=(5,))
    for box in "fbeadc":
        story.given(Put(box=box)).after(minutes=1)
    story.after(hours=2)
    assert [forgotten.box for forgotten in story.events(Forgotten)] == list("fbeadc")


def test_an_event_that_nobody_knows_may_happen() -> None:
    """An event of no service here is put on the log all the same, and nothing follows."""
    assert Scenario(boxes).when(Scanned(box="a")).then().events(Scanned) == [Scanned(box="a")]


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (lambda: Scenario(carriers).using(conveyer=1).given(), "did you mean conveyor?"),
        (lambda: Scenario(boxes).given().using(conveyor=1), "comes before the first step"),
        (lambda: Scenario(boxes).when(Put), r"when\(Put\(...\)\): an event, not its class"),  # type: ignore[arg-type]  # the mistake itself
        (lambda: Scenario(boxes).then(Put), r"then\(Put\(...\)\): an event, not its class"),  # type: ignore[arg-type]  # the mistake itself
        (lambda: Scenario(boxes).after(seconds=-1), "time does not go back"),
        (lambda: Scenario(boxes, start=datetime(2026, 3, 2)), "has no time zone"),  # the mistake itself
        (lambda: Scenario(boxes, partitions=()), r"partitions=\(\) can't be"),
        (lambda: Scenario(boxes, partitions=(0,)), r"partitions=\(0,\) can't be"),
        (lambda: Scenario(boxes, sagas=["no.yaml"]).given(), "there is no saga spec no.yaml"),
        (lambda: Scenario(boxes).sagas("orders"), "no saga is called orders"),
        (lambda: Scenario(boxes).store(Store[str, int](name="other")), "keeps the store 'other'"),
        (lambda: like(Put, boxx="a"), "did you mean box?"),
        (lambda: like("Put"), "that is no event class"),  # type: ignore[arg-type]  # the mistake itself
    ],
)
def test_a_mistake_in_a_test_is_named(mistake: Callable[[], object], says: str) -> None:
    """What can't be meant is refused at once, in the words of whoever wrote it."""
    with pytest.raises(ConfigError, match=says):
        mistake()


def test_a_step_that_breaks_says_in_which_world() -> None:
    """An error of the runtime passes through, with the number of partitions as a note."""
    story = Scenario(Service("lost", handlers=[CarryBox]), partitions=(3,))
    with pytest.raises(Exception, match="needs conveyor, which nobody provides") as caught:
        story.when(Full(box="a"))
    assert caught.value.__notes__ == ["(in a scenario with partitions=3)"]


def test_a_long_wait_throws_nobody_out() -> None:
    """Years may pass between two steps."""
    story = Scenario(boxes).given(Put(box="a")).after(days=4000).when(Put(box="a")).then(Counted(box="a", total=1))
    assert story.now == datetime(2026, 3, 2, 12, tzinfo=UTC) + timedelta(days=4000)
