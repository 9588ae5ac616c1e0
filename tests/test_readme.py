"""The README's example runs as pasted, and stands within its first 40 lines."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()


def block(language: str) -> str:
    """The first block of this language."""
    found = re.search(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.slow
def test_the_example_runs_as_pasted(tmp_path: Path) -> None:
    """A newcomer who pastes the first 40 lines sees the saga compensated, word for word as the README says."""
    assert README.split("\n").index("choreo sagas show o1     # " + promised()) < 40
    (tmp_path / "shop.py").write_text(block("python"))
    (tmp_path / "order.yaml").write_text(block("yaml"))
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["sh", "-ec", block("sh")],
        cwd=tmp_path,
        env=os.environ | {"PATH": tools},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert promised() in run.stdout.split("\n")


def promised() -> str:
    """What the README says that the last command prints."""
    return block("sh").strip().rsplit("# ", 1)[1]
