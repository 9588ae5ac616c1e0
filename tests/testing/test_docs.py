"""docs/testing.md: its services and its tests run as pasted, and a failure looks as it is shown."""

import re
from pathlib import Path

from tests.testing.test_plugin import run

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
BROKEN = """
def test_broken() -> None:
    story = Scenario(payments).using(bank=FakeBank()).when(OrderPlaced(order_id="o1", total=5))
    story.then(PaymentTaken(order_id="o1", receipt="receipt for 6"))
"""


def test_the_page_runs_as_pasted(tmp_path: Path) -> None:
    """Every block of the page is run: the services, the tests, and the text of a failure."""
    assert [language for language, _ in BLOCKS] == ["python", "python", "text"]
    shop, tests, failure = (text for _, text in BLOCKS)
    (tmp_path / "shop.py").write_text(shop, encoding="utf-8")
    said = run(tmp_path, tests + BROKEN, "--rootdir=.")
    assert "1 failed, 3 passed" in said
    printed = [" ".join(line.removeprefix("E").split()) for line in said.splitlines()]
    shown = [" ".join(line.split()) for line in failure.splitlines()]
    begin = printed.index(f"AssertionError: {shown[0]}") + 1
    assert printed[begin : begin + len(shown) - 1] == shown[1:]
