"""What records hold, for somebody who only looks: by the schemas in the registry, else by the project's classes."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from choreo.cli.personal_keys import has_personal_key
from choreo.cli.project import Project
from choreo.cli.records import Bodies
from choreo.cli.targets import Finder
from choreo.errors import ChoreoError, DecodeError, UnknownSchemaError
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.events.upcasting import lifted_by
from choreo.record import Record
from choreo.replay.letters import sources_of
from choreo.telemetry.privacy import MASK, masked, masked_as, without, without_inputs


class Contents:
    """What records hold, by their schemas; of those in no frame by the project's classes, where it can be loaded.

    `shown` masks what is personal.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._bodies = Bodies(project.registry)

    @cached_property
    def classes(self) -> Mapping[str, type[Event]]:
        """The event classes of the project, by full name; none where it can't be loaded here."""
        finder = Finder(self._project.config, Path.cwd())
        try:
            finder.find([])
        except ChoreoError:
            return {}
        return finder.catalogue()

    @cached_property
    def codec(self) -> Codec:
        """Reads the events of the project, in internal topics of relays, too."""
        return self._codec_of(self.classes.values())

    @cached_property
    def lifting(self) -> Codec:
        """Reads them as `codec` does, those of a class that another one has replaced as events of that."""
        replaced = {lifted_by(one) for one in self.classes.values()}
        return self._codec_of(one for one in self.classes.values() if one not in replaced)

    def _codec_of(self, classes: Iterable[type[Event]]) -> Codec:
        log = self._project.log
        known = [one for one in classes if one.contract.topic]
        return Codec(self._project.registry, known, log.cluster_id(), topics=sources_of(log))

    def name(self, record: Record) -> str:
        """The full name of its event. Raises UnknownSchemaError and DecodeError."""
        if _framed(record):
            return self._bodies.name(record)
        return type(self.codec.event(record)).contract.full_name

    def read(self, record: Record) -> Mapping[str, Any]:
        """The fields of its event. Raises UnknownSchemaError and DecodeError."""
        if _framed(record):
            return self._bodies.read(record)
        return self.codec.event(record).model_dump()

    def shown(self, record: Record) -> dict[str, Any]:
        """The fields of its event as they may be shown. Raises UnknownSchemaError and DecodeError."""
        return self._masked(record, [])

    def key(self, record: Record, under: bytes | None = None) -> str | None:
        """Its key, or the one `under` which it is kept, as it may be shown. Where no class and no schema tells what the
        record holds, as it is.
        """
        key = record.key if under is None else under
        if key is None:
            return None
        hidden: list[str] = []
        with suppress(DecodeError, UnknownSchemaError):
            self._masked(record, hidden)
        text = key.decode("utf-8", "backslashreplace")
        return MASK if text in hidden or (hidden and self._is_keyed_by_personal(record)) else text

    def _is_keyed_by_personal(self, record: Record) -> bool:
        with suppress(DecodeError, UnknownSchemaError):
            event = self.classes.get(self.name(record))
            return event is not None and has_personal_key(event)
        return False

    def said(self, error: str, record: Record) -> str:
        """What an error says of a record, without what is personal in it."""
        hidden: list[str] = []
        with suppress(DecodeError, UnknownSchemaError):
            self._masked(record, hidden)
        return without(without_inputs(error), hidden)

    def _masked(self, record: Record, hidden: list[str]) -> dict[str, Any]:
        if _framed(record):
            found = masked_as(self._bodies.schema(record), self._bodies.read(record), hidden)
        else:
            event = self.codec.event(record)
            hidden += personal_in(event)
            found = masked(event)
        assert isinstance(found, dict), "an event has fields"
        return found


def personal_in(event: Event) -> list[str]:
    """The texts of its own fields that are masked."""
    shown = masked(event)
    assert isinstance(shown, dict), "an event has fields"
    return [str(getattr(event, name)) for name, part in shown.items() if part == MASK]


def _framed(record: Record) -> bool:
    return record.value is not None and record.value[:1] == b"\0"
