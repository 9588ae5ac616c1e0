"""The JSON Schema of an event as it lies in a JSON body: for its producers or consumers that are not Choreo."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core.core_schema import BytesSchema

from choreo.events.event import Event
from choreo.events.fields import PersonalMark
from choreo.events.wire import FieldWire, Json, wire_fields


class _BodySchema(GenerateJsonSchema):
    """As pydantic's, with the lengths of bytes as their Base64 text has them: pydantic gives those of the bytes."""

    def bytes_schema(self, schema: BytesSchema) -> JsonSchemaValue:
        found = super().bytes_schema(schema)
        for word in ("minLength", "maxLength"):
            if word in found:
                found[word] = -(-found[word] // 3) * 4
        return found


def json_schema_of(cls: type[Event]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the body of an event, by wire name.

    Of another system's event it says what we can read, of our own what we write. Fields that lie in the key or in
    headers are no part of it; what `Json(only=...)` asks for is. More fields are allowed, as readers pass them over.
    """
    contract = cls.contract
    mode: JsonSchemaMode = "validation" if contract.external else "serialization"
    schema = cls.model_json_schema(by_alias=True, schema_generator=_BodySchema, mode=mode)
    schema = {word: _opened(part) for word, part in schema.items() if word != "additionalProperties"}
    beside = contract.wire.beside if isinstance(contract.wire, FieldWire) else frozenset()
    only = contract.wire.only if isinstance(contract.wire, Json) else {}
    fields = wire_fields(cls)
    properties = {name: part for name, part in schema.get("properties", {}).items() if name not in beside}
    for name, part in properties.items():
        if any(isinstance(fact, PersonalMark) for fact in fields[name][1].metadata):
            part["x-choreo-personal"] = True
    properties |= {name: properties.get(name, {}) | {"const": wanted} for name, wanted in only.items()}
    required = [*only, *(name for name in schema.pop("required", ()) if name not in beside and name not in only)]
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": contract.full_name}
    return head | schema | {"title": contract.full_name, "properties": properties, "required": required}


def _opened(schema: Any) -> Any:
    """Without the prohibition of further fields, at any depth: it holds for Python's constructor, not for the wire."""
    if isinstance(schema, list):
        return [_opened(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        word: _opened(part) for word, part in schema.items() if not (word == "additionalProperties" and part is False)
    }
