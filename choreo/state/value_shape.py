"""What a value of a store looks like as JSON, from its type: as it is written, and as it is read.

A shape is a JSON Schema (by pydantic) without titles and docs, with words of our own: `formerly` beside a field has its
earlier names, `keys` is the schema of a map's keys, and `opaque` stands for a type of which no schema can be made.
Python validators of a type are no part of it.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from choreo.events.fields import Formerly
from choreo.state.value_types import forgets_extra, is_named_union, members_of, stored_adapter

Shape = dict[str, Any]
S = TypeVar("S")
_SILENT = ("title", "description", "examples", "default", "discriminator", "deprecated", "readOnly", "writeOnly")


def written_shape(annotation: Any) -> Shape:
    """How values of this type lie in a store: `required` are the fields that every one of them has."""
    return _cached(_written, annotation)


def reading_shape(annotation: Any) -> Shape:
    """What is read as a value of this type: `required` are the fields without a default."""
    return _cached(_reading, annotation)


def renamed(value: Any, shape: Any, defs: Shape | None = None) -> Any:
    """JSON that was written under earlier names of fields, under those that `shape` has now."""
    if not isinstance(shape, dict):
        return value
    defs = shape.get("$defs", defs or {})
    if "$ref" in shape:
        return renamed(value, _at(shape["$ref"], defs), defs)
    for branch in (*shape.get("anyOf", ()), *shape.get("oneOf", ())):
        value = renamed(value, branch, defs)
    if isinstance(value, list):
        firsts = shape.get("prefixItems", ())
        return [
            renamed(part, firsts[n] if n < len(firsts) else shape.get("items"), defs) for n, part in enumerate(value)
        ]
    if isinstance(value, dict):
        properties, others = shape.get("properties", {}), shape.get("additionalProperties")
        now = {old: name for name, part in properties.items() for old in part.get("formerly", ())}
        named = {now.get(name, name) if now.get(name) not in value else name: part for name, part in value.items()}
        return {name: renamed(part, properties.get(name, others), defs) for name, part in named.items()}
    return value


def former_names(adapter: TypeAdapter[Any]) -> list[str]:
    """Every earlier name of a field of a model within."""
    models = _models(adapter.core_schema, set())
    return [name for model in models for names in former_fields(model).values() for name in names]


def _at(ref: str, defs: Shape) -> Any:
    return defs.get(ref.rpartition("/")[2], {})


def _cached(make: Callable[[Any], Shape], annotation: Any) -> Shape:
    try:
        return make(annotation)
    except TypeError:  # an annotation with a list in it has no hash
        plain: Callable[[Any], Shape] = make.__wrapped__  # type: ignore[attr-defined]  # lru_cache gives it
        return plain(annotation)


@lru_cache(maxsize=512)
def _written(annotation: Any) -> Shape:
    return _shape(annotation, _Written)


@lru_cache(maxsize=512)
def _reading(annotation: Any) -> Shape:
    return _shape(annotation, _Reading)


def _shape(annotation: Any, kind: "type[_Reading]") -> Shape:
    """Mirrors `value_codec`."""
    sparse = hasattr(annotation, "__value_codec__")
    if not sparse and is_named_union(annotation):
        members = members_of(annotation)
        pairs = [[{"const": name}, _shape(member, kind)] for name, member in members.items()]
        return {"anyOf": [{"type": "array", "prefixItems": pair, "minItems": 2, "maxItems": 2} for pair in pairs]}
    adapter: TypeAdapter[Any] = TypeAdapter(annotation) if sparse else stored_adapter(annotation)
    # What a codec of its own writes lacks the fields that are at their defaults: as a reader needs it.
    generator = _Reading if sparse else kind
    try:
        found = adapter.json_schema(by_alias=False, schema_generator=generator, mode="validation")
    except PydanticInvalidForJsonSchema:
        return {"opaque": str(annotation)}
    quiet: Shape = _quiet(found, open_records=not sparse and forgets_extra(adapter.core_schema))
    return quiet


def _quiet(schema: Any, *, open_records: bool, names: bool = False) -> Any:
    """Without what says nothing of values, and without the prohibition of further fields where they are passed over.

    `names` says that the words of this table are names of fields or records.
    """
    if isinstance(schema, list):
        return [_quiet(part, open_records=open_records) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for word, part in schema.items():
        if not names and (word in _SILENT or (open_records and word == "additionalProperties" and part is False)):
            continue
        plain = not names and word in ("const", "enum", "required", "formerly")
        its_names = not names and word in ("properties", "$defs")
        kept[word] = part if plain else _quiet(part, open_records=open_records, names=its_names)
    return kept


class _Reading(GenerateJsonSchema):
    """Of what is read."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """It is written as text; pydantic's pattern of its digits could not be compared with another."""
        words = {"maxDigits": "max_digits", "decimalPlaces": "decimal_places", "minimum": "ge", "maximum": "le"}
        said = {word: schema.get(own) for word, own in words.items()}
        bounds = {word: float(bound) for word, bound in said.items() if bound is not None}  # type: ignore[arg-type]  # numbers all
        return {"type": "string", "format": "decimal", **bounds}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        found = super().dict_schema(schema)
        return found | {"keys": self.generate_inner(schema["keys_schema"])} if "keys_schema" in schema else found

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        for name, earlier in former_fields(schema["cls"]).items():
            if name in found.get("properties", {}):
                found["properties"][name] = found["properties"][name] | {"formerly": list(earlier)}
        return found


class _Written(_Reading):
    """Of what is written: a record has all its fields, whatever they are."""

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        if field["type"] == "typed-dict-field":
            return super().field_is_required(field, total)
        return not field.get("serialization_exclude")


def former_fields(model: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """The fields of a model that had other names, which are given."""
    found = {}
    for name, info in model.model_fields.items():
        facts = [*info.metadata, *_within(info.annotation)]
        if names := tuple(name for fact in facts if isinstance(fact, Formerly) for name in fact.names):
            found[name] = names
    return found


def _models(schema: Any, seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """The models within a pydantic core schema."""
    if isinstance(schema, dict):
        if schema.get("type") == "model":
            seen.add(schema["cls"])
        for part in schema.values():
            _models(part, seen)
    elif isinstance(schema, (list, tuple)):
        for part in schema:
            _models(part, seen)
    return seen


def _within(annotation: Any) -> list[Any]:
    """What stands beside a type within Annotated, at any depth of a union."""
    found = list(getattr(annotation, "__metadata__", ()))
    return found + [fact for part in get_args(annotation) for fact in _within(part)]
