"""The walls of the house: which room may import which, how large they grow, which names are too vague."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.xdist_group("architecture")  # one process parses the project
ROOT = Path(__file__).parent.parent

FLOORS: tuple[tuple[str, ...], ...] = (
    ("record", "errors", "clock", "told"),
    ("log", "events"),
    ("state",),
    ("resilience",),
    ("service",),
    ("runtime", "saga", "jobs", "config"),
    ("replay", "telemetry", "testing", "streams", "demo", "diagram", "checks"),
    ("console",),
    ("cli",),
)
"""Floor 0 first. A part imports from floors below its own; the rooms of floor 0 also use each other."""

FACE = {"choreo", "choreo.types", "choreo.__main__"}
"""Doors for people outside: they may import from every floor, and nobody inside imports them."""

KAFKA_ERRORS = {"KafkaException", "KafkaError"}
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 400, 60, 6
VAGUE_WORDS = ("Manager", "Helper", "Util", "Utils", "Impl", "Base", "Info", "Data")
VAGUE_FILES = {"utils", "util", "helpers", "helper", "base", "common", "misc", "manager", "info", "data", "impl"}


class Source(NamedTuple):
    """One parsed file: its dotted module name, where it lies, its text and its tree."""

    module: str
    path: Path
    text: str
    tree: ast.Module


class Import(NamedTuple):
    """One imported module, and the line that imports it."""

    target: str
    line: int


def sources(*folders: str) -> list[Source]:
    """Every Python file below these folders of the project. Nobody changes the trees."""
    return [source for folder in folders for source in _parsed(folder)]


@cache
def _parsed(folder: str) -> list[Source]:
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found.append(Source(module, path, text, ast.parse(text, filename=str(path))))
    return found


@pytest.fixture(scope="module", autouse=True)
def trees() -> Iterator[None]:
    """Parsed once for the tests of a module, and not kept for those of others: 342,000 nodes."""
    yield
    _parsed.cache_clear()


def imports_of(source: Source, known: set[str]) -> Iterator[Import]:
    """Every import of a file, under TYPE_CHECKING and inside functions too; relative ones resolved."""
    package = source.module.split(".") if source.path.name == "__init__.py" else source.module.split(".")[:-1]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{origin}.{alias.name}"
                yield Import(whole if whole in known else origin, node.lineno)


def part_of(module: str) -> str:
    """The room of a module of choreo: `choreo.log.kafka` lives in `log`."""
    return module.split(".")[1]


def floor_of(part: str) -> int:
    """The floor of a room; -1 where the map does not know it."""
    return next((floor for floor, parts in enumerate(FLOORS) if part in parts), -1)


def faults_of_imports(package: list[Source]) -> list[str]:
    """What is wrong with the imports among the files of choreo, one sentence each."""
    known = {source.module for source in package}
    faults = []
    for source in package:
        if source.module in FACE:
            continue
        here = part_of(source.module)
        if floor_of(here) < 0:
            faults.append(f"{source.module}: {here} is on no floor; add it to FLOORS and to ARCHITECTURE.md")
            continue
        for target, line in imports_of(source, known):
            if target.split(".")[0] != "choreo":
                continue
            if target in FACE:
                faults.append(f"{source.module}:{line} imports the face, {target}; import the room itself")
                continue
            there = part_of(target)
            level = floor_of(there) == floor_of(here) == 0
            if here != there and not level and floor_of(there) >= floor_of(here):
                faults.append(f"{source.module}:{line} imports {target}: floor {floor_of(here)} to {floor_of(there)}")
    return faults


def functions_of(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
    """Every function, and whether it is a method whose first parameter is self or cls."""
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield child, isinstance(node, ast.ClassDef) and not _is_static(child)


def _is_static(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in function.decorator_list)


def faults_of_size(source: Source) -> list[str]:
    """Files, functions and parameter lists that have outgrown their walls."""
    faults = []
    lines = source.text.count("\n")
    if lines >= MAX_FILE_LINES:
        faults.append(f"{source.module}: {lines} lines, the wall is {MAX_FILE_LINES}")
    for function, is_method in functions_of(source.tree):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        given = function.args
        count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) - is_method
        if length >= MAX_FUNCTION_LINES:
            faults.append(f"{source.module}:{function.lineno} {function.name}: {length} lines")
        if count > MAX_PARAMETERS:
            faults.append(f"{source.module}:{function.lineno} {function.name}: {count} parameters")
    return faults


def faults_of_names(source: Source) -> list[str]:
    """Names that say nothing: of the file, of its classes and of its functions."""
    faults = []
    if source.module.rsplit(".", 1)[-1] in VAGUE_FILES:
        faults.append(f"{source.module}: a file is named for what it holds")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            words = set(re.findall(r"[A-Z][a-z]*", node.name))
            faults += [f"{source.module}:{node.lineno} class {node.name}" for word in VAGUE_WORDS if word in words]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            words = set(node.name.split("_"))
            faults += [
                f"{source.module}:{node.lineno} {node.name}" for word in VAGUE_WORDS[:5] if word.lower() in words
            ]
    return faults


def source_of(module: str, text: str) -> Source:
    """A file that only exists in a test."""
    return Source(module, Path(module.replace(".", "/") + ".py"), text, ast.parse(text))


def test_imports_point_down_only() -> None:
    """No room imports one on its own floor or above, not even for types or inside a function."""
    assert faults_of_imports(sources("choreo")) == []


@pytest.mark.parametrize(
    "text",
    [
        "import choreo.service.handler",
        "from choreo.service import handler",
        "from choreo import service",
        "from ..service.handler import Handler",
        "def late():\n    from choreo.service.handler import Handler",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from choreo.service.handler import Handler",
        "from choreo.events.event import Event",
        "from choreo import Event",
        "import choreo",
    ],
)
def test_a_forbidden_import_is_found(text: str) -> None:
    """Each way of writing an import that points up, sideways or at the face is found."""
    rooms = ["choreo", "choreo.service", "choreo.service.handler", "choreo.events", "choreo.events.event"]
    planted = source_of("choreo.log.planted", text)
    assert len(faults_of_imports([*(source_of(room, "") for room in rooms), planted])) == 1


def test_every_room_is_on_the_map() -> None:
    """ARCHITECTURE.md names every room, on the floor that this test gives it."""
    rows = re.findall(r"^\| (\d) \|(.+?)\|", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)
    mapped = {name: int(floor) for floor, cell in rows for name in re.findall(r"`(\w+)(?:/|\.py)`", cell)}
    rooms = {part_of(source.module) for source in sources("choreo") if source.module not in FACE}
    assert {room: mapped.get(room) for room in sorted(rooms)} == {room: floor_of(room) for room in sorted(rooms)}


def test_sizes_stay_readable() -> None:
    """Files under 400 lines, functions under 60, at most six parameters."""
    assert [fault for source in sources("choreo", "services", "benchmarks") for fault in faults_of_size(source)] == []


def test_a_planted_giant_is_found() -> None:
    """A long file, a long function and a long parameter list are each reported."""
    body = "\n".join(["    pass"] * 400)
    planted = source_of(
        "choreo.log.giant", f"class A:\n  def m(self, a, b, c, d, e, *, f, g): pass\ndef f():\n{body}\n"
    )
    assert len(faults_of_size(planted)) == 3


def test_names_say_what_they_name() -> None:
    """No Manager, Helper, Util, Impl, Base, Info or Data, nor a file called utils."""
    assert [fault for source in sources("choreo", "services") for fault in faults_of_names(source)] == []


def test_a_planted_vague_name_is_found() -> None:
    """A vague file, class and function are each reported; a word that merely contains one is not."""
    planted = source_of("choreo.log.utils", "class LogManager: pass\ndef read_helper(): pass\nclass Basement: pass\n")
    assert len(faults_of_names(planted)) == 3


def test_every_file_says_what_it_is_for() -> None:
    """Each file opens with a docstring."""
    assert [str(s.path) for s in sources("choreo", "services", "tests") if s.text.strip() and not _has_opening(s)] == []


def _has_opening(source: Source) -> bool:
    return ast.get_docstring(source.tree) is not None or "tests/typing/sample" in source.path.as_posix()


def test_kafkas_errors_end_at_the_seam() -> None:
    """Only choreo/log/kafka*.py knows confluent_kafka and its exceptions."""
    kafka = f"{ROOT}/choreo/log/kafka"
    others = [s for s in sources("choreo", "services") if not s.path.as_posix().startswith(kafka)]
    named = {s.module for s in others for n in ast.walk(s.tree) if isinstance(n, ast.Name) and n.id in KAFKA_ERRORS}
    imported = {s.module for s in others for i in imports_of(s, set()) if i.target.startswith("confluent_kafka")}
    assert named | imported == set()


def test_telemetry_alone_names_opentelemetry() -> None:
    """OpenTelemetry is an extra: whoever imports it outside choreo/telemetry makes it a must."""
    outside = [s for s in sources("choreo", "services") if not s.module.startswith("choreo.telemetry")]
    assert [f"{s.module}:{i.line}" for s in outside for i in imports_of(s, set()) if "opentelemetry" in i.target] == []


def test_services_know_the_face_and_their_neighbours_events() -> None:
    """A service imports choreo, choreo.types, its own files and the events.py of others: never their handlers."""
    package = sources("services")
    known = {source.module for source in package}
    faults = []
    for source in package:
        own = source.module.rpartition(".")[0] if source.path.name != "__init__.py" else source.module
        for target, line in imports_of(source, known):
            root = target.split(".")[0]
            if root == "choreo" and target not in {"choreo", "choreo.types"}:
                faults.append(f"{source.module}:{line} imports {target}; services see the face only")
            if root == "services" and not target.startswith(f"{own}.") and not target.endswith(".events"):
                faults.append(f"{source.module}:{line} imports {target}; of a neighbour only events.py")
    assert faults == []
