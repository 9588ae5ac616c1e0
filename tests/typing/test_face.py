"""User code types: the sample shop is clean, and every planted mistake is found by the checkers that its mark names."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from choreo import Event
from choreo.errors import EventError

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SAMPLE = HERE / "sample"
WRONG = HERE / "bad" / "wrong.py"
MARK = re.compile(r"# \[([MPR ]+)\]")

pytestmark = [pytest.mark.xdist_group("typing"), pytest.mark.slow]


def marked(checker: str) -> set[int]:
    """The lines of wrong.py whose mark names this checker: M for mypy, P for pyright, R for run time."""
    lines = enumerate(WRONG.read_text(encoding="utf-8").splitlines(), start=1)
    return {number for number, line in lines if (mark := MARK.search(line)) and checker in mark[1]}


def mypy(directory: Path, *what: str) -> str:
    """What `mypy --strict` says in this directory, with choreo taken from this checkout."""
    cache = ROOT / ".mypy_cache" / "face"
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", str(cache), *what]
    environment = os.environ | {"MYPYPATH": f"{directory}{os.pathsep}{ROOT}", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def pyright(directory: Path, tmp_path: Path) -> dict[Path, set[int]]:
    """The lines that pyright strict reports in this directory, by file; errors only."""
    settings = {
        "include": [os.path.relpath(directory, tmp_path)],
        "extraPaths": [str(directory), str(ROOT)],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "reportUnusedExpression": False,
        "reportUnusedClass": False,
    }
    project = tmp_path / "pyrightconfig.json"
    project.write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(project)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["summary"]["filesAnalyzed"] > 0
    found: dict[Path, set[int]] = {}
    for fault in answer["generalDiagnostics"]:
        if fault["severity"] == "error":
            found.setdefault(Path(fault["file"]), set()).add(fault["range"]["start"]["line"] + 1)
    return found


def test_the_marks_are_read() -> None:
    """The 26 planted mistakes are all seen by this test: mypy is owed 24 of them, pyright all."""
    assert (len(marked("M")), len(marked("P")), len(marked("R"))) == (24, 26, 2)


def test_the_sample_shop_is_clean_under_mypy() -> None:
    """User code and its tests need no ignore and no cast to pass mypy --strict."""
    assert "Success" in mypy(SAMPLE, "-p", "services", "-p", "tests")


def test_the_sample_shop_is_clean_under_pyright(tmp_path: Path) -> None:
    """User code and its tests need no ignore and no cast to pass pyright strict."""
    assert pyright(SAMPLE, tmp_path) == {}


def test_mypy_finds_the_planted_mistakes() -> None:
    """mypy reports every line marked M, and no other."""
    reported = {
        int(number) for number in re.findall(r"^wrong\.py:(\d+): error", mypy(WRONG.parent, "wrong.py"), re.MULTILINE)
    }
    assert reported == marked("M")


def test_pyright_finds_the_planted_mistakes(tmp_path: Path) -> None:
    """pyright reports every line marked P, and no other."""
    assert pyright(WRONG.parent, tmp_path) == {WRONG: marked("P")}


@pytest.mark.parametrize("number", sorted(marked("R")))
def test_mistakes_in_class_keywords_are_found_when_the_class_is_made(number: int) -> None:
    """What no checker but pyright sees is refused at import, with the name of the class."""
    line = WRONG.read_text(encoding="utf-8").splitlines()[number - 1]
    with pytest.raises(EventError) as caught:
        exec(line, {"Event": Event})
    assert line.split("(")[0].removeprefix("class ") in str(caught.value)
