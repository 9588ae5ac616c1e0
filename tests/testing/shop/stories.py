"""Short words for the stories: the tests say only what matters to them."""

from datetime import UTC, datetime
from decimal import Decimal

from tests.testing.shop.inventory.events import ShelfCounted
from tests.testing.shop.orders.events import Line, OrderPlaced

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def placed(order_id: str = "o1", *, quantity: int = 2, promised_at: datetime | None = None) -> OrderPlaced:
    return OrderPlaced(
        order_id=order_id,
        customer_id="c1",
        email="ada@example.org",
        warehouse="vienna",
        lines=(Line(sku="tea", quantity=quantity, price=Decimal("4.50")),),
        total=Decimal("4.50") * quantity,
        card_token="tok",
        placed_at=NOON,
        promised_at=promised_at,
    )


def counted(pieces: int) -> ShelfCounted:
    return ShelfCounted(warehouse="vienna", sku="tea", pieces=pieces)
