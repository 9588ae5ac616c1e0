"""Classes for the events of others: what their schema wrote is read, under names that Python and pydantic allow."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from choreo.errors import EventError, SchemaError
from choreo.events.avro import schema_of, shape_of
from choreo.events.codec import Codec
from choreo.events.event import Event, EventType
from choreo.events.importing import Place, event_source
from choreo.events.literals import docstring, literal
from choreo.events.registry import MemoryRegistry
from choreo.events.resolution import resolve
from choreo.events.schema import canonical_form
from choreo.record import Record
from choreo.types import AsUnion

ROOT = Path(__file__).parents[2]
PLACE = Place("bank.transfers")


def logical(kind: str, name: str, /, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name} | more


def field(name: str, kind: Any, /, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind} | more


def record(name: str, /, *fields: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)} | more


MONEY = logical("bytes", "decimal", precision=9, scale=2)
NODE = record("Node", field("label", "string"), field("next", ["null", "Node"], default=None))
SUIT = {"type": "enum", "name": "Suit", "symbols": ["HEARTS", "None", "mro", "_x"], "default": "None", "doc": "A suit."}
WIDE = record(
    "Transfer",
    field("id", "string", doc="The bank's own number."),
    field("none", "null"),
    field("yes", "boolean", default=True),
    field("small", "int", default=-7),
    field("large", "long", default=2**40),
    field("single", "float", default=0.5),
    field("double", "double", default=1e-9),
    field("raw", "bytes", default="\u00ff\u0000"),
    field("text", "string", default='a "quoted" \\ text\n\u2028'),
    field("digest", {"type": "fixed", "name": "MD5", "size": 4}, default="abcd"),
    field("day", logical("int", "date"), default=19000),
    field("hour_ms", logical("int", "time-millis"), default=3_600_001),
    field("hour_us", logical("long", "time-micros"), default=3_600_000_001),
    field("at_ms", logical("long", "timestamp-millis"), default=1_700_000_000_123),
    field("at_us", logical("long", "timestamp-micros"), default=1_700_000_000_123_456),
    field("at_ns", logical("long", "timestamp-nanos"), default=5),
    field("there_ms", logical("long", "local-timestamp-millis"), default=1_700_000_000_123),
    field("there_us", logical("long", "local-timestamp-micros"), default=1_700_000_000_123_456),
    field("uid", logical("string", "uuid"), default="6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    field("uid_bytes", logical("fixed", "uuid", name="Uid", size=16)),
    field("amount", MONEY, default="\u0004\u00d2"),
    field("fee", logical("fixed", "decimal", name="Fee", size=6, precision=12, scale=4)),
    field("waits", logical("fixed", "duration", name="Duration", size=12)),
    field("suit", SUIT, default="HEARTS"),
    field("tree", NODE, default={"label": "root"}),
    field("numbers", {"type": "array", "items": "int"}, default=[1, 2]),
    field("none_yet", {"type": "array", "items": "Node"}, default=[]),
    field("prices", {"type": "map", "values": MONEY}, default={"tea": "\u0001"}),
    field("maybe", ["null", MONEY], default=None),
    field("surely", ["string", "null"], default="x"),
    field("any_of", ["null", "long", "string", "Node", {"type": "array", "items": MONEY}]),
    field("two", [record("Card", field("number", "string")), record("Iban", field("number", "string"))]),
    field("class", "string", default="c"),
    field("_hidden", "string", default="h"),
    field("hidden", "string", default="i"),
    field("schema", "string", default="s"),
    field("model_config", "string", default="m"),
    field("contract", "string", default="k"),
    field("date", ["null", logical("int", "date")], default=None),
    field("Suit", ["null", "Suit"], default=None),
    field("email", "string", default="", aliases=["mail", "e_mail"], **{"choreo.personal": True}),
    namespace="com.bank",
    doc='Money moved.\n\nSee "the manual".',
    aliases=["com.bank.Moved"],
)
BODY = {
    "id": "t1",
    "none": None,
    "raw": b"\xff\x00",
    "digest": b"abcd",
    "amount": b"\x04\xd2",
    "prices": {"tea": b"\x01"},
    "uid_bytes": b"0123456789abcdef",
    "fee": b"\x00\x00\x00\x01\x86\xa0",
    "waits": bytes(12),
    "any_of": [b"\x04\xd2"],
    "two": ("com.bank.Iban", {"number": "AT1"}),
    "tree": {"label": "root", "next": {"label": "leaf", "next": None}},
}


@pytest.fixture
def made() -> Iterator[Any]:
    """Runs the text of a module; answers its event class."""
    names: list[str] = []

    def run(text: str) -> type[Event]:
        module = ModuleType(f"imported_{len(names)}")
        names.append(module.__name__)
        sys.modules[module.__name__] = module
        exec(compile(text, module.__name__, "exec"), module.__dict__)
        here = [thing for thing in vars(module).values() if getattr(thing, "__module__", "") == module.__name__]
        event: type[Event]
        (event,) = [thing for thing in here if issubclass(thing, Event)]
        return event

    yield run
    for name in names:
        del sys.modules[name]


def body_of(schema: dict[str, Any], datum: Any) -> bytes:
    """A body as another system writes it."""
    out = BytesIO()
    schemaless_writer(out, parse_schema(schema), datum)
    return out.getvalue()


def test_every_type_is_read_and_written_alike(made: Any) -> None:
    """A class for a schema with every type of Avro reads its bodies, and its own schema writes the same bytes."""
    event = made(event_source(WIDE, Place("bank.transfers", ("id",))))
    assert '    id: str\n    """The bank\'s own number."""\n' in event_source(WIDE, PLACE)
    assert 'See "the manual".' in str(event.__doc__)
    assert event.contract.full_name == "com.bank.Transfer"
    assert (event.contract.key, event.contract.external, event.contract.former_name) == (
        ("id",),
        True,
        "com.bank.Moved",
    )
    own = schema_of(event)
    assert resolve(WIDE, own).problems == ()
    assert resolve(own, WIDE).problems == ()
    registry = MemoryRegistry()
    body = body_of(WIDE, BODY)
    frame = b"\0" + registry.register("t", WIDE).to_bytes(4, "big")
    read: Any = Codec(registry, [event], "c").event(Record("bank.transfers", 0, 0, 0, b"t1", frame + body, ()))
    assert [str(part) for part in (read.amount, read.fee, *read.any_of)] == ["12.34", "10.0000", "12.34"]
    assert (type(read.two).__name__, read.tree.next.label, read.suit.name) == ("Iban", "leaf", "HEARTS")
    assert read.uid_bytes.bytes == b"0123456789abcdef"
    assert (read.class_, read.hidden_, read.hidden, read.date_, read.text) == (
        "c",
        "h",
        "i",
        None,
        WIDE["fields"][8]["default"],
    )
    assert (read.hour_ms.microsecond, read.there_us.tzinfo, read.at_us.microsecond) == (1000, None, 123456)
    shape = shape_of(event)
    again = body_of(resolve(own, WIDE).schema, shape.written(read))
    assert schemaless_reader(BytesIO(again), parse_schema(WIDE), None) == schemaless_reader(
        BytesIO(body), parse_schema(WIDE), None
    )


def test_the_defaults_of_the_class_are_those_of_the_schema(made: Any) -> None:
    """Each default means the same in Python: what is written without a field is read with its default."""
    event = made(event_source(WIDE, PLACE))
    own = {one["name"]: one for one in schema_of(event)["fields"]}
    for one in WIDE["fields"]:
        if "default" in one and one["name"] != "tree":
            assert own[one["name"]]["default"] == one["default"], one["name"]
    assert own["tree"]["default"] == {"label": "root", "next": None}
    assert own["email"]["choreo.personal"] is True
    assert own["email"]["aliases"] == ["mail", "e_mail"]


def test_an_enum_answers_its_default(made: Any) -> None:
    """A symbol that the class does not know becomes the enum's default."""
    event = made(event_source(WIDE, PLACE))
    later = {
        **WIDE,
        "fields": [
            f | ({"type": SUIT | {"symbols": [*SUIT["symbols"], "NEW"]}} if f["name"] == "suit" else {})
            for f in WIDE["fields"]
        ],
    }
    registry = MemoryRegistry()
    frame = b"\0" + registry.register("t", later).to_bytes(4, "big")
    value = frame + body_of(later, BODY | {"suit": "NEW"})
    read: Any = Codec(registry, [event], "c").event(Record("bank.transfers", 0, 0, 0, b"t1", value, ()))
    assert read.suit.value == "None"


@pytest.mark.slow
@pytest.mark.xdist_group("typing")
def test_what_is_written_type_checks(tmp_path: Path) -> None:
    """mypy --strict has nothing to say about a class with every type and every awkward name."""
    (tmp_path / "imported.py").write_text(event_source(WIDE, PLACE), encoding="utf-8")
    cache = ROOT / ".mypy_cache" / "face"
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", str(cache)]
    environment = os.environ | {"MYPYPATH": str(ROOT), "NO_COLOR": "1"}
    done = subprocess.run(
        [*command, "imported.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110
    )
    assert "Success" in done.stdout, done.stdout + done.stderr


def test_names_of_classes_keep_out_of_the_way(made: Any) -> None:
    """A record that is called as Python or Choreo call something keeps its name on the wire."""
    schema = record(
        "Event", field("d", record("Decimal", field("v", MONEY))), field("o", record("None", field("v", "int")))
    )
    event = made(event_source(schema, PLACE))
    assert (event.contract.full_name, event.contract.namespace) == ("Event", "")
    assert resolve(schema, schema_of(event)).problems == ()


def test_a_namespace_within_another_is_kept(made: Any) -> None:
    """Types of other namespaces keep theirs."""
    inner = record(
        "Line",
        field("n", "int"),
        field("unit", {"type": "enum", "name": "Unit", "symbols": ["KG"]}),
        namespace="com.shop",
    )
    schema = record("Sold", field("line", inner), field("again", "com.shop.Line"), namespace="com.bank")
    own = schema_of(made(event_source(schema, PLACE)))
    assert own["fields"][0]["type"]["namespace"] == "com.shop"
    assert resolve(schema, own).problems == ()


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (record("A", field("x", [NODE, {"type": "map", "values": "int"}])), "x: record | map can't be told apart"),
        (record("A", field("x", {"type": "array", "items": "null"})), r"x\[\] takes no bytes"),
        (
            record("A", field("x", ["string", {"type": "enum", "name": "E", "symbols": ["A"]}])),
            "x: string | enum can't",
        ),
        (record("A", field("x", {"type": "error", "name": "B", "fields": []})), "x: error is no type of a field"),
        (record("A", field("x", "int", default="no")), "x: the default 'no' is no int"),
        (record("A", field("x", ["null", "int"], default="no")), "is of no part of its union"),
        (record("_A", field("x", "int")), "can't begin or end with _"),
    ],
)
def test_what_no_class_can_say_is_refused(schema: dict[str, Any], says: str) -> None:
    """A schema that no event class can stand for is an error with the path of the field."""
    with pytest.raises(SchemaError, match=says):
        event_source(schema, PLACE)


C = record("C", field("i", "int"))
WORD = {"type": "enum", "name": "Word", "symbols": ["A", "B"]}
ODD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "null last": (record("a.A", field("x", ["string", "null"])), {"x": "s"}),
    "null in the middle": (record("a.A", field("x", ["string", "null", "long"])), {"x": None}),
    "null last in a list": (record("a.A", field("x", {"type": "array", "items": ["long", "null"]})), {"x": [1, None]}),
    "one branch": (record("a.A", field("x", ["string"])), {"x": "s"}),
    "null as the one branch": (record("a.A", field("x", ["null"])), {"x": None}),
    "two numbers": (record("a.A", field("x", ["long", "double", "null"])), {"x": 1.5}),
    "a default that is not first": (record("a.A", field("x", ["null", "string"], default="d")), {"x": None}),
    "a default that is first": (record("a.A", field("x", ["string", "null", "long"], default="d")), {"x": 3}),
    "records, the last first": (
        record("a.A", field("x", [C, "null"]), field("y", ["C", record("D", field("i", "int")), "null"])),
        {"x": {"i": 1}, "y": ("a.D", {"i": 2})},
    ),
    "short names twice": (
        record("a.A", field("x", C | {"name": "b.C"}), field("y", C | {"name": "d.C"}), field("z", "d.C")),
        {"x": {"i": 1}, "y": {"i": 2}, "z": {"i": 3}},
    ),
    "short names twice in a union": (
        record("a.A", field("x", [C | {"name": "b.C"}, "null", C | {"name": "d.C"}])),
        {"x": ("d.C", {"i": 2})},
    ),
    "enums and fixed types of other namespaces": (
        record(
            "a.A",
            field("x", WORD | {"name": "b.Word"}),
            field("y", {"type": "fixed", "name": "b.F", "size": 2}),
            field("z", record("c.Z", field("w", "b.Word"), field("f", "b.F"), field("own", WORD))),
        ),
        {"x": "A", "y": b"ab", "z": {"w": "B", "f": b"cd", "own": "B"}},
    ),
    "records that hold each other": (
        record("a.A", field("b", ["null", record("B", field("a", ["null", "a.A"]))])),
        {"b": {"a": {"b": {"a": None}}}},
    ),
    "a nested class of Java": (record("org.Job$.A", field("x", record("B", field("i", "int")))), {"x": {"i": 1}}),
    "a fixed type without bytes": (record("a.A", field("x", {"type": "fixed", "name": "Z", "size": 0})), {"x": b""}),
}


@pytest.mark.parametrize("odd", ODD)
def test_the_schema_of_the_class_is_that_of_the_file(made: Any, odd: str) -> None:
    """However odd a schema is, the class has the same canonical form, reads its bodies and writes the same bytes."""
    schema, datum = ODD[odd]
    event = made(event_source(schema, PLACE))
    assert canonical_form(schema_of(event)) == canonical_form(schema)
    registry = MemoryRegistry()
    body = body_of(schema, datum)
    frame = b"\0" + registry.register("t", schema).to_bytes(4, "big")
    read = Codec(registry, [event], "c").event(Record("bank.transfers", 0, 0, 0, None, frame + body, ()))
    assert body_of(schema_of(event), shape_of(event).written(read)) == body


def test_an_order_of_branches_must_name_them() -> None:
    """AsUnion that names other branches than the annotation is an error when the class is made, with the names."""
    for wrong in (AsUnion("string"), AsUnion("string", "null", "null"), AsUnion("null", "long")):
        with pytest.raises(EventError, match="x: AsUnion names other branches") as caught:
            EventType("A", (Event,), {"__annotations__": {"x": Annotated[str | None, wrong]}}, namespace="n", topic="t")
        assert 'AsUnion("string", "null")' in (caught.value.hint or "")


def test_no_event_of_ours_has_a_name_that_avro_has_not() -> None:
    """A $ is for the classes of others."""
    with pytest.raises(EventError, match=r"no \$ in names"):
        EventType("A", (Event,), {"__annotations__": {"x": str}}, namespace="n$", topic="t")


def test_a_key_must_be_a_field() -> None:
    """A key that the schema does not have is refused, with the fields that it has."""
    with pytest.raises(SchemaError, match="no field iban") as caught:
        event_source(WIDE, Place("t", ("iban",)))
    assert "amount" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text", ['a"', '"""', "\\", "a\n\nb\\n", "", "x\x00y", 'ends with "', "two\nlines", "\u2028", "tab\there"]
)
def test_texts_survive_as_source(text: str) -> None:
    """Whatever a schema's docs and defaults hold, the source says the same text and nothing else."""
    assert eval(literal(text)) == text
    assert " ".join(str(eval(docstring(text))).split()) == " ".join(text.expandtabs(8).split())


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "record", "name": "n.E(object): pass\nimport os\nclass X", "fields": []},
        {"type": "record", "name": "n.E", "fields": [{"name": "x: int = 1\n    import os", "type": "int"}]},
        {"type": "record", "name": "E", "fields": [field("x", {"type": "enum", "name": "S", "symbols": ["A = 1;"]})]},
    ],
)
def test_what_is_no_name_never_becomes_source(schema: dict[str, Any]) -> None:
    """A schema comes from others: a name that Avro does not allow is refused."""
    with pytest.raises(SchemaError, match="is no name"):
        event_source(schema, Place("t"))
