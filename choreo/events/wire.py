"""How the bodies of other systems are read and written: the seam `Wire`, and JSON."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class Wire(ABC):
    """How the body of an external event is written: the seam for whatever other systems speak."""

    @abstractmethod
    def decode(self, value: bytes) -> Mapping[str, Any] | None:
        """The body by wire name (alias); None for one that is not of this class. Raises ValueError when unreadable."""

    @abstractmethod
    def encode(self, body: Mapping[str, Any]) -> bytes:
        """The bytes for a body by wire name, its values as JSON has them."""

    def event_id(self, body: Mapping[str, Any]) -> str | None:
        """The sender's own id of the event, where the body has one."""
        return None

    def timestamp(self, body: Mapping[str, Any]) -> object:
        """When it happened: ISO 8601 text or milliseconds since 1970; None where the body doesn't say."""
        return None


class Json(Wire):
    """A JSON object. `only` picks the bodies with these values; `event_id` and `timestamp` name body fields."""

    def __init__(
        self, *, only: Mapping[str, str] | None = None, event_id: str | None = None, timestamp: str | None = None
    ) -> None:
        self.only = dict(only or {})
        self._event_id, self._timestamp = event_id, timestamp

    def decode(self, value: bytes) -> Mapping[str, Any] | None:
        body = json.loads(value)
        if not isinstance(body, dict):
            raise ValueError(f"the body is a JSON {type(body).__name__}, not an object")
        return body if all(body.get(name) == wanted for name, wanted in self.only.items()) else None

    def encode(self, body: Mapping[str, Any]) -> bytes:
        return json.dumps(self.only | dict(body), ensure_ascii=False, separators=(",", ":")).encode()

    def event_id(self, body: Mapping[str, Any]) -> str | None:
        given = body.get(self._event_id) if self._event_id else None
        return None if given is None else str(given)

    def timestamp(self, body: Mapping[str, Any]) -> object:
        return body.get(self._timestamp) if self._timestamp else None
