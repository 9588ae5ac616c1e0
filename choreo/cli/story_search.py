"""Finds the story that an ID means, and its records: by what stands in their headers, bodies unread."""

import re
from collections.abc import Collection, Iterable, Iterator

from choreo.cli.project import Project
from choreo.cli.saga_rows import sagas_on
from choreo.cli.saga_view import SagaView
from choreo.cli.time_span import WHOLE, TimeSpan, read_span
from choreo.errors import ConfigError, DecodeError
from choreo.events.codec import Codec
from choreo.events.envelope import correlation_in, event_id_in, header_in
from choreo.log.interface import Log
from choreo.record import Record
from choreo.resilience.dead_letter import whole

LETTERS, LIFECYCLE = ".dead-letters", ".lifecycle"
UNTOLD = (".journal", ".changelog", "choreo.sagas.specs")
"""Topics that hold no events."""
UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SHORTEST = 4
"""So many hex digits are the beginning of an event id; fewer are those of a key."""
MOST = 200
"""Stories that are named where the beginning of an ID means several."""


def topics_with_events(log: Log) -> list[str]:
    """The topics whose records may be of a story: events, re-keyed ones, dead letters, changes of sagas, orders."""
    return [name for name in sorted(log.topics()) if not (name.startswith("choreo.") and name.endswith(UNTOLD))]


class Search:
    """Looks through the topics of a log. `codec` says the ids of records that carry no packed header."""

    def __init__(self, project: Project, codec: Codec, span: TimeSpan) -> None:
        self._project, self._codec, self._span = project, codec, span
        self.read = 0
        """Records that were looked at."""

    def story(self, wanted: str) -> tuple[str, list[Record] | None]:
        """The correlation id that `wanted` means, and the records of its story where they have been met on the way.

        It may be a correlation id, an event's id, a key of sagas or of events, or the beginning of one of them that
        means one story only. Raises ConfigError where it means none, or several.
        """
        # A UUID with its dashes is no key of sagas as a rule: for it no store need be opened.
        if self._span == WHOLE and not UUID_TEXT.fullmatch(wanted) and (found := self._of_saga(wanted)) is not None:
            return found, None
        exact, begun, met = _Matches(), _Matches(), list[Record]()
        text, of_event = wanted.encode(), _id_part(wanted)
        for record in self._scan("the story"):
            correlation, event_id = self._ids(record)
            if not event_id:
                continue
            if correlation == text:
                met.append(record)
            elif event_id.hex() == of_event or record.key == text:
                exact.add(correlation)
            elif not met and (
                correlation.startswith(text)
                or (of_event and event_id.hex().startswith(of_event))
                or (record.key or b"").startswith(text)
            ):
                begun.add(correlation)
        if met:
            return wanted, met
        return (exact if exact else begun).only(wanted, self.read), None

    def records(self, correlation: str) -> list[Record]:
        """All records of one story."""
        text, found = correlation.encode(), list[Record]()
        for record in self._scan("the story"):
            packed = header_in(record.headers)
            # Nearly all are of other stories, which the end of the header tells at once.
            if (packed is None or packed.endswith(text)) and self._ids(record)[0] == text:
                found.append(record)
        return found

    def is_of(self, record: Record, correlation: bytes, sagas: Collection[tuple[str, bytes | None]]) -> bool:
        """Whether a record is of a story: by its ids, or as a change of one of its sagas (topic and key)."""
        return self._ids(record)[0] == correlation or (record.topic, record.key) in sagas

    def of_ids(self, event_ids: frozenset[bytes], since: int) -> list[Record]:
        """The events with these ids that were written since then (microseconds), whatever their story."""
        found = []
        for record in self._scan("causes in other stories", TimeSpan(since, self._span.until), letters=False):
            if self._ids(record)[1] in event_ids:
                found.append(record)
        return found

    def of_key(self, topics: Iterable[str], key: bytes, since: int) -> list[Record]:
        """What was written to these topics under this key since then (microseconds)."""
        span = TimeSpan(since, self._span.until)
        return [record for record in read_span(self._project.past, topics, span) if record.key == key]

    def _of_saga(self, key: str) -> str | None:
        """The story of the saga with this very key, where one coordinator knows one."""
        stories = []
        for saga in sagas_on(self._project.past):
            with SagaView(self._project, saga) as seen:
                instance = seen.instance(key)
            if instance is not None and instance.correlation_id:
                stories.append(instance.correlation_id)
        return stories[0] if len(set(stories)) == 1 else None

    def _scan(self, what: str, span: TimeSpan | None = None, *, letters: bool = True) -> Iterator[Record]:
        topics = topics_with_events(self._project.past)
        plain = [name for name in topics if not name.endswith(LETTERS)]
        kept = [name for name in topics if name.endswith(LETTERS)] if letters else []
        for names, opened in ((plain, _as_they_are), (kept, whole)):
            with self._project.progress.of(what, "records") as told:
                for record in opened(read_span(self._project.past, names, span or self._span, told)):
                    self.read += 1
                    yield record

    def _ids(self, record: Record) -> tuple[bytes, bytes]:
        """Correlation id and event id; empty where the record can't be read."""
        try:
            packed = header_in(record.headers)
            if packed is not None:
                return correlation_in(packed), event_id_in(packed)
            ids = self._codec.ids(record)
            return ids.correlation_id.encode(), ids.event_id
        except DecodeError:
            return b"", b""


class _Matches:
    """The stories that an ID may mean: so many of them as are worth naming."""

    def __init__(self) -> None:
        self._stories: dict[bytes, None] = {}

    def __bool__(self) -> bool:
        return bool(self._stories)

    def add(self, correlation: bytes) -> None:
        if len(self._stories) < MOST:
            self._stories[correlation] = None

    def only(self, wanted: str, read: int) -> str:
        """The one story. Raises ConfigError."""
        stories = sorted(one.decode(errors="replace") for one in self._stories)
        if len(stories) == 1:
            return stories[0]
        if not stories:
            raise ConfigError(
                f"nothing on the log is called {wanted}",
                why=f"{read:,} records were looked at: no correlation id, event id or key is or begins like this",
                hint="choreo sagas list, choreo topics list",
            )
        shown = ", ".join(stories[:5]) + (", ..." if len(stories) > 5 else "")
        many = f"{len(stories)} or more" if len(stories) == MOST else str(len(stories))
        raise ConfigError(f"{wanted} means {many} stories", why=shown, hint="one of these ids, or more of the key")


def _as_they_are(records: Iterable[Record]) -> Iterator[Record]:
    return iter(records)


def _id_part(text: str) -> str:
    """The hex digits of an event id, or of its beginning; empty for what is none."""
    digits = text.replace("-", "").lower()
    return digits if SHORTEST <= len(digits) <= 32 and all(one in "0123456789abcdef" for one in digits) else ""
