"""The compiled wheel keeps the promises of the source: the same tests pass with its modules."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.compiled import compiled_site
from tests.avro_interop.vectors import BESIDE
from tests.cli.conftest import ROOT

pytestmark = pytest.mark.xdist_group("compiled")
TREE = ("tests", "services", "saga_specs", "schemas", "starter", "benchmarks", "docs", "pyproject.toml", "README.md")
"""What those tests read of a checkout; `choreo` itself must not be among it."""
SUITES = ("events", "state", "runtime", "log", "replay", "kafka/test_contract.py")
LEANS_ON = re.compile(
    r"^from (choreo\.(testing|service|state|log|events\.codec)|tests\.runtime)\b.* import ", re.MULTILINE
)
"""Rooms with compiled modules, and what drives them."""
KNOWN = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES: list[str] = KNOWN["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]


def sagas_at_work() -> list[str]:
    """Of the tests of sagas those that run them. No module of `choreo/saga` is compiled: what asks `decide` alone would
    run the same code once more.
    """
    assert not [module for module in MODULES if module.startswith("choreo/saga/")], "take all tests of sagas, then"
    found = sorted((ROOT / "tests" / "saga").glob("test_*.py"))
    return [f"saga/{path.name}" for path in found if LEANS_ON.search(path.read_text())]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_compiled_wheel_passes_the_same_tests(tmp_path: Path) -> None:
    """Formats, stores, runtime, sagas at work, logs and replay: nothing differs but the speed."""
    suites = [*SUITES, *sagas_at_work()]
    assert "saga/test_coordinator.py" in suites
    site = compiled_site()
    for name in TREE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "conftest.py").write_text(
        "import choreo.runtime.task\n"
        f"assert choreo.runtime.task.__file__.startswith({str(site)!r}), choreo.runtime.task.__file__\n"
        "assert not choreo.runtime.task.__file__.endswith('.py')\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHOREO_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{suite}" for suite in suites)]
    environment["PYTHONPATH"] = str(site)
    if data := os.environ.get("CHOREO_DATA") or (str(BESIDE) if BESIDE.is_dir() else None):
        environment["CHOREO_DATA"] = data
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("module", MODULES)
def test_a_compiled_module_means_the_same_when_it_is_compiled(module: str) -> None:
    """mypyc drops the cause of `raise ... from`, and calls nothing by a second name given in the body of a class."""
    tree = ast.parse((ROOT / module).read_text())
    causes = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.cause is not None]
    assert not causes, "because(error, cause) keeps it"
    for cls in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        methods = {node.name for node in cls.body if isinstance(node, ast.FunctionDef)}
        aliases = [node for node in cls.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)]
        assert not [node.lineno for node in aliases if node.value.id in methods]  # type: ignore[attr-defined]
