"""docs/calls.md: its service runs as pasted, and type checkers accept it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from choreo.config import Sources, load

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "docs" / "calls.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
STORY = """
from calls_page import RideEnded, RidePaid, payments
from choreo.testing import Scenario


class Fakes:
    async def charge(self, key: str, card: str, cents: int) -> str:
        return f"{cents} from {card}"

    async def owner(self, card: str) -> str:
        return "Ada"

    def print(self, key: str, text: str) -> str:
        return text + "."


story = Scenario(payments).using(bank=Fakes(), printer=Fakes())
story.when(RideEnded(ride="r1", card="c1", cents=5)).then(RidePaid(ride="r1", receipt="Ada: 5 from c1."))
print("told")
"""


def test_the_service_of_the_page_runs(tmp_path: Path) -> None:
    """Both handlers' calls, at once and in a thread, are answered."""
    assert [language for language, _ in BLOCKS] == ["python", "toml"]
    (tmp_path / "calls_page.py").write_text(BLOCKS[0][1], encoding="utf-8")
    (tmp_path / "story.py").write_text(STORY, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "story.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "calls_page.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    """Every key is known, and means what the page says."""
    (tmp_path / "choreo.toml").write_text(BLOCKS[1][1], encoding="utf-8")
    found = load(Sources(tmp_path, environment={})).downstreams["cards"]
    assert vars(found).items() >= tomllib.loads(BLOCKS[1][1])["downstreams"]["cards"].items()
