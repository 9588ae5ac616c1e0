"""Where the sample shop lies, and its parts: user code, loaded by name as anybody's project is."""

from pathlib import Path
from typing import NamedTuple

from choreo.demo.rows import Row
from choreo.demo.sample import CHECKOUT as CHECKOUT
from choreo.demo.sample import load_sample
from choreo.events.event import Event
from choreo.service.service import Service

SERVICES = ("orders", "inventory", "payments", "shipping", "notifications", "world")
SPEC = Path("saga_specs") / "order_fulfilment.yaml"


class Shop(NamedTuple):
    """The sample shop: its services, the file of its saga, and the events that a run writes or counts."""

    root: Path
    services: tuple[Service, ...]
    spec: Path
    scripted: type[Event]
    counted: type[Event]
    overdue: type[Event]
    refused: type[Event]

    def script(self, row: Row) -> Event:
        """The event that makes the outside world act out one row."""
        return self.scripted.model_validate(
            {
                "order_id": row.order_id,
                "customer_id": row.customer_id,
                "status": row.status,
                "purchased_at": row.purchased_at,
                "approved_at": row.approved_at,
                "handed_over_at": row.handed_over_at,
                "delivered_at": row.delivered_at,
                "promised_at": row.promised_at,
                "lines": [{**line._asdict(), "quantity": 1} for line in row.lines],
                "parts": [part._asdict() for part in row.parts],
            }
        )

    def counting(self, product_id: str, pieces: int) -> Event:
        """The event that says how many pieces of a product there are."""
        return self.counted.model_validate({"product_id": product_id, "pieces": pieces})


def load_shop() -> Shop:
    """The shop that travels in the wheel, else the one of the checkout; its root goes onto sys.path of this process.

    Raises ConfigError where neither is there, or where another package named `services` is in the way.
    """
    root, (scripted, counted, overdue, refused, *services) = load_sample(
        "shop",
        SPEC,
        [
            ("services.shop.world.events", "Scripted"),
            ("services.shop.inventory.events", "StockCounted"),
            ("services.shop.orders.events", "OrderOverdue"),
            ("services.shop.orders.events", "CancellationRefused"),
            *((f"services.shop.{name}.service", name) for name in SERVICES),
        ],
    )
    return Shop(root, tuple(services), root / SPEC, scripted, counted, overdue, refused)
