"""A type on the wire with the ways from values to Avro datums and back, and how shapes are built from shapes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from operator import attrgetter
from typing import Any, NamedTuple

from pydantic import BaseModel

from choreo.events.datums import Convert


@dataclass(frozen=True)
class Shape:
    """A type on the wire: its schema, its name as a branch of a union, and the class of its values.

    `to_datum` and `from_datum` are None where a value is its own datum, as fastavro takes and gives it (with the name
    of each record of a union of several records, `return_record_name`). `inner` is what it is made of, where the way to
    datums is the way of its parts: the fields of a record, the item of an array or a map, the branch beside null.
    """

    avro: Any
    branch: str
    kind: type
    to_datum: Convert | None = None
    from_datum: Convert | None = None
    inner: "tuple[FieldShape, ...] | Shape | None" = None

    def written(self, value: Any) -> Any:
        """The datum of a value."""
        return self.to_datum(value) if self.to_datum else value

    def read(self, datum: Any) -> Any:
        """What pydantic validates in place of a datum."""
        return self.from_datum(datum) if self.from_datum else datum

    def by_name(self) -> "Shape":
        """This named type where it was written out before."""
        return replace(self, avro=self.branch)

    def called(self, full_name: str) -> "Shape":
        """This named type, as a branch under its full name."""
        return replace(self, branch=full_name)


class FieldShape(NamedTuple):
    """A field: its name in Python, its entry in the schema (by wire name), its shape."""

    name: str
    avro: dict[str, Any]
    shape: Shape


def record_shape(cls: type[BaseModel], full_name: str, head: dict[str, Any], fields: Sequence[FieldShape]) -> Shape:
    """A record of these fields; `head` is its schema without them."""
    avro = head | {"fields": [field.avro for field in fields]}
    return Shape(avro, full_name, cls, _to_record(fields), _from_record(fields), tuple(fields))


def array_shape(item: Shape) -> Shape:
    """Any number of items, in order."""
    to, back = item.to_datum, item.from_datum
    return Shape(
        {"type": "array", "items": item.avro},
        "array",
        list,
        (lambda values: [to(value) for value in values]) if to else list,
        (lambda values: [back(value) for value in values]) if back else None,
        item,
    )


def map_shape(item: Shape) -> Shape:
    """Values by text."""
    to, back = item.to_datum, item.from_datum
    return Shape(
        {"type": "map", "values": item.avro},
        "map",
        dict,
        (lambda values: {name: to(value) for name, value in values.items()}) if to else None,
        (lambda values: {name: back(value) for name, value in values.items()}) if back else None,
        item,
    )


def is_told_apart(parts: Sequence[Shape]) -> bool:
    """Whether a value of a union of these is read back as the class that it was written as."""
    branches = [part.branch for part in parts]
    filled = [part for part in parts if part.branch != "null"]
    enums = [part for part in filled if issubclass(part.kind, Enum)]
    if len(set(branches)) < len(branches):
        return False
    if len(filled) == 1:
        return True
    records = [part for part in filled if issubclass(part.kind, BaseModel)]
    blurred = (records and "map" in branches) or (enums and "string" in branches) or len(enums) > 1
    return not (blurred or any(enum.from_datum for enum in enums))


def union_shape(parts: Sequence[Shape]) -> Shape:
    """One of these, in this order. Values go as (branch, datum), which spares fastavro from trying each branch."""
    avro = [part.avro for part in parts]
    filled = [part for part in parts if part.branch != "null"]
    if len(filled) == 1:
        branch, to, back = filled[0].branch, filled[0].to_datum, filled[0].from_datum
        return Shape(
            avro,
            "union",
            filled[0].kind,
            (lambda value: None if value is None else (branch, to(value)))
            if to
            else (lambda value: None if value is None else (branch, value)),
            (lambda datum: None if datum is None else back(datum)) if back else None,
            filled[0],
        )
    return _wide_union(avro, parts)


def _wide_union(avro: list[Any], parts: Sequence[Shape]) -> Shape:
    """The branch is told by the class of the value; once read, of several records, by the name beside the datum."""
    by_class = {part.kind: part for part in parts}
    by_class |= {tuple: by_class[list]} if list in by_class else {}
    records = {part.branch: part for part in parts if issubclass(part.kind, BaseModel)}
    # One of them at most is read as a dict, and one as a list: the class of the datum says which it was.
    backs = {part.kind: part.from_datum for part in parts if part.branch in ("map", "array")}
    if len(records) == 1:
        backs[dict] = next(iter(records.values())).from_datum

    def to_datum(value: Any) -> Any:
        part = by_class.get(type(value)) or next(part for kind, part in by_class.items() if isinstance(value, kind))
        return (part.branch, part.written(value))

    def from_datum(datum: Any) -> Any:
        if type(datum) is not tuple:
            back = backs.get(type(datum))
            return datum if back is None else back(datum)
        part = records[datum[0]]
        kind: Any = part.kind
        return kind.__pydantic_validator__.validate_python(part.read(datum[1]), extra="ignore")

    is_read = len(records) > 1 or any(backs.values())
    return Shape(avro, "union", object, to_datum, from_datum if is_read else None)


def _to_record(fields: Sequence[FieldShape]) -> Convert:
    changed = [(field.name, field.shape.to_datum) for field in fields if field.shape.to_datum]
    renamed = [(field.name, field.avro["name"]) for field in fields if field.avro["name"] != field.name]
    if not changed and not renamed:
        return attrgetter("__dict__")  # a model keeps its fields there: no copy is needed to write them

    def convert(value: Any) -> dict[str, Any]:
        datum: dict[str, Any] = value.__dict__.copy()
        for name, to_datum in changed:
            datum[name] = to_datum(datum[name])
        return datum if not renamed else rename(datum)

    def rename(datum: dict[str, Any]) -> dict[str, Any]:
        values = [(wire, datum.pop(name)) for name, wire in renamed]  # all out before any in: names may be swapped
        datum.update(values)
        return datum

    return convert


def _from_record(fields: Sequence[FieldShape]) -> Convert | None:
    changed = [(field.avro["name"], field.shape.from_datum) for field in fields if field.shape.from_datum]
    if not changed:
        return None

    def convert(datum: dict[str, Any]) -> dict[str, Any]:
        for wire, from_datum in changed:
            if wire in datum:
                datum[wire] = from_datum(datum[wire])
        return datum

    return convert
