"""Random Avro schemas and data for them: every type, within records, arrays, maps and unions, some types by name."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from io import BytesIO
from random import Random
from typing import Any
from uuid import UUID

from fastavro import parse_schema, schemaless_reader, schemaless_writer

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
LOGICAL: tuple[dict[str, Any], ...] = (
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "local-timestamp-millis"},
    {"type": "long", "logicalType": "local-timestamp-micros"},
    {"type": "int", "logicalType": "date"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": "long", "logicalType": "time-micros"},
    {"type": "string", "logicalType": "uuid"},
    {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
    {"type": "string", "logicalType": "unheard-of"},
)
NUMBERS = ("int", "long", "float", "double")
INTS = {"int": 2**31, "long": 2**63}


@dataclass
class Bodies:
    """Random schemas and data. `plain`: no type by its name, and no union of types that can be promoted to one another,
    of which fastavro takes the first.
    """

    random: Random
    plain: bool = False
    named: dict[str, Any] = field(default_factory=dict)
    names: int = 0

    def record(self, depth: int) -> dict[str, Any]:
        """The schema of a record with others this deep within it."""
        made: dict[str, Any] = self._name({"type": "record"})
        made["fields"] = [
            {"name": f"f{number}", "type": self.schema(depth - 1)} for number in range(self.random.randrange(5))
        ]
        self.named[made["name"]] = made  # only now: it never holds itself
        return made

    def schema(self, depth: int, in_union: bool = False) -> Any:
        """Any schema; records within records this deep."""
        kinds = [*PRIMITIVES, "logical", "enum", "fixed", "decimal", "name"]
        kinds += ["array", "map", "record", *(["union"] if not in_union else [])] * 2 if depth > 0 else []
        kind = self.random.choice(kinds)
        if kind == "logical":
            return self.random.choice(LOGICAL)
        if kind == "name":
            return self.random.choice([*self.named]) if self.named and not self.plain else "int"
        if kind == "enum":
            count = self.random.choice([1, 2, 70])
            return self._known(self._name({"type": "enum", "symbols": [f"S{number}" for number in range(count)]}))
        if kind == "fixed":
            return self._known(self._name({"type": "fixed", "size": self.random.choice([1, 4, 16])}))
        if kind == "decimal":
            return self._known(self._name({"type": "fixed", "size": 4} | {**LOGICAL[8], "type": "fixed"}))
        if kind == "array":
            before, items = dict(self.named), self.schema(depth - 1)
            if self.is_empty(items):
                self.named, items = before, "int"
            return {"type": "array", "items": items}
        if kind == "map":
            return {"type": "map", "values": self.schema(depth - 1)}
        if kind == "record":
            return self.record(depth)
        if kind == "union":
            return self._union(depth)
        return kind

    def is_empty(self, schema: Any) -> bool:
        """Whether its data take no bytes: of such items a few bytes could promise billions, so they are not read."""
        schema = self.named.get(schema, schema) if isinstance(schema, str) else schema
        if isinstance(schema, dict) and schema["type"] == "record":
            return all(self.is_empty(entry["type"]) for entry in schema["fields"])
        return bool(schema == "null")

    def datum(self, schema: Any) -> Any:
        """A datum; in a union with the name of its branch."""
        schema = self.named.get(schema, schema) if isinstance(schema, str) else schema
        if isinstance(schema, list):
            part = self.random.choice(schema)
            return None if part == "null" else (branch_of(part), self.datum(part))
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind == "array":
            return [self.datum(schema["items"]) for _ in range(self.random.choice([0, 1, 3, 70]))]
        if kind == "map":
            return {f"k{number}": self.datum(schema["values"]) for number in range(self.random.choice([0, 1, 3]))}
        if kind == "record":
            return {entry["name"]: self.datum(entry["type"]) for entry in schema["fields"]}
        if kind == "enum":
            return self.random.choice(schema["symbols"])
        logical = schema.get("logicalType", "") if isinstance(schema, dict) else ""
        if logical and logical != "unheard-of":
            return self._logical(logical)
        return self.random.randbytes(schema["size"]) if kind == "fixed" else self._primitive(kind)

    def _union(self, depth: int) -> list[Any]:
        parts: dict[str, Any] = {}
        for _ in range(self.random.choice([1, 2, 2, 3, 5])):
            before, part = dict(self.named), self.schema(depth - 1, in_union=True)
            branch = branch_of(part)
            if self.plain:
                branch = "number" if branch in NUMBERS else "text" if branch in ("bytes", "string") else branch
            if branch in parts:
                self.named = before
            parts.setdefault(branch, part)
        return list(parts.values())

    def _primitive(self, kind: str) -> Any:
        choice, below = self.random.choice, self.random.randrange
        if kind in INTS:
            return choice([below(-64, 64), below(-9000, 9000), below(-INTS[kind], INTS[kind]), -INTS[kind]])
        if kind in ("float", "double"):
            return choice([0.0, 1.5, -2.25, float("inf"), float(below(2**20))])
        if kind == "bytes":
            return self.random.randbytes(choice([0, 1, 5, 63, 64, 200]))
        if kind == "string":
            return "".join(choice("abcž水😀") for _ in range(choice([0, 1, 5, 70])))
        return None if kind == "null" else choice([True, False])

    def _logical(self, logical: str) -> Any:
        below = self.random.randrange
        if logical == "decimal":
            return Decimal(below(-999_999, 999_999)).scaleb(-2)
        if logical == "date":
            return date.fromordinal(below(1, 3_000_000))
        if logical == "uuid":
            return UUID(int=self.random.getrandbits(128))
        millis = below(1000) * 1000
        if logical.startswith("time-"):
            return time(below(24), below(60), below(60), millis)
        zone = None if logical.startswith("local") else UTC
        return datetime(below(1, 9999), below(1, 13), 2, below(24), 4, 5, millis, tzinfo=zone)

    def _name(self, schema: dict[str, Any]) -> dict[str, Any]:
        self.names += 1
        return schema | {"name": f"N{self.names}"}

    def _known(self, schema: dict[str, Any]) -> dict[str, Any]:
        self.named[schema["name"]] = schema
        return schema


def branch_of(part: Any) -> str:
    """What fastavro calls a branch of a union."""
    return str(part.get("name", part["type"]) if isinstance(part, dict) else part)


def written(schema: Any, datum: Any) -> bytes:
    """The body that fastavro writes."""
    body = BytesIO()
    schemaless_writer(body, parse_schema(schema), datum)
    return body.getvalue()


def read(schema: Any, body: bytes, reader: Any = None) -> Any:
    """What fastavro reads, by the schema of a reader if there is one; the names of records as the codec wants them."""
    asked: Any = None if reader is None else parse_schema(reader)
    return schemaless_reader(BytesIO(body), parse_schema(schema), asked, True, True)


def asked_in_part(random: Random, schema: Any) -> Any:
    """The schema of a reader that has not all of the fields, and others by another name."""
    if isinstance(schema, list):
        return [asked_in_part(random, part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {word: asked_in_part(random, part) if word in ("items", "values") else part for word, part in schema.items()}
    if "fields" in made:
        kept = [entry for entry in schema["fields"] if random.random() < 0.6]
        made["fields"] = [entry | {"type": asked_in_part(random, entry["type"])} for entry in kept]
        for entry in made["fields"]:
            if random.random() < 0.2:
                entry |= {"name": entry["name"] + "_new", "aliases": [entry["name"]]}
    return made
