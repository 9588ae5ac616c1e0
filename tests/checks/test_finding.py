"""How findings are read: by people, by programs, by code hosts."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from choreo.checks.codes import CODES
from choreo.checks.finding import Finding, Spot, in_order, spot_of
from choreo.checks.sarif import sarif

ROOT = Path(__file__).parents[2]
PLACED = Finding("nobody-emits", "step pay waits for x", Spot("saga specs/a.yaml", 2, 5, 3), "name it")
BARE = Finding("unknown-topic", "[topics.x]: nobody", None, "did you mean y?")
IN_FILE = Finding("contract-breaks", "lines[]: gone", Spot("/srv/schemas/A.avsc"))


def test_people_see_the_line_and_a_caret() -> None:
    """As a compiler says it, where the text is at hand; else the cure on a line of its own."""
    assert PLACED.lines({"saga specs/a.yaml": "first\n    pay: 1\n"}) == [
        "saga specs/a.yaml:2:5: error[nobody-emits]: step pay waits for x",
        "   2 |     pay: 1",
        "     |     ^^^  name it",
    ]
    assert PLACED.lines({})[1:] == ["  try  name it"]
    assert BARE.lines({}) == ["warning[unknown-topic]: [topics.x]: nobody", "  try  did you mean y?"]
    assert IN_FILE.lines({}) == ["/srv/schemas/A.avsc: error[contract-breaks]: lines[]: gone"]


def test_programs_see_a_row() -> None:
    """Every finding has the same keys; what is not known is null."""
    assert PLACED.row() == {
        "code": "nobody-emits",
        "severity": "error",
        "message": "step pay waits for x",
        "at": "saga specs/a.yaml:2:5",
        "file": "saga specs/a.yaml",
        "line": 2,
        "column": 5,
        "cure": "name it",
    }
    assert {key: value for key, value in BARE.row().items() if value is None} == dict.fromkeys(
        ["at", "file", "line", "column"]
    )


@pytest.mark.parametrize(
    ("text", "spot"),
    [
        ("a.py:3", Spot("a.py", 3)),
        ("a.py:3:7", Spot("a.py", 3, 7)),
        ("C:/a.py:3:7", Spot("C:/a.py", 3, 7)),
        ("default", Spot("default")),
        (None, None),
    ],
)
def test_a_place_is_read_from_its_text(text: str | None, spot: Spot | None) -> None:
    """file, file:line and file:line:column, as errors name them."""
    assert spot_of(text) == spot


def test_findings_come_in_the_order_of_the_files() -> None:
    """By file, line and column, each once; what has no place comes last."""
    early = Finding("cycle", "x", Spot("a.yaml", 9, 9))
    assert in_order([BARE, PLACED, IN_FILE, early, PLACED]) == [IN_FILE, early, PLACED, BARE]


SARIF_KEYS = {
    "log": {"$schema", "version", "runs"},
    "run": {"tool", "columnKind", "results"},
    "result": {"ruleId", "ruleIndex", "level", "message", "locations"},
    "region": {"startLine", "startColumn", "endColumn"},
}
"""Those of the properties that the schema of SARIF 2.1.0 knows which are used; it forbids any that it doesn't know."""


def refuse_bad_sarif(log: dict[str, Any]) -> None:
    """The rules of sarif-schema-2.1.0.json for what is written here: required keys, no others, types and ranges."""
    assert log.keys() == SARIF_KEYS["log"]
    assert log["version"] == "2.1.0"
    for run in log["runs"]:
        assert run.keys() == SARIF_KEYS["run"]
        assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
        driver, rules = run["tool"]["driver"], run["tool"]["driver"]["rules"]
        assert driver.keys() == {"name", "version", "rules"}
        assert len({rule["id"] for rule in rules}) == len(rules)
        for rule in rules:
            assert rule.keys() == {"id", "shortDescription", "help"}
            assert rule["shortDescription"].keys() == rule["help"].keys() == {"text"}
        for result in run["results"]:
            assert {"message", "ruleId"} <= result.keys() <= SARIF_KEYS["result"]
            assert result["level"] in ("none", "note", "warning", "error")
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            assert isinstance(result["message"]["text"], str)
            for location in result.get("locations", ()):
                place = location["physicalLocation"]
                assert re.fullmatch(r"(file://)?[\w./%-]+", place["artifactLocation"]["uri"])  # a URI reference
                region = place.get("region", {"startLine": 1})
                assert region.keys() <= SARIF_KEYS["region"]
                assert all(isinstance(number, int) and number >= 1 for number in region.values())
                assert region.get("endColumn", 2) > region.get("startColumn", 1)


def test_sarif_is_what_the_standard_says() -> None:
    """A log of findings with and without places keeps the rules of SARIF 2.1.0."""
    log = json.loads(json.dumps(sarif([PLACED, BARE, IN_FILE, PLACED], "1.2.3")))
    refuse_bad_sarif(log)
    results = log["runs"][0]["results"]
    assert [result["level"] for result in results] == ["error", "warning", "error", "error"]
    assert results[0]["message"]["text"] == "step pay waits for x. name it"
    assert results[0]["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "saga%20specs/a.yaml"},
                "region": {"startLine": 2, "startColumn": 5, "endColumn": 8},
            }
        }
    ]
    assert "locations" not in results[1]
    assert results[2]["locations"][0]["physicalLocation"] == {"artifactLocation": {"uri": "file:///srv/schemas/A.avsc"}}
    refuse_bad_sarif(sarif([], "0"))


@pytest.mark.parametrize("spoil", ["level", "ruleIndex", "extra"])
def test_bad_sarif_is_refused(spoil: str) -> None:
    """The rules of the test above find what is planted."""
    log: Any = sarif([PLACED, BARE], "0")
    log["runs"][0]["results"][0] |= {"level": {"level": "fatal"}, "ruleIndex": {"ruleIndex": 1}, "extra": {"x": 1}}[
        spoil
    ]
    with pytest.raises(AssertionError):
        refuse_bad_sarif(log)


def used_codes() -> set[str]:
    """Every code that a check or the reader of specs names in its source."""
    found = set(CODES)
    for file in (*(ROOT / "choreo" / "saga").glob("*.py"), *(ROOT / "choreo" / "checks").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                place = {"add": 1, "add_since": 1, "Problem": 1, "Finding": 0}.get(name, len(node.args))
                code = node.args[place] if len(node.args) > place else None
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    found.add(code.value)
    return found


def test_every_code_is_on_the_page() -> None:
    """docs/check.md has a heading for each code, and none for a code that is no more."""
    page = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### ([a-z-]+)$", page, re.MULTILINE)) == used_codes()
    assert {"unknown-event", "nobody-emits", "not-yaml"} <= used_codes()


def test_every_code_is_found_by_a_test() -> None:
    """Each code stands in what a test expects: beside a broken spec, or as a text in a test other than this file."""
    beside = [path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "saga" / "bad_specs").glob("*.txt")]
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    expected = set(re.findall(r"\[([a-z-]+)\]", "".join(beside)))
    expected |= set(re.findall(r"[\"'\[]([a-z-]+)[\"'\]]", "".join(tests)))
    assert used_codes() <= expected


def test_the_page_says_how_grave_a_code_is() -> None:
    """A warning is called one on the page; all others are errors."""
    page = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    warnings = {code for code in used_codes() if re.search(rf"^### {code}\nWarning\. ", page, re.MULTILINE)}
    assert warnings == {code for code, meant in CODES.items() if meant.severity == "warning"}
