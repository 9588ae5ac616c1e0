"""Events by their schema alone: read, changed and written without a class of theirs."""

from typing import Any

import pytest

from choreo.errors import PublishError
from choreo.events.bodies import Bodies
from choreo.events.by_schema import BySchema
from choreo.events.registry import MemoryRegistry
from choreo.record import Record
from tests.events.test_importing import BODY, WIDE, body_of


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def record(registry: MemoryRegistry) -> Record:
    """An event with every type of Avro, as another system wrote it."""
    schema_id = registry.register("com.bank.Transfer", WIDE)
    value = b"\0" + schema_id.to_bytes(4, "big") + body_of(WIDE, BODY)
    return Record("bank.transfers", 3, 7, 0, b"t1", value, [])


def test_what_was_not_changed_has_the_same_bytes(registry: MemoryRegistry, record: Record) -> None:
    """Every type of Avro goes through a class and back to what it was, byte by byte, under the same schema."""
    by_schema = BySchema(registry)
    assert by_schema.value(by_schema.event(record), record) == record.value


def test_a_field_is_changed_and_the_others_are_as_they_were(registry: MemoryRegistry, record: Record) -> None:
    """By way of JSON, as somebody edits it."""
    by_schema, bodies = BySchema(registry), Bodies(registry)
    event = by_schema.event(record)
    told = event.model_dump(mode="json") | {"id": "t2"}
    changed: Any = type(event).model_validate(told)
    written = record._replace(value=by_schema.value(changed, record))
    assert bodies.read(written) == {**bodies.read(record), "id": "t2"}


def test_what_the_schema_can_not_say_is_refused(registry: MemoryRegistry, record: Record) -> None:
    """Nothing is written that does not fit."""
    by_schema = BySchema(registry)
    event = by_schema.event(record)
    with pytest.raises(PublishError, match="its schema can't say this"):
        by_schema.value(event.model_copy(update={"id": 5}), record)
