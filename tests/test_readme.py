"""The README's example runs as pasted, and stands within its first 40 lines; its list of pages is whole."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


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


def test_every_page_is_on_the_list_once() -> None:
    """Whoever looks for a page of docs/ finds it under `Where to read on`."""
    listed = re.findall(r"\((docs/[\w-]+\.md)\)", README.split("## Where to read on")[1])
    assert sorted(listed) == [page.relative_to(ROOT).as_posix() for page in PAGES if page.parent.name == "docs"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A link to another page leads to a file that is there, and to a heading of it."""
    text = page.read_text(encoding="utf-8")
    for path, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
        there = page.parent / path if path else page
        assert there.exists(), path
        assert not heading or heading in headings(there), f"{path}#{heading}"


def headings(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in found}


def promised() -> str:
    """What the README says that the last command prints."""
    return block("sh").strip().rsplit("# ", 1)[1]
