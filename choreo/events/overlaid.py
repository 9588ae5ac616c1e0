"""A registry over another one, which is only read: what it lacks is registered here, while the process lasts."""

from collections.abc import Mapping
from typing import Any

from choreo.errors import UnknownSchemaError
from choreo.events.registry import MemoryRegistry, Registry


class OverlaidRegistry(Registry):
    """Registers nothing below."""

    def __init__(self, below: Registry) -> None:
        self._below, self._own = below, MemoryRegistry()
        self.subjects_by = below.subjects_by

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        known = self._below.find(subject, schema)
        return self._own.register(subject, schema) if known is None else known

    def schema(self, schema_id: int) -> dict[str, Any]:
        try:
            return self._below.schema(schema_id)
        except UnknownSchemaError:
            return self._own.schema(schema_id)

    def ids(self) -> Mapping[int, str]:
        return {**self._own.ids(), **self._below.ids()}
