"""The project of docs/people.md, written out as its reader would."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "people.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^choreo .+$", PAGE, re.MULTILINE)
SETTINGS = '[project]\nservices = ["office"]\nsagas = "purchase.yaml"\noutside = ["office.PurchaseWanted"]\n'


def write_office(directory: Path) -> None:
    """office.py, purchase.yaml, the tests, and a choreo.toml."""
    for name, text in BLOCKS:
        (directory / name).write_text(text, encoding="utf-8")
    (directory / "choreo.toml").write_text(SETTINGS, encoding="utf-8")
