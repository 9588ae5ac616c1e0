"""Dead letters for commands: read beside what has become of them, selected, and as rows of listings."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from choreo.cli.assembly import assemble
from choreo.cli.contents import Contents
from choreo.cli.project import Project
from choreo.cli.record_filters import RecordFilters
from choreo.cli.records import uuid_text
from choreo.clock import SystemClock, to_datetime
from choreo.errors import ChoreoError, ConfigError, DecodeError, UnknownSchemaError
from choreo.events.codec import Codec
from choreo.events.envelope import HEADER, Ids
from choreo.log.interface import Topic
from choreo.record import Record
from choreo.replay.letters import SUFFIX, Letter, Letters, services_with_letters
from choreo.replay.operations import Operations, Settled
from choreo.replay.scratch import Scratch
from choreo.replay.selection import Condition
from choreo.resilience.dead_letter import DeadLetter
from choreo.runtime.plan import Plan

STATES = ("open", "redriven", "edited", "dropped")
MOST_NAMED = 5


class Wanted:
    """Which dead letters are meant, as the options of a command say. Raises ConfigError for options that make no sense.

    `ids` are event ids or their beginnings, correlation ids, keys, or places (`choreo.payments.dead-letters[0]@12`).
    """

    def __init__(self, contents: Contents, filters: RecordFilters, ids: Sequence[str], states: Sequence[str]) -> None:
        self._condition = Condition(filters.where, contents, letters=True) if filters.where else None
        self._since, self._until = filters.bounds()
        self._states = tuple(states)
        self._named: dict[str, set[str]] = {one: set() for one in ids}

    def takes(self, letter: Letter) -> bool:
        """Whether it is one of them."""
        if self._states and letter.standing.outcome not in self._states:
            return False
        if self._named and not self._is_named(letter):
            return False
        at = letter.said.at if letter.said else letter.record.timestamp_ms * 1000
        if (self._since is not None and at < self._since) or (self._until is not None and at >= self._until):
            return False
        return self._condition is None or self._condition.holds(letter.record, letter.ids, letter)

    def require_sense(self, listing: str) -> None:
        """Raises ConfigError where an id names no letter that was looked at, or several events; and for a condition
        about a field that none of them has.
        """
        for one, found in self._named.items():
            if not found:
                what = "open " if self._states == ("open",) else ""
                raise ConfigError(f"there is no {what}dead letter {one}", hint=listing)
            if len(found) > 1 and one not in found:
                shown = ", ".join(sorted(found)[:MOST_NAMED])
                raise ConfigError(
                    f"{one} is the beginning of {len(found)} dead letters", why=shown, hint="write more of it"
                )
        if self._condition is not None:
            self._condition.require_sense()

    def _is_named(self, letter: Letter) -> bool:
        """Whether an id means it; each of them notes what it has found."""
        event_id, story = letter_id(letter), letter.ids.correlation_id if letter.ids else ""
        key = (letter.record.key or b"").decode(errors="replace")
        named = False
        for one, found in self._named.items():
            if one in (str(letter.place), story, key):
                found.add(one)
                named = True
            elif event_id.startswith(one):
                if len(found) <= MOST_NAMED:
                    found.add(event_id)
                named = True
        return named


class Desk:
    """What a command about dead letters works with."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.contents = Contents(project)
        self.operations = Operations(project.log, project.registry, SystemClock().now, project.past)
        self._plain = Codec(project.registry, (), project.log.cluster_id())

    def scratch(self) -> Scratch:
        """A place to sort in."""
        return Scratch(self.project.config.state_dir())

    def letters(self, settled: Settled) -> Letters:
        """A reading of them, given what has become of them."""
        return Letters(self.project.past, self.ids, settled, self.reader)

    def reader(self, record: Record, said: DeadLetter) -> str:
        """Which service of the project reads such a record for that of the letter: itself, or a relay before it."""
        try:
            kind = self.contents.codec.event_class(record)
        except (DecodeError, UnknownSchemaError):
            return ""
        near = [plan for plan in self._plans if f"{plan.service.name}.by-".startswith(f"{said.service}.by-")]
        found = [plan.service.name for plan in near if kind in plan.routes.get(record.topic, {})]
        return found[0] if len(found) == 1 else ""

    @cached_property
    def _plans(self) -> list[Plan]:
        """Of every service of the project, coordinators and relays among them; none where it can't be loaded here."""
        try:
            return assemble(self.project, ()).plans()
        except ChoreoError:
            return []

    def ids(self, record: Record) -> Ids:
        """The ids of a record. In foreign wires they may lie in the body, which only the project's classes know."""
        own = record.value is None or record.value[:1] == b"\0" or any(name == HEADER for name, _ in record.headers)
        return self._plain.ids(record) if own else self.contents.codec.ids(record)

    def services(self, wanted: Sequence[str]) -> list[str]:
        """Those of them that have dead letters; none wanted: all. Raises ConfigError for one that has no topic."""
        known = services_with_letters(self.project.past)
        for service in wanted:
            if service not in known:
                hint = f"known: {', '.join(known) or 'none'}"
                raise ConfigError(f"service {service} has no dead-letter topic", hint=hint)
        return list(wanted) or known

    def topics(self) -> Mapping[str, Topic]:
        """The topics of the log."""
        return self.project.log.topics()

    @contextmanager
    def reading(self, services: Sequence[str]) -> Iterator[Iterator[Letter]]:
        """The letters of these services, one by one."""
        with self.scratch() as scratch, self.project.progress.of("dead letters", "records") as told:
            yield self.letters(Settled(self.operations, scratch)).of(services, told)


def letter_id(letter: Letter) -> str:
    """By what people name it: the id of its event, else its place."""
    return uuid_text(letter.ids.event_id) or "" if letter.ids else str(letter.place)


def service_of(letter: Letter) -> str:
    """Whose dead letter it is."""
    return letter.place.topic.removeprefix("choreo.").removesuffix(SUFFIX)


def row_of(letter: Letter, contents: Contents) -> dict[str, Any]:
    """As listings show it."""
    said, standing = letter.said, letter.standing
    row: dict[str, Any] = {
        "id": letter_id(letter),
        "event": event_name(letter, contents),
        "key": contents.key(letter.record),
        "position": str(letter.place),
        "state": standing.outcome,
        "by": standing.who or None,
        "why": standing.why or None,
        "settled_at": to_datetime(standing.at) if standing.at else None,
        "operation": str(standing.operation) if standing.operation else None,
        "story": letter.ids.correlation_id if letter.ids else None,
    }
    if said is None:
        return row | {"cause": letter.wrong, "origin": str(letter.place)}
    return row | {
        "service": said.service,
        "handler": said.handler,
        "door": said.door,
        "cause": said.cause,
        "error": contents.said(said.error, letter.record),
        "attempts": said.attempts,
        "at": to_datetime(said.at),
        "origin": str(said.origin) if said.origin.topic else "a timer",
    }


def event_name(letter: Letter, contents: Contents) -> str | None:
    """The full name of its event, None where its bytes are none."""
    try:
        return contents.name(letter.record)
    except (DecodeError, UnknownSchemaError):
        return None
