"""Where each case must stand, from the CSV alone: reads the file by itself and knows nothing of choreo.

The rules are those of the purchasing department. Goods are there from a receipt (or the sheet of a service) until a
receipt is cancelled; then one must be recorded again. The same holds of the invoice. What was cleared counts until an
invoice is cancelled: that payment settles no other invoice. Clearing is due once goods and invoice are there, and stays
due when one of them is cancelled before it was done: somebody may be at it. An item is through once all that its
category asks for is there. Deleting an item that is not through at that moment ends it for good; what was there
stays.
"""

import csv
import gzip
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

CREATED, DELETED, REACTIVATED = (f"{word} Purchase Order Item" for word in ("Create", "Delete", "Reactivate"))
BRINGS = {
    "Record Goods Receipt": "goods_receipt",
    "Record Service Entry Sheet": "goods_receipt",
    "Record Invoice Receipt": "invoice_receipt",
    "Clear Invoice": "clearing",
}
TAKES = {"Cancel Goods Receipt": ("goods_receipt",), "Cancel Invoice Receipt": ("invoice_receipt", "clearing")}
NEEDS = {"2-way match": ("invoice_receipt", "clearing"), "Consignment": ("goods_receipt",)}
ALL = ("goods_receipt", "invoice_receipt", "clearing")
EVENTS = {
    "goods_receipt": "purchasing.GoodsReceived",
    "invoice_receipt": "purchasing.InvoiceReceived",
    "clearing": "purchasing.InvoiceCleared",
}


class Expected(NamedTuple):
    """One case at its end."""

    status: str
    waits_for: tuple[str, ...]
    there: frozenset[str]
    """Which of goods, invoice and clearing count as done."""


def expected(directory: Path) -> dict[str, Expected]:
    """Every case by its id."""
    return {case_id: stands(*told) for case_id, told in cases(directory).items()}


def cases(directory: Path) -> dict[str, tuple[list[str], str]]:
    """The activities of each case by `seq`, and its category, "" where nobody says."""
    zipped = directory / "events.csv.gz"
    with gzip.open(zipped, "rt") if zipped.exists() else (directory / "events.csv").open() as file:
        found: dict[str, list[dict[str, str]]] = {}
        for row in csv.DictReader(file):
            found.setdefault(row["case_id"], []).append(row)
    return {
        case_id: (
            [row["activity"] for row in sorted(rows, key=lambda row: int(row["seq"]))],
            next((row["item_category"] for row in rows if row.get("item_category")), ""),
        )
        for case_id, rows in found.items()
    }


def one_of_each_way(told: Mapping[str, tuple[list[str], str]]) -> dict[str, tuple[list[str], str]]:
    """Of all cases that went the same way the first by its id. A way is what happened of that which counts here: in its
    order, whatever else happened between, and the same again at once being the same.
    """
    counts = {CREATED, DELETED, REACTIVATED, *BRINGS, *TAKES}
    ways: dict[tuple[str, ...], str] = {}
    for case_id in sorted(told):
        activities, category = told[case_id]
        way = (category, *(activity for activity, _ in groupby(one for one in activities if one in counts)))
        ways.setdefault(way, case_id)
    return {case_id: told[case_id] for case_id in ways.values()}


def stands(activities: Iterable[str], category: str) -> Expected:
    """Where one case stands after these activities."""
    needed = NEEDS.get(category, ALL)
    there: set[str] = set()
    created = deleted = due = False
    for activity in activities:
        created = created or activity == CREATED
        if activity in BRINGS:
            there.add(BRINGS[activity])
        there.difference_update(TAKES.get(activity, ()))
        due = "clearing" in needed and "clearing" not in there and (due or not missing(needed, there))
        deleted = deleted or (activity == DELETED and not there.issuperset(needed))
    assert created, "a case without an item is in no saga"
    if deleted:
        return Expected("cancelled", (), frozenset(there))
    if there.issuperset(needed):
        return Expected("completed", (), frozenset(there))
    waits = [*missing(needed, there), *(["clearing"] if due else [])]
    return Expected("waiting", tuple(EVENTS[step] for step in waits), frozenset(there))


def missing(needed: tuple[str, ...], there: set[str]) -> list[str]:
    """What has to come before clearing, and is not there."""
    return [step for step in needed if step != "clearing" and step not in there]
