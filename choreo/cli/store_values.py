"""Entries of a service's stores as people and programs see them: typed as the service declares them, personal fields
masked.
"""

import json
from typing import Any

from pydantic_core import from_json, to_jsonable_python

from choreo.cli.personal_keys import TIMER, PersonalKeys
from choreo.cli.saga_privacy import EventSchemas, shown_fields, shown_instance
from choreo.clock import iso, to_datetime
from choreo.errors import StateError
from choreo.replay.findings import shown
from choreo.runtime.parking import PARKED, load
from choreo.saga.coordinator import Coordinator, EarlyEvent
from choreo.saga.index import INDEX
from choreo.saga.instance import Instance
from choreo.service.service import Service
from choreo.state.keys import split_key
from choreo.state.timers import due_from
from choreo.state.values import ValueCodec
from choreo.telemetry.privacy import masked

PARKED_STORE, _ = split_key(PARKED.encode((b"", 0)))


class StoreValues:
    """The values of one service's stores."""

    def __init__(self, service: Service) -> None:
        stores = [store for signature in service.signatures for store in signature.stores.values()]
        self._codecs: dict[str, ValueCodec] = {store.name: store.codecs()[1] for store in stores}
        handlers = [handler for handler in service.handlers if issubclass(handler, Coordinator)]
        self._coordinator = handlers[0] if handlers else None
        self._schemas = EventSchemas(None, self._coordinator.catalogue if self._coordinator else {})
        self.keys = PersonalKeys(service)

    def plain(self, store: str, data: bytes | None) -> Any:
        """What a value says, None where there is none; as text what no declaration of the service can read."""
        if data is None:
            return None
        codec = self._codecs.get(store)
        try:
            if store == PARKED_STORE:
                return _parked(data)
            if store.startswith(TIMER):
                return iso(to_datetime(due_from(data)), "microseconds")
            return to_jsonable_python(self._shown(codec.load(data))) if codec is not None else from_json(data[1:])
        except (StateError, ValueError):
            return shown(data)

    def parts(self, store: str, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        """The parts of a key as they may be shown: the index of a coordinator holds what its sagas remember."""
        if self._coordinator is not None and store == INDEX.name and len(parts) > 1:
            found = shown_fields(self._schemas, [self._coordinator.spec.starts_on], {str(parts[0]): parts[1]})
            parts = (parts[0], found[str(parts[0])], *parts[2:])
        return self.keys.parts(store, parts)

    def _shown(self, value: Any) -> Any:
        """What came from events is personal where it was so in them."""
        if isinstance(value, Instance) and self._coordinator is not None:
            return shown_instance(value, self._coordinator.specs.get(value.digest), self._schemas)
        if isinstance(value, tuple) and value and isinstance(value[0], EarlyEvent):
            return [one.model_copy(update={"body": self._body(one)}) for one in value]
        return masked(value)

    def _body(self, one: EarlyEvent) -> str:
        return json.dumps(shown_fields(self._schemas, [one.event], json.loads(one.body)), ensure_ascii=False)


def _parked(data: bytes) -> dict[str, Any]:
    """Of an input that waits, where it lies and how it stands: what it holds may be personal."""
    waits = load(data)
    lies, calls = None if waits.record is None else str(waits.record.position), [name for name, _ in waits.kept]
    return {"record": lies, "attempts": waits.attempts, "until_us": waits.until, "calls": calls}


def key_text(parts: tuple[object, ...]) -> str:
    """The key of an entry: its parts, the first one first."""
    return " / ".join(str(part) for part in parts)
