"""Redriving dead letters: for the service that gave up on them alone, once, in order, however it is interrupted."""

from dataclasses import replace
from datetime import timedelta

import pytest

from choreo import Context, Handler, Retry, Service, Store, Timer
from choreo.errors import FencedError
from choreo.events.envelope import Again, Wish, caused_by
from choreo.events.plain import headers_again
from choreo.log.interface import TopicSpec
from choreo.record import NewRecord
from choreo.replay.letters import Letter
from choreo.replay.redrive import moving
from choreo.replay.walk import Took, walk
from choreo.runtime.build import build_of
from choreo.runtime.intake import due_id
from choreo.runtime.parking import head_of as head
from tests.replay.kitchen import BY, FIRST, Cook, Hurry, Kitchen, Ordered, Patient, Served, burning


def states(kitchen: Kitchen) -> list[str]:
    return [letter.standing.outcome for letter in kitchen.letters()]


def test_a_redriven_event_is_handled_where_it_was_given_up_and_the_rest_of_its_key_follows() -> None:
    """It takes its own place at the head of the line; what waited behind it goes on in order, and nobody else hears."""
    kitchen = Kitchen()
    with burning("soup"):
        kitchen.order("bread", "soup", "fish", "cake")
    assert kitchen.served() == ["bread"]
    kitchen.crash()
    assert kitchen.redrive().settled == 1
    assert kitchen.served() == ["bread", "soup", "fish", "cake"]
    assert kitchen.heard() == ["bread", "soup", "fish", "cake"]
    assert states(kitchen) == ["redriven"]
    kitchen.order("tea")
    assert kitchen.served()[-1] == "tea"
    assert kitchen.verdict().clean
    assert kitchen.verdict("critic").clean


def test_a_redriven_event_keeps_its_ids_and_says_which_operation_it_is_of() -> None:
    """Event id, story and key are the old ones, so what follows from it has the ids that it would have had."""
    kitchen = Kitchen()
    with burning("soup"):
        kitchen.order("soup")
    (before,) = kitchen.ids("kitchen.orders")
    kitchen.redrive()
    _, after = kitchen.ids("kitchen.orders")
    assert after == before._replace(again=Again(FIRST.bytes, "cook"))
    assert Cook.repeated == [None, FIRST]
    one, other = kitchen.records("kitchen.orders")
    assert (one.key, one.value, one.partition) == (other.key, other.value, other.partition)
    (letter,) = kitchen.letters()
    assert (letter.standing.operation, letter.standing.who, letter.standing.why) == (FIRST, *BY)


def test_calls_that_ended_well_before_it_was_given_up_are_not_made_again() -> None:
    """What was bought for it is bought once, however often it is redriven; the replay sees it so, too."""
    kitchen = Kitchen()
    with burning("soup"):
        kitchen.order("soup", "fish")
        kitchen.redrive()
    kitchen.redrive()
    assert Cook.bought == ["soup", "fish"]
    assert kitchen.served() == ["soup", "fish"]
    assert kitchen.verdict().clean


def test_a_letter_that_fails_again_is_a_new_letter_and_its_key_waits_as_before() -> None:
    """Nothing overtakes it; when it is redriven once more and succeeds, all goes on in order."""
    kitchen = Kitchen()
    with burning("soup"):
        kitchen.order("soup", "fish")
        kitchen.redrive()
        kitchen.order("cake")
        assert kitchen.served() == []
    assert states(kitchen) == ["redriven", "open"]
    kitchen.crash()
    assert kitchen.redrive().settled == 1
    assert kitchen.served() == ["soup", "fish", "cake"]
    assert states(kitchen) == ["redriven", "redriven"]
    assert kitchen.verdict().clean


def test_letters_of_one_key_keep_their_order() -> None:
    """Those that failed one after the other are handled one after the other, whatever is at work on other keys."""
    kitchen = Kitchen(Hurry, partitions=3)
    courses = [f"c{number}" for number in range(12)]
    with burning(*courses):
        for course in courses:
            for table in ("t1", "t2", "t3"):
                kitchen.order(course, table=table)
    assert kitchen.redrive(most=5).settled == 36
    assert [kitchen.served(table) for table in ("t1", "t2", "t3")] == [courses] * 3
    assert kitchen.verdict().clean


def test_an_interrupted_redrive_goes_on_without_duplicates() -> None:
    """Killed between two batches and given again, every letter is redriven once, in order."""
    kitchen = Kitchen(Hurry)
    courses = [f"c{number}" for number in range(10)]
    with burning(*courses):
        kitchen.order(*courses)

    def interrupt(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kitchen.redrive(most=2, told=interrupt)
    assert states(kitchen) == ["redriven"] * 4 + ["open"] * 6
    kitchen.crash()
    assert kitchen.redrive(most=2).settled == 6
    assert kitchen.served() == courses
    assert kitchen.redrive().settled == 0
    assert len(kitchen.records("kitchen.orders")) == 20


def test_of_two_redrives_at_once_the_later_takes_over() -> None:
    """The earlier ends with an error at its next batch; each letter is redriven once."""
    kitchen = Kitchen(Hurry)
    courses = [f"c{number}" for number in range(10)]
    with burning(*courses):
        kitchen.order(*courses)

    def other(done: int, total: int) -> None:
        if done == 4:
            assert kitchen.redrive().settled == 6

    with pytest.raises(FencedError, match="somebody else settles"):
        kitchen.redrive(most=4, told=other)
    assert kitchen.served() == courses
    assert states(kitchen) == ["redriven"] * 10


def test_a_letter_in_parts_is_redriven_whole() -> None:
    """What was too large for one letter comes back byte by byte; what is too large with its mark stays, and says so."""
    kitchen = Kitchen()
    for size in (999_650, 999_950):
        kitchen.append([NewRecord("kitchen.orders", b"t1", b"x" * size)])
    assert len(kitchen.records("choreo.cook.dead-letters")) > 3
    done = kitchen.redrive()
    assert done.settled == 1
    assert list(done.refused) == ["with its mark it has 1,000,161 bytes, more than a record may have"]
    assert [len(one.value or b"") for one in kitchen.records("kitchen.orders")] == [999_650, 999_950, 999_650]
    assert states(kitchen)[:2] == ["redriven", "open"]


def test_what_is_no_event_bothers_nobody_but_the_service_for_which_it_is_redriven() -> None:
    """Bytes that can't be read are another dead letter of that service, and of no other."""
    kitchen = Kitchen()
    kitchen.append([NewRecord("kitchen.orders", b"t1", b"garbage", [("traceparent", b"00")])])
    assert (len(kitchen.letters()), len(kitchen.letters("critic"))) == (1, 1)
    (letter,) = kitchen.letters()
    kitchen.redrive()
    first, second = kitchen.letters()
    assert len(kitchen.letters("critic")) == 1
    assert (first.standing.outcome, second.standing.outcome) == ("redriven", "open")
    assert second.ids is not None
    assert letter.ids is not None
    assert second.ids._replace(again=None) == letter.ids
    assert ("traceparent", b"00") in second.record.headers


def test_what_was_given_up_is_dropped_and_its_key_goes_on() -> None:
    """The event leaves its line unhandled, by a record that is nothing to anybody else; the replay sees it so, too."""
    kitchen = Kitchen()
    with burning("soup"):
        kitchen.order("soup", "fish")
    (letter,) = kitchen.letters()
    kitchen.put(letter, Again(FIRST.bytes, "cook", "drop"))
    assert kitchen.served() == ["fish"]
    assert kitchen.heard() == ["soup", "fish"]
    assert kitchen.verdict().clean


def test_what_is_still_tried_again_keeps_its_place() -> None:
    """Only what was given up is replaced: a copy of an event that waits for its next attempt waits behind it."""
    kitchen = Kitchen(Patient)
    with burning("soup"):
        kitchen.order("soup")
    (record,), (ids,) = kitchen.records("kitchen.orders"), kitchen.ids("kitchen.orders")
    mark = Again(FIRST.bytes, "cook")
    kitchen.append(
        [NewRecord(record.topic, record.key, record.value, headers_again(record.headers, ids._replace(again=mark)))]
    )
    assert kitchen.served() == []
    kitchen.wait(61)
    assert kitchen.served() == ["soup", "soup"]
    assert Cook.repeated == [None, None, None, FIRST]


def test_letters_go_back_in_the_order_in_which_they_were_given_up() -> None:
    """Wherever they lie: by when that was, and in one reading of the clock by when their events were emitted."""
    kitchen = Kitchen(Hurry)
    dishes = ["c0", "c1", "c2", "c3"]
    with burning(*dishes):
        kitchen.order(*dishes)
    letters = kitchen.letters()
    for letter, (partition, given_up, emitted) in zip(
        letters, [(1, 9, 0), (0, 9, 1), (0, 7, 5), (1, 8, 5)], strict=True
    ):
        assert letter.said is not None
        assert letter.ids is not None
        headers = headers_again(letter.record.headers, letter.ids._replace(at=emitted))
        said = replace(letter.said, at=given_up).records(
            letter.record._replace(headers=headers), "choreo.cook.dead-letters"
        )
        kitchen.append([record._replace(partition=partition) for record in said])
    kitchen.redrive(lambda letter: letter.said is not None and letter.said.at < 10)
    assert kitchen.served() == ["c2", "c3", "c0", "c1"]


def test_an_effect_of_what_was_given_up_does_not_take_its_place() -> None:
    """Only what an operator made from it to replace it does: another event that it caused waits behind it."""
    kitchen = Kitchen()
    with burning("soup"):
        kitchen.order("soup", "fish")
    (letter,) = kitchen.letters()
    assert letter.ids is not None
    effect = caused_by(letter.ids, b"e" * 16, kitchen.clock.now())
    kitchen.put(letter._replace(ids=effect), Again(FIRST.bytes, "cook"))
    assert kitchen.served() == []
    kitchen.put(letter._replace(ids=effect._replace(event_id=b"f" * 16)), Again(FIRST.bytes, "cook", "replace"))
    assert kitchen.served() == ["soup", "fish", "soup"]
    assert kitchen.verdict().clean


def test_what_is_to_be_dropped_and_waits_nowhere_is_let_go() -> None:
    """Nothing is handled, no other event leaves its line, and bytes that are no event are no dead letter again."""
    kitchen = Kitchen()
    with burning("soup"):
        kitchen.order("soup", "fish")
    (letter,) = kitchen.letters()
    drop = Again(FIRST.bytes, "cook", "drop")
    kitchen.put(letter, drop)
    kitchen.put(letter, drop)
    with burning("stew"):
        kitchen.order("stew", "cake")
    kitchen.put(letter, drop)
    kitchen.put(letter._replace(record=letter.record._replace(value=b"garbage")), drop)
    assert kitchen.served() == ["fish"]
    assert len(kitchen.letters()) == 2


def test_a_copy_for_everybody_is_handled_by_everybody() -> None:
    """A mark without a service leaves out nobody; what follows is the same event once more, and bears no mark."""
    kitchen = Kitchen(Hurry)
    with burning("soup"):
        kitchen.order("soup")
    (letter,) = kitchen.letters()
    kitchen.put(letter, Again(FIRST.bytes))
    kitchen.put(letter, Again(FIRST.bytes))
    assert (kitchen.served(), kitchen.heard()) == (["soup", "soup"], ["soup", "soup", "soup"])
    one, other = kitchen.ids("kitchen.served")
    assert (one.event_id, one.again) == (other.event_id, None)


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_replay_knows_copies_from_what_a_service_published(partitions: int) -> None:
    """What follows from a copy was published again, what an operator put on an output topic was not: both are clean."""
    kitchen = Kitchen(Hurry, partitions=partitions)
    kitchen.order("soup", "fish")
    kitchen.operations().begin(FIRST, "emit", ["kitchen.orders"], BY, {})
    for topic in ("kitchen.orders", "kitchen.orders", "kitchen.served"):
        for record, ids in list(zip(kitchen.records(topic), kitchen.ids(topic), strict=True))[:2]:
            headers = headers_again(record.headers, ids._replace(again=Again(FIRST.bytes)))
            kitchen.append([NewRecord(topic, record.key, record.value, headers)])
    assert kitchen.served() == ["soup", "fish"] * 3 + ["soup", "fish"]
    assert kitchen.verdict().clean
    assert kitchen.verdict("critic").clean


def test_a_replay_still_finds_what_nobody_published() -> None:
    """A copy without a mark, and a copy that follows from nothing, are differences."""
    kitchen = Kitchen(Hurry, partitions=1)
    kitchen.order("soup")
    kitchen.operations().begin(FIRST, "emit", ["kitchen.orders"], BY, {})
    (record,) = kitchen.records("kitchen.served")
    kitchen.append([NewRecord(record.topic, record.key, record.value, record.headers)])
    assert not kitchen.verdict().clean


def test_a_letter_that_can_not_be_put_back_stays_with_a_clear_answer() -> None:
    """A timer's, one whose topic is gone, one kept for a relay's reader, one without ids; the others are redriven."""
    kitchen = Kitchen(Hurry)
    kitchen.log.create_topics([TopicSpec("choreo.cook.by-dish.kitchen.orders", 2)])
    with burning("soup"):
        kitchen.order("soup")
    (letter,) = kitchen.letters()
    assert letter.said is not None
    for topic, offset in (("kitchen.closed", 0), ("", -1), ("kitchen.orders", -1)):
        said = replace(letter.said, origin=letter.said.origin._replace(topic=topic, offset=offset))
        kitchen.append(said.records(letter.record, "choreo.cook.dead-letters"))
    kitchen.append([NewRecord("kitchen.orders", b"t2", b"", [("choreo", b"broken")])])
    kitchen.append([NewRecord("choreo.cook.dead-letters", b"t3", b"not a letter")])
    done = kitchen.redrive()
    assert done.settled == 1
    assert sorted(why.partition(",")[0].partition(":")[0] for why in done.refused) == [
        "it is a timer",
        "it is no dead letter of this Choreo",
        "it was kept for later",
        "its ids can't be read",
        "its topic kitchen.closed is gone",
    ]


def test_a_record_goes_back_to_the_partition_from_which_it_came() -> None:
    """Whoever wrote it chose that, by whatever rule; its task has what belongs to it."""
    kitchen = Kitchen()
    kitchen.append([NewRecord("kitchen.orders", b"t1", b"garbage", partition=number) for number in (0, 1)])
    kitchen.redrive()
    assert sorted(one.partition for one in kitchen.records("kitchen.orders")) == [0, 0, 1, 1]


def test_only_what_is_wanted_is_touched() -> None:
    """Topics, ends and committed offsets of everything else are as they were."""
    kitchen = Kitchen(Hurry)
    with burning("soup", "stew"):
        kitchen.order("soup", "stew")
    before = {name: len(kitchen.records(name)) for name in kitchen.log.topics()}

    def is_stew(letter: Letter) -> bool:
        return b"stew" in (letter.record.value or b"")

    assert kitchen.redrive(is_stew).settled == 1
    after = {name: len(kitchen.records(name)) for name in kitchen.log.topics()}
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed - {"choreo.cook.changelog", "choreo.cook.journal", "choreo.critic.journal"} == {
        "kitchen.orders", "kitchen.served", "choreo.operations",
    }  # fmt: skip
    assert states(kitchen) == ["open", "redriven"]


class Careless(Handler[Ordered]):
    """Knows no fish."""

    served = Store[str, int](default=0)
    retry = Retry(attempts=1)

    def handle(self, order: Ordered, ctx: Context) -> Served:
        if order.dish == "fish":
            raise ValueError("what is a fish?")
        self.served[order.table] += 1
        return Served(table=order.table, dish=order.dish)


class Mended(Careless):
    served = Store[str, int](default=0)

    def handle(self, order: Ordered, ctx: Context) -> Served:
        self.served[order.table] += 1
        return Served(table=order.table, dish=order.dish)


@pytest.mark.parametrize("cut", [True, False])
def test_an_old_attempt_belongs_to_the_code_that_made_it(cut: bool) -> None:
    """Mended code would have handled what was given up: verify tells of that, and that only other code has run, until
    the mended one has made a checkpoint; then, by the build in the journal and the snapshot between the two, it is
    counted and held against nobody. Where no snapshot tells them apart it is told of.
    """
    kitchen = Kitchen(Careless, options={"build": "before", "snapshot_every_inputs": 1000 if cut else 0})
    kitchen.order("bread", "fish", "cake")
    Mended.__name__ = "Careless"
    mended = Service("cook", handlers=[Mended])
    kitchen.services = (mended, kitchen.services[1])
    kitchen.options["build"] = build_of(mended)
    kitchen.crash()
    kitchen.time.settle()
    verdict = kitchen.verdict()
    assert not verdict.clean
    assert verdict.others_work
    kitchen.redrive()
    assert kitchen.served() == ["bread", "fish", "cake"]
    verdict = kitchen.verdict()
    assert verdict.builds == {"before", build_of(mended)}
    assert not verdict.others_work
    assert (verdict.clean, verdict.older > 0) == (cut, cut)


class Ring(Handler[Ordered]):
    """Calls a table when its dish is ready, an hour after it was ordered; the bell may be broken."""

    rung = Store[str, int](default=0)
    ready = Timer[str]()
    retry = Retry(attempts=2)
    broken = False

    def handle(self, order: Ordered, ctx: Context) -> None:
        self.ready.set(order.table, after=timedelta(hours=1))

    @ready.due
    def ring(self, table: str, ctx: Context) -> Served:
        ctx.ask("bell", self.strike)
        self.rung[table] += 1
        return Served(table=table, dish="bell")

    def strike(self) -> bool:
        """Raises OSError while the bell is broken."""
        if self.broken:
            raise OSError("the bell is broken")
        return True


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    """One whose timer of table t1 was given up; an order waits behind it."""
    kitchen = Kitchen(Ring)
    kitchen.order("soup")
    monkeypatch.setattr(Ring, "broken", True)
    kitchen.wait(3601)
    kitchen.order("cake")
    assert kitchen.served() == []
    monkeypatch.setattr(Ring, "broken", False)
    return kitchen


def head_of(kitchen: Kitchen) -> bytes:
    """The id of what is first in the line of t1."""
    for live in kitchen.workers[0].tasks.values():
        found = head(live.task.entries.backend, b"t1")
        if found is not None:
            return due_id("cook", found.timer, found.due) if found.timer else kitchen.ids("kitchen.orders")[0].event_id
    raise AssertionError("nothing waits")


def move(kitchen: Kitchen, wish: Wish, record: int = -1, only: str = "cook") -> None:
    """Put a copy of an order there that lets the line of t1 go on."""
    its = kitchen.records("kitchen.orders")[record], kitchen.ids("kitchen.orders")[record]
    mark = Again(FIRST.bytes, only, wish)
    kitchen.append([moving(*its, head_of(kitchen), mark, kitchen.log.topics())])


def test_a_timer_that_was_given_up_is_woken_and_its_key_goes_on(bell: Kitchen) -> None:
    """It is tried anew, then what waits behind it is handled, once; the copy that says so is handled by nobody, and a
    replay sees it so, too.
    """
    bell.crash()
    bell.time.settle()
    move(bell, "wake")
    assert bell.served() == ["bell"]
    assert bell.heard() == ["soup", "cake"]
    bell.wait(3601)
    assert bell.served() == ["bell", "bell"]
    assert bell.verdict().clean
    assert bell.verdict("critic").clean
    took = [one.record for n in (0, 1) for one in walk(bell.log, "choreo.cook", n) if isinstance(one, Took)]
    assert [record.offset for record in took] == [0, 1]


def test_a_timer_that_was_given_up_is_dropped_and_its_key_goes_on(bell: Kitchen) -> None:
    """It leaves its line unhandled, and nothing of it is left in the store."""
    move(bell, "drop")
    assert bell.served() == []
    assert len([key for key in bell.stored("cook") if b"~story" in key]) == 1
    bell.wait(3601)
    assert bell.served() == ["bell"]
    assert not [key for key in bell.stored("cook") if b"~story" in key]
    assert bell.verdict().clean


def test_what_is_woken_twice_is_handled_once(bell: Kitchen) -> None:
    """A copy whose timer has had its turn, or that is meant for another service, does nothing."""
    gone = head_of(bell)
    move(bell, "wake", only="critic")
    assert (bell.served(), bell.heard()) == ([], ["soup", "cake"])
    move(bell, "wake")
    record, ids = bell.records("kitchen.orders")[1], bell.ids("kitchen.orders")[1]
    for wish in ("wake", "drop"):
        bell.append([moving(record, ids, gone, Again(FIRST.bytes, "cook", wish), bell.log.topics())])
    assert bell.served() == ["bell"]
    bell.wait(3601)
    assert bell.served() == ["bell", "bell"]
    assert bell.verdict().clean


def test_what_waits_for_its_next_attempt_is_tried_at_once() -> None:
    """A copy of the event itself wakes it; the attempts that it has had count."""
    kitchen = Kitchen(Patient)
    with burning("soup"):
        kitchen.order("soup", "fish")
        assert len(Cook.repeated) == 2
        move(kitchen, "wake", 0)
        assert len(Cook.repeated) == 3
    move(kitchen, "wake", 0)
    assert kitchen.served() == ["soup", "fish"]
    assert len(Cook.repeated) == 5
    kitchen.wait(3600)
    assert kitchen.served() == ["soup", "fish"]
    assert kitchen.verdict().clean
    with burning("cake"):
        kitchen.order("cake")
        for _ in range(3):
            mark = Again(FIRST.bytes, "cook", "wake")
            its = kitchen.records("kitchen.orders")[-1], kitchen.ids("kitchen.orders")[-1]
            kitchen.append([moving(*its, its[1].event_id, mark, kitchen.log.topics())])
        assert [letter.said.attempts for letter in kitchen.letters() if letter.said] == [4]
