"""docs/first-project.md: every command is run, every edit made, in the order of the page; outputs are as it shows."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.conftest import ROOT

PAGE = (ROOT / "docs" / "first-project.md").read_text(encoding="utf-8")
LOOKS = ("choreo sagas",)
"""Commands that show what is under way: looked at again until it is there."""
PATIENCE_S = 60.0
"""How long a newcomer looks at what never becomes what the page shows; a crowded machine is slow."""


class Block(NamedTuple):
    """One block of the page: its language, the word behind it, its lines."""

    language: str
    about: str
    lines: list[str]


BLOCKS = [
    Block(language, about, text.splitlines())
    for language, about, text in re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
]


def shows(said: list[str], shown: list[str]) -> bool:
    """Whether these lines were said, in this order; what is shown as … may be anything."""
    rest = iter(said)
    return all(any(fits(line, pattern) for line in rest) for pattern in shown)


def fits(line: str, pattern: str) -> bool:
    """Whether a line reads as the page shows it; pytest frames its summary."""
    words = ".*".join(re.escape(part) for part in pattern.split("…"))
    return re.fullmatch(words, line.strip("= ") if " passed" in line else line.rstrip()) is not None


class Reader:
    """A newcomer at two terminals."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.said: list[str] = []
        self.dev: subprocess.Popen[str] | None = None
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CHOREO_")}
        self._environment = clean | {"PATH": tools, "PYTHONPATH": str(ROOT), "PY_COLORS": "0"}

    def types(self, command: str, shown: list[str]) -> None:
        """Run one line of a block; `shown` is what it then says, where the page tells."""
        if command.startswith("cd "):
            self.directory /= command.removeprefix("cd ")
        elif command == "choreo dev":
            self.dev = self._start(command)
        else:
            self.said = self._answer(command)
            until = time.monotonic() + PATIENCE_S
            while shown and command.startswith(LOOKS) and not shows(self.said, shown):
                assert time.monotonic() < until, "\n".join([f"$ {command}", *self.said, "the page shows:", *shown])
                self.said = self._answer(command)

    def edits(self, name: str, lines: list[str]) -> None:
        """Replace what a diff takes away by what it adds."""
        file = self.directory / name
        old, new = ("".join(f"{line[1:]}\n" for line in lines if line.startswith(mark)) for mark in ("-", "+"))
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has no single {old!r}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def reads_of_dev(self, shown: list[str]) -> None:
        """Wait until the first terminal shows the last of these lines, and the others before it."""
        assert self.dev is not None
        assert self.dev.stderr is not None
        said: list[str] = []
        for line in self.dev.stderr:
            said.append(line.rstrip("\n"))
            if fits(said[-1], shown[-1]):
                break
        assert shows(said, shown), "\n".join(said)

    def presses_ctrl_c(self) -> None:
        """In the first terminal."""
        assert self.dev is not None
        self.dev.send_signal(signal.SIGINT)
        self.dev.communicate(timeout=60)
        assert self.dev.returncode == 0

    def _start(self, command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command.split(), cwd=self.directory, env=self._environment, stderr=subprocess.PIPE, text=True
        )

    def _answer(self, command: str) -> list[str]:
        done = subprocess.run(
            command.split(),
            cwd=self.directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout.splitlines()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """In an empty directory."""
    found = Reader(tmp_path)
    yield found
    if found.dev is not None:
        found.dev.kill()
        found.dev.communicate()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_works_as_it_reads(reader: Reader) -> None:
    """Every block of the page, from the first command to the last."""
    for block, after in zip(BLOCKS, [*BLOCKS[1:], None], strict=True):
        shown = after.lines if after is not None and (after.language, after.about) == ("text", "") else []
        if block.language == "sh":
            if "choreo check" in block.lines:
                reader.presses_ctrl_c()
            for line in block.lines:
                reader.types(line, shown if line == block.lines[-1] else [])
        elif block.language == "diff":
            reader.edits(block.about, block.lines)
        elif block.about == "dev":
            reader.reads_of_dev(block.lines)
        else:
            assert shows(reader.said, block.lines), "\n".join(reader.said)
    assert len(BLOCKS) > 20


def test_what_a_page_shows_is_compared() -> None:
    """Lines in another order, or with other words, are not what the page shows; … is anything."""
    assert shows(["a", "restarted in 1.2 s: x", "b"], ["restarted in … s: x", "b"])
    assert not shows(["b", "a"], ["a", "b"])
    assert not shows(["restarted"], ["restarted in … s: x"])
