"""Reading Olist's CSV files: both sets of names, dirt kept, bad files refused where they are bad."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from choreo.demo.olist import read_orders
from choreo.demo.rows import Row, RowLine, RowPart, demand
from choreo.errors import ConfigError
from tests.demo.data import olist_directory

ORDERS = (
    "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,"
    "order_delivered_carrier_date,order_delivered_customer_date,order_estimated_delivery_date\n"
    '"o1","c1",shipped,2017-10-02 10:56:33,2017-10-02 11:07:15,2017-10-04 19:55:00,,2017-10-18 00:00:00\n'
    "o2,c2,created,2017-11-01 08:00:00,,,,2017-12-01 00:00:00\n"
)
ITEMS = (
    "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value\n"
    "o1,2,tea,s1,2017-10-06 00:00:00,4.5,1\n"
    "o1,1,cup,s1,2017-10-06 00:00:00,99.9,27.65\n"
)
PAYMENTS = (
    "order_id,payment_sequential,payment_type,payment_installments,payment_value\n"
    "o1,2,voucher,1,33.05\n"
    "o1,1,credit_card,3,100.00\n"
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The three files under their published names."""
    (tmp_path / "olist_orders_dataset.csv").write_text(ORDERS)
    (tmp_path / "olist_order_items_dataset.csv").write_text(ITEMS)
    (tmp_path / "olist_order_payments_dataset.csv").write_text(PAYMENTS)
    return tmp_path


def test_a_row_has_its_times_lines_and_parts(directory: Path) -> None:
    """Three files become one row an order: times in UTC, lines and parts by number, amounts to the cent."""
    first, second = read_orders(directory)
    assert first == Row(
        order_id="o1",
        customer_id="c1",
        status="shipped",
        purchased_at=datetime(2017, 10, 2, 10, 56, 33, tzinfo=UTC),
        approved_at=datetime(2017, 10, 2, 11, 7, 15, tzinfo=UTC),
        handed_over_at=datetime(2017, 10, 4, 19, 55, tzinfo=UTC),
        delivered_at=None,
        promised_at=datetime(2017, 10, 18, tzinfo=UTC),
        lines=(
            RowLine("cup", Decimal("99.90"), Decimal("27.65")),
            RowLine("tea", Decimal("4.50"), Decimal("1.00")),
        ),
        parts=(RowPart("credit_card", 3, Decimal("100.00")), RowPart("voucher", 1, Decimal("33.05"))),
    )
    assert (second.order_id, second.lines, second.parts) == ("o2", (), ())
    assert demand([first, second]) == {"cup": 1, "tea": 1}


def test_the_stratified_names_work_too(directory: Path) -> None:
    """`stratified_orders.csv` is read as `olist_orders_dataset.csv` is."""
    rows = read_orders(directory)
    for path in list(directory.iterdir()):
        path.rename(directory / path.name.replace("olist_", "stratified_").replace("_dataset", ""))
    assert read_orders(directory) == rows


def spoil(directory: Path, subject: str, old: str, new: str) -> Path:
    path = directory / f"olist_{subject}_dataset.csv"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("subject", "old", "new", "line", "said"),
    [
        ("orders", "order_approved_at", "order_aproved_at", 1, "no column order_approved_at"),
        ("orders", "2017-10-04 19:55:00", "yesterday", 2, "order_delivered_carrier_date = 'yesterday'"),
        ("orders", "2017-10-02 10:56:33", "", 2, "order_purchase_timestamp = ''"),
        ("orders", '"o1"', "", 2, "order_id = ''"),
        ("orders", "o2,", "o1,", 3, "order o1 stands twice"),
        ("order_items", "99.9", "NaN", 3, "price = 'NaN'"),
        ("order_items", "99.9", "-1", 3, "price = '-1'"),
        ("order_items", "99.9", "1.999", 3, "price = '1.999'"),
        ("order_items", "o1,1,", "o1,first,", 3, "order_item_id = 'first'"),
        ("order_payments", "o1,1,credit_card,3,100.00", "o1,1,credit_card", 3, "only 3 columns"),
    ],
)
def test_a_bad_cell_is_refused_by_file_and_line(
    directory: Path, subject: str, old: str, new: str, line: int, said: str
) -> None:
    """What can't be read is named with its column, its value, its file and its line."""
    path = spoil(directory, subject, old, new)
    with pytest.raises(ConfigError) as refused:
        read_orders(directory)
    assert said in refused.value.message
    assert refused.value.at == f"{path}:{line}"
    assert refused.value.hint


def test_a_misspelt_column_is_guessed(directory: Path) -> None:
    """The cure for a misspelt column names the column that was meant."""
    spoil(directory, "order_payments", "payment_value", "payment_valeu")
    with pytest.raises(ConfigError, match="rename payment_valeu to payment_value"):
        read_orders(directory)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00bin"])
def test_a_file_that_is_no_csv_is_refused(directory: Path, content: bytes) -> None:
    """An empty or binary file is a ConfigError with its name, not a traceback."""
    (directory / "olist_order_items_dataset.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=r"olist_order_items_dataset\.csv"):
        read_orders(directory)


def test_a_missing_file_is_named_both_ways(directory: Path) -> None:
    """Whoever lacks a file is told both names that would do."""
    (directory / "olist_order_items_dataset.csv").unlink()
    with pytest.raises(ConfigError, match=r"stratified_order_items\.csv nor olist_order_items_dataset\.csv"):
        read_orders(directory)


def test_every_real_order_becomes_a_row() -> None:
    """All 8,135 orders are read, those without a line and those with 29 parts included."""
    rows = read_orders(olist_directory())
    assert len(rows) == len({row.order_id for row in rows}) == 8135
    assert sum(not row.lines for row in rows) == 775
    assert max(len(row.parts) for row in rows) == 29
    assert sum(demand(rows).values()) == 8365
