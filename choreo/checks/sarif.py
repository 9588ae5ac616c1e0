"""Findings as SARIF 2.1.0, which code hosts show beside the lines of a change.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from collections.abc import Iterable
from urllib.parse import quote

from choreo.checks.codes import meaning_of
from choreo.checks.finding import Finding, Spot

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(findings: Iterable[Finding], version: str) -> dict[str, object]:
    """One run of `choreo check`. Paths are given as the findings have them: relative ones begin at the project."""
    found = list(findings)
    codes = sorted({finding.code for finding in found})
    driver = {
        "name": "choreo check",
        "version": version,
        "rules": [
            {"id": code, "shortDescription": {"text": meaning_of(code)}, "help": {"text": f"docs/check.md#{code}"}}
            for code in codes
        ],
    }
    results = [_result(finding, codes.index(finding.code)) for finding in found]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(finding: Finding, rule: int) -> dict[str, object]:
    text = f"{finding.message}. {finding.cure}" if finding.cure else finding.message
    result: dict[str, object] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": text},
    }
    return result if finding.spot is None else result | {"locations": [{"physicalLocation": _location(finding.spot)}]}


def _location(spot: Spot) -> dict[str, object]:
    uri = quote(spot.file.replace("\\", "/"), safe="/:")
    location: dict[str, object] = {"artifactLocation": {"uri": uri if not uri.startswith("/") else f"file://{uri}"}}
    if not spot.line:
        return location
    region = {"startLine": spot.line}
    if spot.column:
        region |= {"startColumn": spot.column, "endColumn": spot.column + spot.length}
    return location | {"region": region}
