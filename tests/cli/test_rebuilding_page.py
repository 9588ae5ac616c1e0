"""docs/rebuilding.md: its code runs, and what it shows is what the commands say."""

import json
import re
import shlex
import sys
from pathlib import Path

from tests.cli.conftest import Choreo

PAGE = (Path(__file__).parents[2] / "docs" / "rebuilding.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(CODE,) = [text for language, text in BLOCKS if language == "python"]
REFUSAL, TABLE, OTHERS = [text for language, text in BLOCKS if not language]
DRY_RUN, REBUILD = re.findall(r"^choreo (replay rebuild .+)$", PAGE, re.MULTILINE)
SPENT = (
    CODE.replace("    points: int\n\n\nclass GivePoints", "    points: int\n    spent: int\n\n\nclass GivePoints")
    .replace("Account(points=0)", "Account(points=0, spent=0)")
    .replace("before.points + points)", "before.points + points, spent=before.spent + bought.cents)")
)
ROUNDED = SPENT.replace("bought.cents // 100", "round(bought.cents / 100)")


def write(directory: Path, code: str) -> None:
    sys.modules.pop("loyalty", None)
    (directory / "loyalty.py").write_text(code, encoding="utf-8")


def test_the_page_is_true(directory: Path, choreo: Choreo) -> None:
    """The refusal, the table of the rebuild and the count of other events are those of a real run."""
    write(directory, CODE)
    (directory / "choreo.toml").write_text('[project]\nservices = ["loyalty"]\n', encoding="utf-8")
    purchases = [json.dumps({"customer": f"c{n % 7}", "cents": 150 + n * 37}) for n in range(40)]
    choreo("emit", "loyalty.py:Bought", "-", text="\n".join(purchases))
    choreo("run", "--until-idle")
    write(directory, SPENT)
    assert REFUSAL in choreo("run", "--until-idle", code=1).stderr
    shown = choreo(*shlex.split(DRY_RUN)).stdout
    assert shown == TABLE.replace("replaced", "would be replaced")
    assert choreo(*shlex.split(REBUILD), "--yes").stdout == TABLE
    choreo("run", "--until-idle")
    write(directory, ROUNDED)
    assert OTHERS in choreo("replay", "rebuild", "loyalty", "--yes", "--why", "half points are rounded").stderr
    assert " clean " in choreo("replay", "verify", "loyalty").stdout
