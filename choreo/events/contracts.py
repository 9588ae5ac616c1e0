"""Published contracts: schemas/NAMESPACE/Name.avsc, whether they are still true, whether a change breaks readers."""

import json
from pathlib import Path
from typing import Any

from choreo.errors import SchemaError
from choreo.events.avro import schema_of
from choreo.events.event import Event
from choreo.events.resolution import resolve


def export(cls: type[Event], directory: Path) -> Path:
    """Write the contract of a class; answers its file. The same class gives the same bytes. Raises SchemaError."""
    file = contract_file(cls, directory)
    if cls.contract.external:
        raise SchemaError(f"{cls.contract.full_name} is another system's event", hint="export your own only")
    if not cls.contract.framed:
        raise SchemaError(f"{cls.contract.full_name} has no Avro contract", why="its wire= or cloudevents= is another")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_text(schema_of(cls)), encoding="utf-8")
    except OSError as error:
        raise SchemaError("a contract can't be written", at=file, why=str(error)) from error
    return file


def drift(cls: type[Event], directory: Path) -> str | None:
    """How the class differs from its published contract; None where it does not, or where there is none.

    There is none of another system's event, nor of one that is not in the Confluent frame.
    """
    if cls.contract.external or not cls.contract.framed:
        return None
    file, schema = contract_file(cls, directory), schema_of(cls)
    try:
        published = json.loads(file.read_bytes())
    except FileNotFoundError:
        return f"{file} is missing"
    except ValueError as error:
        return f"{file} is no JSON: {error}"
    if published == schema:
        return None
    old, new = _fields(published), _fields(schema)
    said = [f"{name} was added" for name in new if name not in old]
    said += [f"{name} was removed" for name in old if name not in new]
    said += [f"{name} changed" for name in new if name in old and old[name] != new[name]]
    return f"{file} differs from the class: {', '.join(said) or 'its head or the order of its fields changed'}"


def compatibility(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Why a reader with the `new` schema can't read what was written with the `old` one (BACKWARD); empty if it can.

    Each begins with the path of the field, e.g. `lines[].price: 2 decimal places became 3`.
    """
    return list(resolve(old, new).problems)


def contract_file(cls: type[Event], directory: Path) -> Path:
    """Where the contract of a class lies: DIRECTORY/NAMESPACE/Name.avsc."""
    return Path(directory) / cls.contract.namespace / f"{cls.contract.name}.avsc"


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _fields(schema: Any) -> dict[str, Any]:
    fields = schema.get("fields", ()) if isinstance(schema, dict) else ()
    return {field["name"]: field for field in fields}
