"""`choreo trace --follow`: goes on with what comes, until the story is at rest."""

from collections.abc import Iterable, Iterator, Mapping

from choreo.cli.output import as_json
from choreo.cli.project import Project
from choreo.cli.saga_rows import short_names
from choreo.cli.story_code import Code
from choreo.cli.story_records import Reading, complete, positions
from choreo.cli.story_search import Search, topics_with_events
from choreo.cli.story_shown import lines_of, row_of
from choreo.log.up_to import places_on
from choreo.record import Record, TopicPartition
from choreo.replay.story import Node, Told, at_rest, story_of

WAIT_S = 0.5
"""So long a read waits for something new, and so often the log is asked who has handled what."""
Offsets = Mapping[TopicPartition, int]


def ends_now(project: Project) -> dict[TopicPartition, int]:
    """Where the topics end that hold events: what is written from here on comes to whoever follows."""
    return project.log.ends(places_on(project.log, topics_with_events(project.log)))


def follow(project: Project, code: Code, search: Search, reading: Reading, begin: Offsets) -> None:
    """Show the story so far, then what comes behind `begin`, until nothing of it is under way any more.

    A saga that waits is under way; so is an event that a service which reads its topic has not handled.
    """
    shown = _Shown(project, reading)
    shown.show(story_of(reading.found, code.answers))
    rested = False
    for records in _arriving(project, begin):
        before = len(reading.keys), len(reading.found.letters)
        sagas = reading.sagas()
        reading.take(record for record in records if search.is_of(record, reading.correlation, sagas))
        news = before != (len(reading.keys), len(reading.found.letters))
        if rested and not news:
            return
        complete(project, code, search, reading)
        shown.show(story_of(reading.found, code.answers))
        rested = not news and at_rest(reading.found) and _handled(project, code, reading)


def _arriving(project: Project, begin: Offsets) -> Iterator[list[Record]]:
    """What is written to the topics of events, those that are made meanwhile too; an empty list after each silence."""
    offsets = dict(begin)
    while True:
        with project.log.reader(offsets) as reader:
            while True:
                yield reader.read(WAIT_S)
                new = {place: 0 for place in ends_now(project) if place not in offsets}
                if new:
                    offsets = {place: reader.position(place) for place in offsets} | new
                    break


def _handled(project: Project, code: Code, reading: Reading) -> bool:
    """Whether each service that reads these topics is beyond the story's records."""
    last: dict[TopicPartition, int] = {}
    for place in positions(reading):
        at = TopicPartition(place.topic, place.partition)
        last[at] = max(last.get(at, 0), place.offset)
    for service in code.on_log:
        committed = project.log.committed(f"choreo.{service}", last)
        if any(offset is not None and offset <= last[place] for place, offset in committed.items()):
            return False
    return True


class _Shown:
    """Prints nodes as they come, and what is new of those that were printed before."""

    def __init__(self, project: Project, reading: Reading) -> None:
        self._output, self._reading = project.output, reading
        self._told: dict[bytes, tuple[str, ...]] = {}

    def show(self, nodes: Iterable[Node]) -> None:
        """Programs get the whole row of a node again when it has changed."""
        for node in nodes:
            event_id, before = node.what.event_id, self._told.get(node.what.event_id, ())
            lines = [as_json(row_of(node, self._reading))] if self._output.as_json else lines_of(node, self._reading)
            self._told[event_id] = now = tuple(lines)
            new = [line for line in now if line not in before]
            if new and before and not self._output.as_json and isinstance(node.what, Told):
                new = [f"{line}  ({short_names([node.what.name])[0]})" for line in new]
            for line in new:
                self._output.line(line)
