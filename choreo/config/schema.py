"""The JSON Schema of choreo.toml, for editors, made from the sections that the reader fits values into.

What texts mean (a URL, a duration, a way to name subjects) is checked where they are used, not here.
"""

from collections.abc import Mapping
from dataclasses import Field, fields
from inspect import getdoc
from typing import TYPE_CHECKING, Any

from choreo.config.sections import FREE, MULTIPLE, SECTIONS, SINGLE

if TYPE_CHECKING:
    from pydantic import BaseModel

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TYPES: Mapping[object, Mapping[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    tuple[str, ...]: {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]},
}
SAID = {
    "topics": "How topics are made: [topics.default], then [topics.NAME].",
    "downstreams": "[downstreams.NAME]: what operators turn without a release.",
    "kafka": "Any setting of librdkafka, by its own name.",
    "settings": "[settings.SERVICE]: a service's own settings.",
}


def config_schema(settings: Mapping[str, "type[BaseModel]"] | None = None) -> dict[str, Any]:
    """The schema (draft 2020-12) of choreo.toml. `settings` are the models of the services' own settings, by service:
    their fields are offered; none must be there, since a variable may give it.
    """
    definitions: dict[str, Any] = {section: _single(kind) for section, kind in SINGLE.items()}
    for section, kind in MULTIPLE.items():
        definitions |= _multiple(section, kind)
    definitions |= {"kafka": _kafka(), "settings": _settings(settings or {}, definitions)}
    assert set(FREE) == {"kafka", "settings"}
    sections = {name: {"description": _said(name), "$ref": f"#/$defs/{name}"} for name in SECTIONS}
    profile = {"type": "object", "properties": sections, "additionalProperties": False}
    return {
        "$schema": DRAFT,
        "title": "choreo.toml",
        "type": "object",
        "properties": {
            **sections,
            "profile": {
                "description": "[profile.NAME.SECTION]: laid over the rest by --profile NAME.",
                "type": "object",
                "additionalProperties": profile,
            },
        },
        "additionalProperties": False,
        "$defs": definitions,
    }


def _said(section: str) -> str:
    return SAID.get(section) or _doc(SINGLE[section])


def _doc(kind: type) -> str:
    return " ".join((getdoc(kind) or "").split())


def _single(kind: type) -> dict[str, Any]:
    return {"type": "object", "properties": _keys(kind), "additionalProperties": False}


def _multiple(section: str, kind: type) -> dict[str, Any]:
    """A section of named sections; a name with dots may be written as tables in tables."""
    below = {"$ref": f"#/$defs/{section}.NAME"}
    return {
        section: {"type": "object", "additionalProperties": below},
        f"{section}.NAME": {
            "description": _doc(kind),
            "type": "object",
            "properties": _keys(kind),
            "additionalProperties": below,
        },
    }


def _keys(kind: type) -> dict[str, Any]:
    return {declared.name: _key(declared) for declared in fields(kind)}


def _key(declared: Field[Any]) -> dict[str, Any]:
    least = declared.metadata.get("at_least")
    choices = declared.metadata.get("one_of")
    bound: dict[str, Any] = {} if least is None else {"minimum": least}
    if choices is not None:
        bound["enum"] = list(choices)
    default = list(declared.default) if isinstance(declared.default, tuple) else declared.default
    return {**TYPES[declared.type], **bound, "default": default}


def _kafka() -> dict[str, Any]:
    """Texts, numbers and truths; dots in names may be written as tables in tables."""
    leaf = {"type": ["string", "number", "boolean"]}
    return {"type": "object", "additionalProperties": {"anyOf": [leaf, {"$ref": "#/$defs/kafka"}]}}


def _settings(models: Mapping[str, "type[BaseModel]"], definitions: dict[str, Any]) -> dict[str, Any]:
    """Each service's fields; what its model names elsewhere is added to `definitions`."""
    known: dict[str, Any] = {}
    for service, model in models.items():
        place = f"settings.{service}."
        schema = model.model_json_schema(by_alias=False, ref_template=f"#/$defs/{place}{{model}}")
        definitions |= {place + name: body for name, body in schema.pop("$defs", {}).items()}
        schema.pop("required", None)
        known[service] = schema | {"additionalProperties": False}
    return {"type": "object", "properties": known, "additionalProperties": {"type": "object"}}
