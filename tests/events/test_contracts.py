"""Published contracts: written so that they can be reviewed, and compared with the class."""

import json
from pathlib import Path

import pytest

from choreo.errors import SchemaError
from choreo.events.avro import schema_of
from choreo.events.contracts import contract_file, drift, export
from choreo.events.event import Event
from choreo.types import CloudEvents, Json
from tests.events.sample import OrderPlaced


def test_a_contract_is_one_readable_file(tmp_path: Path) -> None:
    """The file lies under its namespace, holds the schema, and is the same bytes each time."""
    file = export(OrderPlaced, tmp_path)
    assert file == tmp_path / "shop" / "OrderPlaced.avsc"
    assert json.loads(file.read_text()) == schema_of(OrderPlaced)
    first = file.read_bytes()
    assert first.endswith(b"}\n")
    assert export(OrderPlaced, tmp_path).read_bytes() == first
    assert drift(OrderPlaced, tmp_path) is None


def test_drift_names_what_changed(tmp_path: Path) -> None:
    """A missing file, a damaged one, and each field that differs are said."""
    assert str(drift(OrderPlaced, tmp_path)).endswith("OrderPlaced.avsc is missing")
    file = export(OrderPlaced, tmp_path)
    schema = schema_of(OrderPlaced) | {}
    fields = [field for field in schema["fields"] if field["name"] != "email"]
    fields[0] = {"name": "order_id", "type": "long"}
    file.write_text(json.dumps(schema | {"fields": [*fields, {"name": "old", "type": "int"}]}))
    said = str(drift(OrderPlaced, tmp_path))
    assert said.endswith("differs from the class: email was added, old was removed, order_id changed")
    file.write_text(json.dumps(schema | {"doc": "Other."}))
    assert "its head or the order of its fields changed" in str(drift(OrderPlaced, tmp_path))
    file.write_text("{")
    assert "is no JSON" in str(drift(OrderPlaced, tmp_path))


def test_another_systems_event_is_not_ours_to_publish(tmp_path: Path) -> None:
    """An external class is neither exported nor compared."""

    class Counted(Event, namespace="erp", topic="erp.stock", key="sku", external=True, wire=Json()):
        sku: str

    with pytest.raises(SchemaError, match="another system's event"):
        export(Counted, tmp_path)
    assert drift(Counted, tmp_path) is None


def test_a_contract_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    """A file in the way is a SchemaError at the contract's path."""
    (tmp_path / "shop").write_text("")
    with pytest.raises(SchemaError, match="can't be written") as caught:
        export(OrderPlaced, tmp_path)
    assert caught.value.at == contract_file(OrderPlaced, tmp_path)


def test_an_event_outside_the_frame_has_no_avro_contract(tmp_path: Path) -> None:
    """An own event as JSON, or as a structured CloudEvent, is neither exported nor compared, whatever its fields."""

    class Told(Event, namespace="own", topic="own.told", key="key", wire=Json()):
        key: str
        anything: dict[str, object]

    class Clouded(Event, namespace="own", topic="own.told", key="key", cloudevents=CloudEvents("structured")):
        key: str

    for cls in (Told, Clouded):
        assert drift(cls, tmp_path) is None
        with pytest.raises(SchemaError, match="has no Avro contract"):
            export(cls, tmp_path)
