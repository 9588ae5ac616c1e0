"""Registries: an id stands for one schema for ever, and is the same wherever it is registered."""

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from choreo.errors import ConfigError, SchemaError, UnknownSchemaError
from choreo.events import registry as registry_module
from choreo.events.avro import schema_of
from choreo.events.open import open_registry
from choreo.events.registry import DirectoryRegistry, MemoryRegistry, Registry
from choreo.events.schema import normalised
from tests.events.sample import Everything, OrderPlaced

ORDER = schema_of(OrderPlaced)
Make = Callable[[], Registry]
MARK: dict[str, Any] = {"choreo.personal": True}


def simple(name: str = "shop.A", /, **field: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": "a", "type": "long"} | field]}


@pytest.fixture(params=["memory", "directory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Opens the registry; a directory is opened anew each time."""
    memory = MemoryRegistry()
    return (lambda: memory) if request.param == "memory" else lambda: DirectoryRegistry(tmp_path / "registry")


def test_what_is_registered_is_found_by_its_id(make: Make) -> None:
    """An id gives its schema back, and the list of ids says whose it is."""
    schema_id = make().register("shop.OrderPlaced", ORDER)
    assert 0 <= schema_id < 2**31
    assert make().schema(schema_id) == ORDER
    assert make().ids() == {schema_id: "shop.OrderPlaced"}
    assert make().register("shop.OrderPlaced", ORDER) == schema_id


def test_an_id_is_the_same_on_every_machine(make: Make) -> None:
    """The id depends on subject and schema only: this one is written on every log."""
    assert make().register("shop.A", simple()) == 115374454


def test_an_unknown_id_says_what_to_do(make: Make) -> None:
    """An id that is not registered is an UnknownSchemaError with a hint."""
    with pytest.raises(UnknownSchemaError, match="schema id 7 is not registered") as caught:
        make().schema(7)
    assert caught.value.hint


@pytest.mark.parametrize(
    "other",
    [
        simple(type={"type": "long", "logicalType": "timestamp-micros"}),
        simple(default=1),
        simple(aliases=["b"]),
        simple(**MARK),
        simple("shop.B"),
    ],
)
def test_schemas_that_mean_something_else_have_another_id(make: Make, other: dict[str, Any]) -> None:
    """Logical types, defaults, aliases, marks and names make another schema."""
    registry = make()
    assert registry.register("s", simple()) != registry.register("s", other)
    assert registry.register("s", simple()) != registry.register("t", simple())


@pytest.mark.parametrize(
    "same",
    [
        simple(doc="what it is"),
        simple(type={"type": "long"}),
        simple() | {"doc": "d"},
        simple("A") | {"namespace": "shop"},
    ],
)
def test_schemas_that_mean_the_same_have_one_id(make: Make, same: dict[str, Any]) -> None:
    """Docs and ways of writing do not make another schema."""
    registry = make()
    assert registry.register("s", simple()) == registry.register("s", same)


def test_a_collision_takes_the_next_id(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two schemas whose hashes meet get two ids, and keep them."""

    class Hash:
        def digest(self) -> bytes:
            return b"\xff" * 32

    monkeypatch.setattr(registry_module, "sha256", lambda data: Hash())
    first, second = make().register("a", simple()), make().register("b", simple())
    assert (first, second) == (2**31 - 1, 0)
    assert (make().register("b", simple()), make().register("a", simple())) == (second, first)


def test_a_reader_finds_what_another_process_registers_later(tmp_path: Path) -> None:
    """A miss looks at the disk again, so that no restart is needed."""
    reader, writer = DirectoryRegistry(tmp_path), DirectoryRegistry(tmp_path)
    with pytest.raises(UnknownSchemaError):
        reader.schema(1)
    schema_id = writer.register("shop.OrderPlaced", ORDER)
    assert reader.schema(schema_id) == ORDER


def register_all(path: str) -> list[int]:
    """Run by several processes at once."""
    registry = DirectoryRegistry(path)
    return [registry.register(f"s{n}", simple(default=n % 7)) for n in range(40)]


def test_several_processes_register_at_once(tmp_path: Path) -> None:
    """Processes that register the same schemas at the same time agree on the ids and leave no half-written file."""
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        answers = list(pool.map(register_all, [str(tmp_path)] * 3))
    assert answers[0] == answers[1] == answers[2]
    files = list((tmp_path / "by-id").iterdir())
    assert sorted(int(file.stem) for file in files) == sorted(answers[0])
    assert all(set(json.loads(file.read_text())) == {"subject", "schema"} for file in files)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """A schema file that is no JSON is a SchemaError that says which."""
    schema_id = DirectoryRegistry(tmp_path).register("shop.A", simple())
    file = tmp_path / "by-id" / f"{schema_id}.avsc"
    file.write_text("{")
    with pytest.raises(SchemaError, match="can't be read") as caught:
        DirectoryRegistry(tmp_path).schema(schema_id)
    assert caught.value.at == file


def test_a_directory_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    """A registry in the place of a file is a SchemaError that says what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SchemaError, match=r"the schema of shop\.A can't be registered|can't be read") as caught:
        DirectoryRegistry(tmp_path / "file").register("shop.A", simple())
    assert caught.value.hint


def test_registries_are_opened_by_url(tmp_path: Path) -> None:
    """`memory:`, `dir:PATH` and URLs open; anything else says what there is."""
    assert isinstance(open_registry("memory:"), MemoryRegistry)
    registry = open_registry(f"dir:{tmp_path}")
    assert registry.schema(registry.register("s", ORDER)) == ORDER
    with pytest.raises(ConfigError, match="no URL of a registry"):
        open_registry("http://")
    for url in ("redis://x", "dir:", "memory:x", ""):
        with pytest.raises(ConfigError, match="no such kind of registry"):
            open_registry(url)


def test_normal_form_is_stable() -> None:
    """The normal form of a normal form is itself, with every name full."""
    normal = normalised(schema_of(Everything))
    assert normalised(normal) == normal
    assert normalised(ORDER)["fields"][4]["type"]["items"]["name"] == "shop.Line"
    with pytest.raises(SchemaError):
        normalised(7)
