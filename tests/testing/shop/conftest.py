"""The shop with its outside world replaced by fakes."""

from decimal import Decimal
from pathlib import Path

import pytest

from choreo.testing import Scenario
from tests.testing.shop.inventory.service import inventory
from tests.testing.shop.notifications.service import notifications
from tests.testing.shop.orders.service import orders
from tests.testing.shop.payments.gateway import Charge, GatewayUnavailable
from tests.testing.shop.payments.service import payments
from tests.testing.shop.shipping.service import shipping

SPEC = Path(__file__).parent / "saga_specs" / "order_fulfilment.yaml"


class FakeGateway:
    """Charges once per key, as the real one promises."""

    def __init__(self) -> None:
        self.charges: dict[str, Charge] = {}
        self.down = False
        self.declines: str | None = None

    async def charge(self, key: str, order_id: str, card_token: str, amount: Decimal) -> Charge:
        if self.down:
            raise GatewayUnavailable("no route to the bank")
        return self.charges.setdefault(order_id, Charge(receipt=f"r-{key}", amount=amount, declined=self.declines))

    async def refund(self, key: str, receipt: str) -> Decimal:
        return next(charge.amount for charge in self.charges.values() if charge.receipt == receipt)

    async def find(self, order_id: str) -> Charge | None:
        if self.down:
            raise GatewayUnavailable("no route to the bank")
        return self.charges.get(order_id)


class FakePrinter:
    def render(self, key: str, order_id: str, warehouse: str) -> str:
        return f"label-{order_id}"


class FakeMailer:
    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    async def send(self, key: str, to: str, subject: str) -> None:
        self.sent.append((to, subject))


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def mailer() -> FakeMailer:
    return FakeMailer()


@pytest.fixture
def shop(gateway: FakeGateway, mailer: FakeMailer) -> Scenario:
    return Scenario(orders, inventory, payments, shipping, notifications, sagas=[SPEC]).using(
        gateway=gateway, mailer=mailer, printer=FakePrinter()
    )
