"""Schemas in files: .avsc, with the types that lie in files beside it, and the schema inside an Avro container file."""

import json
from pathlib import Path
from typing import Any

from fastavro import parse_schema

from choreo.errors import SchemaError
from choreo.events.container import MAGIC, OLD_MAGIC, open_container
from choreo.events.schema import inlined, named_types

SCHEMA_SUFFIX, CONTAINER_SUFFIX = ".avsc", ".avro"


def schema_in(file: Path) -> Any:
    """The schema that a file holds, normalised and whole.

    A type that is only named is looked for beside the file, as NAMESPACE.Name.avsc, NAMESPACE/Name.avsc or
    name/space/Name.avsc. Raises SchemaError for a file that holds no valid schema.
    """
    try:
        schema = inlined(_read(file), lambda name: _beside(file, name))
        parse_schema(schema)
    except SchemaError:
        raise
    except Exception as error:  # fastavro raises anything for a schema that is none
        why = f"{type(error).__name__}: {error}"
        raise SchemaError(f"{file.name} holds no valid Avro schema", at=file, why=why) from error
    return schema


def record_in(file: Path) -> dict[str, Any]:
    """The record schema that a file holds. Raises SchemaError for a file that holds something else."""
    schema = schema_in(file)
    if not isinstance(schema, dict) or schema.get("type") != "record":
        records = [name for name, part in named_types(schema).items() if part["type"] == "record"]
        hint = f"give {', '.join(records[:5])} a file of its own" if records else "an event is an Avro record"
        raise SchemaError(f"{file.name} holds no record", at=file, hint=hint)
    return schema


def _read(file: Path) -> Any:
    try:
        content = file.read_bytes()
        if file.suffix == CONTAINER_SUFFIX or content.startswith((OLD_MAGIC, MAGIC)):
            return open_container(file).schema
        return json.loads(content)
    except OSError as error:
        raise SchemaError(f"{file} can't be read", why=error.strerror) from error
    except ValueError as error:
        raise SchemaError(f"{file.name} is no JSON", at=file, why=str(error)) from error


def _beside(file: Path, name: str) -> Any | None:
    """The schema of a named type in a file of its own; None where there is none."""
    namespace, _, short = name.rpartition(".")
    here = file.parent
    looked = [here / f"{name}{SCHEMA_SUFFIX}", here.joinpath(*namespace.split("."), f"{short}{SCHEMA_SUFFIX}")]
    looked += [root / namespace / f"{short}{SCHEMA_SUFFIX}" for root in (here, here.parent) if namespace]
    return next((_read(one) for one in looked if one.is_file()), None)
