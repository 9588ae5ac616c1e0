"""A planted bug: payments that give the money back twice where the customer cancels what was paid, and who it hits."""

import csv
import shutil
from pathlib import Path

PAYMENTS = Path("services") / "shop" / "payments" / "service.py"
RIGHT = """        return PaymentRefunded(order_id=request.order_id, amount=after.amount)"""
TWICE = """        refund = PaymentRefunded(order_id=request.order_id, amount=after.amount)
        return (refund, refund) if ctx.cancelled and after.state == "refunded" else refund"""


def plant(root: Path, into: Path) -> Path:
    """A copy of the code below `root` with the bug in it."""
    for part in ("services", "saga_specs"):
        shutil.copytree(root / part, into / part, ignore=shutil.ignore_patterns("__pycache__"))
    file = into / PAYMENTS
    text = file.read_text(encoding="utf-8")
    for before, after in (
        (RIGHT, TWICE),
        (") -> PaymentRefunded:", ") -> PaymentRefunded | tuple[PaymentRefunded, ...]:"),
    ):
        assert before in text
        text = text.replace(before, after)
    file.write_text(text, encoding="utf-8")
    return into


def late(directory: Path) -> set[str]:
    """Orders that were cancelled after they were paid and before they arrived: from the CSV alone."""
    with (directory / "stratified_orders.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["order_id"]
            for row in csv.DictReader(file)
            if row["order_status"] == "canceled"
            and row["order_approved_at"]
            and not (row["order_delivered_carrier_date"] and row["order_delivered_customer_date"])
        }
