"""docs/simulation.md: its simulation runs as pasted, on the shop of docs/testing.md; its table names every fault."""

import re
from dataclasses import fields
from pathlib import Path

from choreo.testing import Faults
from tests.testing.test_docs import BLOCKS
from tests.testing.test_plugin import run

PAGE = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text(encoding="utf-8")


def test_the_page_runs_as_pasted(tmp_path: Path) -> None:
    """The page's one block holds for some seeds; with failing calls it does not, as the page says."""
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "shop.py").write_text(BLOCKS[0][1], encoding="utf-8")
    assert "5 passed" in run(tmp_path, block, "--choreo-seeds", "5", "--rootdir=.")
    failing = block.replace("call_fails=0, call_outcome_lost=0", "")
    assert "every_order_is_paid does not hold" in run(tmp_path, failing, "--choreo-seed", "0", "--rootdir=.")


def test_every_fault_is_told_of() -> None:
    """Each field of Faults is named on the page."""
    assert [field.name for field in fields(Faults) if f"`{field.name}`" not in PAGE] == []
