"""A directory with a project in it, and the `choreo` command run there: in this process, or in one of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from choreo.cli.main import cli
from tests.cli.sample import write_project

ROOT = Path(__file__).parents[2]


class Choreo(Protocol):
    """Runs `choreo ARGUMENTS` in this process."""

    def __call__(self, *arguments: str, code: int = 0, text: str | None = None) -> Result: ...


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory that is the current one; modules loaded from it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for variable in [name for name in os.environ if name.startswith("CHOREO_")]:
        monkeypatch.delenv(variable)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def project(directory: Path) -> Path:
    """A directory with shop.py and order.yaml."""
    write_project(directory)
    return directory


@pytest.fixture
def choreo() -> Choreo:
    """Runs a command and checks its exit code."""

    def run(*arguments: str, code: int = 0, text: str | None = None) -> Result:
        result = CliRunner().invoke(cli, list(arguments), input=text)
        assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
        return result

    return run


def process(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """`choreo ARGUMENTS` as a process of its own, in the current directory."""
    command = [sys.executable, "-m", "choreo", *arguments]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths} | environment, **pipes)  # type: ignore[call-overload, no-any-return]  # keywords in a dict


def read_until(running: "subprocess.Popen[str]", words: str) -> str:
    """Lines of stderr up to the one that holds these words."""
    assert running.stderr is not None
    said = ""
    for line in running.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(f"{words!r} never came; it said:\n{said}")
