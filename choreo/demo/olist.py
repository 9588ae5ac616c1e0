"""Reads the Olist orders (three CSV files) into rows. Every order becomes a row; the dirt of the data stays in.

Source: "Brazilian E-Commerce Public Dataset by Olist" (kaggle.com/olistbr/brazilian-ecommerce), CC BY-NC-SA 4.0.
"""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

from choreo.demo.files import columns_in, find_file
from choreo.demo.rows import Row, RowLine, RowPart
from choreo.errors import ConfigError

PREFIXES = ("stratified", "olist")
"""`stratified_orders.csv` or, as published, `olist_orders_dataset.csv`."""
LARGEST = Decimal(10) ** 10
"""Amounts have 12 digits, two of them after the point."""


class Cell(NamedTuple):
    """One value of a file, and where it stands."""

    text: str
    column: str
    at: str

    def refuse(self, expected: str) -> ConfigError:
        return ConfigError(
            f"{self.column} = {self.text!r} is not {expected}", at=self.at, hint=f"correct the cell: {expected}"
        )

    def name(self) -> str:
        if not self.text:
            raise self.refuse("an id or a name (it is empty)")
        return self.text

    def time(self) -> datetime | None:
        """The files name no time zone; taken as UTC. An empty cell is None."""
        if not self.text:
            return None
        try:
            moment = datetime.fromisoformat(self.text)
        except ValueError:
            raise self.refuse("a time like 2017-10-02 10:56:33") from None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    def amount(self) -> Decimal:
        try:
            amount = Decimal(self.text)
        except InvalidOperation:
            raise self.refuse("an amount like 99.90") from None
        if not amount.is_finite() or not 0 <= amount < LARGEST or amount != round(amount, 2):
            raise self.refuse("an amount like 99.90")
        return round(amount, 2)

    def number(self) -> int:
        if not self.text.isascii() or not self.text.isdigit():
            raise self.refuse("a count like 3")
        return int(self.text)


class Table(NamedTuple):
    """One of the CSV files and the columns that are read from it."""

    path: Path
    columns: tuple[str, ...]

    def cells(self) -> Iterator[tuple[Cell, ...]]:
        """One tuple of cells a line, in the order of `columns`. Raises ConfigError with file:line."""
        line = 1
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                places = columns_in(self.path, next(reader, []), self.columns)
                for values in reader:
                    line = reader.line_num
                    if not values:
                        continue
                    at = f"{self.path}:{line}"
                    if len(values) <= max(places):
                        raise ConfigError(f"the line has only {len(values)} columns", at=at, hint="complete the line")
                    yield tuple(
                        Cell(values[place].strip(), name, at) for place, name in zip(places, self.columns, strict=True)
                    )
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ConfigError(f"can't read {self.path.name}", at=f"{self.path}:{line}", why=str(error)) from error


def read_orders(directory: Path) -> list[Row]:
    """All orders of the directory, in the order of the file, each with its lines and payment parts by their numbers.

    Lines and parts of orders that the orders file does not hold are passed over, so a shortened orders file works.
    Raises ConfigError with the file, the line and the column that can't be read.
    """
    orders = Table(
        find(directory, "orders"),
        (
            "order_id",
            "customer_id",
            "order_status",
            "order_purchase_timestamp",
            "order_approved_at",
            "order_delivered_carrier_date",
            "order_delivered_customer_date",
            "order_estimated_delivery_date",
        ),
    )
    lines = read_lines(directory)
    parts = read_parts(directory)
    rows: dict[str, Row] = {}
    for order_id, customer_id, status, purchased, *later in orders.cells():
        purchased_at = purchased.time()
        if purchased_at is None:
            raise purchased.refuse("a time like 2017-10-02 10:56:33")
        if order_id.name() in rows:
            raise ConfigError(f"order {order_id.text} stands twice", at=order_id.at, hint="remove one of the two")
        approved_at, handed_over_at, delivered_at, promised_at = (cell.time() for cell in later)
        rows[order_id.text] = Row(
            order_id.text,
            customer_id.name(),
            status.name(),
            purchased_at,
            approved_at,
            handed_over_at,
            delivered_at,
            promised_at,
            tuple(line for _, line in sorted(lines.pop(order_id.text, ()))),
            tuple(part for _, part in sorted(parts.pop(order_id.text, ()))),
        )
    return list(rows.values())


def read_lines(directory: Path) -> dict[str, list[tuple[int, RowLine]]]:
    """Numbered lines by order."""
    table = Table(find(directory, "order_items"), ("order_id", "order_item_id", "product_id", "price", "freight_value"))
    lines: dict[str, list[tuple[int, RowLine]]] = {}
    for order_id, number, product_id, price, freight in table.cells():
        line = RowLine(product_id.name(), price.amount(), freight.amount())
        lines.setdefault(order_id.name(), []).append((number.number(), line))
    return lines


def read_parts(directory: Path) -> dict[str, list[tuple[int, RowPart]]]:
    """Numbered payment parts by order."""
    table = Table(
        find(directory, "order_payments"),
        ("order_id", "payment_sequential", "payment_type", "payment_installments", "payment_value"),
    )
    parts: dict[str, list[tuple[int, RowPart]]] = {}
    for order_id, number, kind, installments, amount in table.cells():
        part = RowPart(kind.name(), installments.number(), amount.amount())
        parts.setdefault(order_id.name(), []).append((number.number(), part))
    return parts


def find(directory: Path, subject: str) -> Path:
    """The file of `orders`, `order_items` or `order_payments` under either of its names."""
    names = [f"{prefix}_{subject}{'_dataset' if prefix == 'olist' else ''}.csv" for prefix in PREFIXES]
    hint = "--orders DIR: the directory with Olist's orders, order items and order payments"
    return find_file(directory, names, f"file with {subject.replace('_', ' ')}", hint)
