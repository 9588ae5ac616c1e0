"""The types of a store's values: what they are called, which classes a union names, how pydantic sees them."""

from collections.abc import Iterator
from dataclasses import is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError
from typing_extensions import is_typeddict  # pydantic's: before Python 3.12 it knows no other typed dicts

from choreo.errors import DeclarationError

_EXACT = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants")
"""For annotations that are no model; a model has its own config."""


def type_name(annotation: Any) -> str:
    """What a message calls it."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def is_named_union(annotation: Any) -> bool:
    """Whether it is a union of several models, whose values lie as [class name, body]: two may look alike as JSON."""
    models = [member for member in _classes(annotation) if issubclass(member, BaseModel)]
    return len(models) > 1


def members_of(annotation: Any) -> dict[str, type]:
    """The classes of a named union by the names under which their values lie."""
    members = list(_classes(annotation))
    names = [member.__name__ for member in members]
    if len(set(names)) != len(names):
        names = [f"{member.__module__}.{member.__qualname__}" for member in members]
    return dict(zip(names, members, strict=True))


def stored_adapter(annotation: Any) -> TypeAdapter[Any]:
    """How pydantic reads and writes it here. Raises DeclarationError for a type that pydantic does not know."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=None if _has_config(annotation) else _EXACT)
        adapter.core_schema  # noqa: B018  # made here, where what is wrong with it is told
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError) as error:
        raise DeclarationError(
            f"{type_name(annotation)} can't be the value of a store",
            why=str(error),
            hint="a pydantic model or a type that it knows",
        ) from error
    return adapter


def forgets_extra(core_schema: Any) -> bool:
    """Whether fields that a stored value has more are passed over: not where a model within asks for them."""
    return not any(config.get("extra_fields_behavior") == "allow" for config in _configs(core_schema))


def _classes(annotation: Any) -> Iterator[type]:
    """The classes of a union, as they are; nothing where it is none, or a member is no class."""
    if get_origin(annotation) is Annotated:
        return  # a discriminator, which does it by itself
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType) and all(isinstance(member, type) for member in arguments):
        yield from arguments


def _has_config(annotation: Any) -> bool:
    """True for types to which pydantic refuses another config."""
    if not isinstance(annotation, type):
        return False
    return issubclass(annotation, BaseModel) or is_dataclass(annotation) or is_typeddict(annotation)


def _configs(schema: Any) -> Iterator[dict[str, Any]]:
    """Every config within a pydantic core schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("config"), dict):
            yield schema["config"]
        if "extra_behavior" in schema:  # a model's fields, a dataclass or a typed dict say it themselves
            yield {"extra_fields_behavior": schema["extra_behavior"]}
        for word, inner in schema.items():
            if word != "config":
                yield from _configs(inner)
    elif isinstance(schema, (list, tuple)):
        for inner in schema:
            yield from _configs(inner)
