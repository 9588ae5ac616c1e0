"""Short words for the shop's stories: a test says only what matters to it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from services.shop.inventory.events import StockCounted
from services.shop.orders.events import Line, OrderPlaced, Part
from services.shop.world.events import Scripted

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def lines(*products: str) -> tuple[Line, ...]:
    return tuple(
        Line(product_id=product, quantity=1, price=Decimal("4.50"), freight=Decimal("1.00")) for product in products
    )


def parts(*amounts: str) -> tuple[Part, ...]:
    return tuple(Part(kind="voucher", installments=1, amount=Decimal(amount)) for amount in amounts)


def placed(*products: str, amounts: tuple[str, ...] = ("11.00",), promised_at: datetime | None = None) -> OrderPlaced:
    return OrderPlaced(
        order_id="o1",
        customer_id="c1",
        email="ada@example.org",
        lines=lines(*products),
        parts=parts(*amounts),
        total=sum((Decimal(amount) for amount in amounts), Decimal("0.00")),
        placed_at=NOON,
        promised_at=promised_at,
    )


def counted(product: str, pieces: int) -> StockCounted:
    return StockCounted(product_id=product, pieces=pieces)


def scripted(status: str = "delivered", *hours: float | None) -> Scripted:
    """Bought at noon, then approved, handed over and delivered so many hours after noon (None or left out: never)."""
    times = [None if hour is None else NOON + timedelta(hours=hour) for hour in hours] + [None] * (3 - len(hours))
    return Scripted(
        order_id="o1",
        customer_id="c1",
        status=status,
        purchased_at=NOON,
        approved_at=times[0],
        handed_over_at=times[1],
        delivered_at=times[2],
        promised_at=NOON + timedelta(days=10),
        lines=lines("tea"),
        parts=parts("4.00", "1.50"),
    )
