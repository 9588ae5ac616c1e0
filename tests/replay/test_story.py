"""A story as a tree: each event behind its cause, with its author; the timers that fired; and what strangers write."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from choreo.cli.progress import Progress
from choreo.cli.story_code import Code
from choreo.cli.story_records import Reading, read_story
from choreo.cli.story_search import Search
from choreo.cli.time_span import WHOLE
from choreo.events.envelope import Ids, derive_id
from choreo.record import Position
from choreo.replay.handled import Rung
from choreo.replay.origin import Author, Origins, authors
from choreo.replay.story import Found, Node, Told, story_of
from choreo.saga.coordinator import coordinator
from choreo.saga.spec import parse_spec
from tests.runtime.town import Town
from tests.saga.flow import CATALOGUE, source, step

PLACE = Position("flow.work", 0, 0)


def told(number: int, cause: int | None, at: int, key: bytes = b"x1") -> Told:
    """An event whose id is a number."""
    parent = None if cause is None else cause.to_bytes(16, "big")
    name, place = f"flow.E{number}", PLACE._replace(offset=number)
    return Told("event", number.to_bytes(16, "big"), name, key, at, parent, None, (place,))


def shape(nodes: list[Node]) -> list[tuple[str, int]]:
    """Names and depths, in order."""
    return [(node.what.name if isinstance(node.what, Told) else "timer", node.depth) for node in nodes]


def test_each_event_stands_behind_its_cause_those_of_one_cause_by_time() -> None:
    """Whatever the order in which they were found."""
    found = Found([told(4, 2, 40), told(3, 1, 20), told(2, 1, 30), told(1, None, 10)])
    nodes = story_of(found, lambda service, event: None)
    assert shape(nodes) == [("flow.E1", 0), ("flow.E3", 1), ("flow.E2", 1), ("flow.E4", 2)]
    assert [node.since_us for node in nodes] == [None, 10, 20, 10]


def test_a_circle_of_causes_is_told_once() -> None:
    """Strangers may write any cause: nothing is lost and nothing repeats."""
    found = Found([told(1, 2, 10), told(2, 1, 20), told(3, 3, 30), told(5, 9, 5)])
    nodes = story_of(found, lambda service, event: None)
    assert sorted(name for name, _ in shape(nodes)) == ["flow.E1", "flow.E2", "flow.E3", "flow.E5"]


def test_a_long_chain_needs_no_deep_stack() -> None:
    """Ten thousand events, each the cause of the next."""
    found = Found([told(n, n - 1 if n else None, n) for n in range(10_000)])
    nodes = story_of(found, lambda service, event: None)
    assert shape(nodes)[-1] == ("flow.E9999", 9_999)


def test_an_author_is_proved_by_the_id_of_the_event() -> None:
    """Service, handler and number are in the id: nobody else is named, and an id from outside has no author."""
    cause, mine = b"c" * 16, Author("shop", "Sell")
    origins = Origins([Author("shop", "Buy"), mine, Author("till", "Sell")])
    for number in (0, 1, 63):
        ids = Ids(derive_id(cause, "shop", "Sell", number), "story", cause)
        assert origins.of(ids) == mine
    assert origins.of(Ids(derive_id(cause, "shop", "Sell", 100), "story", cause)) is None
    assert origins.of(Ids(derive_id(cause, "shop", "Sell", 100), "story", cause), siblings=101) == mine
    assert origins.of(Ids(derive_id(cause, "shop", "Sell", 0), "story", None)) is None
    assert origins.of(Ids(b"e" * 16, "story", cause)) is None


def test_sagas_and_locks_are_authors_without_their_code() -> None:
    """Their handlers are always called alike."""
    assert Author("saga.order", "Coordinator") in set(authors([], ["saga.order", "locks.customer", "till"]))
    assert Author("locks.customer", "LockKeeper") in set(authors([], ["saga.order", "locks.customer", "till"]))


def test_a_timer_that_fired_stands_behind_the_event_that_its_service_took_last(tmp_path: Path) -> None:
    """With when it was due; what it led to stands behind it. The log keeps no more of who set it."""
    retry = "on_timeout: {retry: {attempts: 5, wait: 10m}}"
    spec = parse_spec(source(step("a", "emit: AskA", "within: 1h", retry)), "flow.yaml", CATALOGUE)
    service = coordinator(spec, CATALOGUE)
    town = Town(service)
    town.tell(CATALOGUE["flow.Started"](case="x1"))  # type: ignore[call-arg]  # a field of every event of a flow
    town.wait(2 * 3_600)
    progress = Progress(sys.stderr, terminal=False, silent=True)
    config = SimpleNamespace(state_dir=lambda: tmp_path)
    project: Any = SimpleNamespace(log=town.log, registry=town.registry, progress=progress, config=config)
    code = Code(town.log, town.registry, [service])
    reading = Reading(code, b"story")
    read_story(project, code, Search(project, code.codec, WHOLE), "story", reading)
    nodes = story_of(reading.found, code.answers)
    timers = [node for node in nodes if isinstance(node.what, Rung)]
    assert len(timers) >= 2
    assert all(node.depth == 1 and node.since_us == node.at - nodes[0].at for node in timers)
    asked = [node for node in nodes if isinstance(node.what, Told) and node.what.name == "flow.AskA"]
    assert [node.depth for node in asked[:2]] == [1, 2]
    assert asked[1].cause == timers[1].what.event_id  # the first of them said that the time was over
    assert [str(node.what.author) for node in asked if isinstance(node.what, Told)] == ["saga.flow.Coordinator"] * len(
        asked
    )
    assert [node.what.attempt for node in asked if isinstance(node.what, Told)] == list(range(1, len(asked) + 1))
