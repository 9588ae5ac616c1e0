"""Payments: charges cards, refunds them, files the day's takings."""

from datetime import date
from decimal import Decimal

from choreo import Breaker, Context, Downstream, Handler, Retry, Service, Store
from tests.testing.shop.orders.events import OrderPlaced
from tests.testing.shop.payments.events import (
    DayClosed,
    PaymentDeclined,
    PaymentRefunded,
    PaymentTaken,
    PaymentUnknown,
    RefundRequested,
    TakingsFiled,
)
from tests.testing.shop.payments.gateway import CardGateway, Charge, GatewayUnavailable
from tests.testing.shop.payments.http_gateway import PaymentSettings, open_gateway


class TakePayment(Handler[OrderPlaced]):
    """Charge the card once, however often we are asked."""

    gateway: CardGateway  # annotated: needed, given by the service
    bank = Downstream("bank", timeout_s=5, concurrency=32, breaker=Breaker(failures=5, open_s=30))
    charges = Store[str, Charge]()  # assigned: kept, or a policy
    retry = Retry(attempts=6, wait_s=0.5, max_wait_s=60, on=(GatewayUnavailable, TimeoutError))

    async def handle(self, order: OrderPlaced, ctx: Context) -> PaymentTaken | PaymentDeclined:
        charge = await self.bank.call("charge", self.gateway.charge, order.order_id, order.card_token, order.total)
        if charge.declined:
            return PaymentDeclined(order_id=order.order_id, reason=charge.declined)
        self.charges[order.order_id] = charge
        return PaymentTaken(order_id=order.order_id, amount=charge.amount, receipt=charge.receipt, day=ctx.now.date())

    def give_up(self, order: OrderPlaced, error: Exception, ctx: Context) -> PaymentUnknown:
        return PaymentUnknown(order_id=order.order_id, reason=str(error))

    async def compensate(self, request: RefundRequested, ctx: Context) -> PaymentRefunded:
        charge = self.charges.pop(request.order_id, None) or await self.bank.ask(
            "find", self.gateway.find, request.order_id
        )
        refunded = await self.bank.call("refund", self.gateway.refund, charge.receipt) if charge else Decimal("0.00")
        return PaymentRefunded(order_id=request.order_id, amount=refunded)


class FileTakings(Handler[PaymentTaken | DayClosed]):
    """Add up each day; tell the bookkeeper when it is over."""

    keyed_by = "day"
    takings = Store[date, Decimal](default=Decimal("0.00"))

    def handle(self, event: PaymentTaken | DayClosed, ctx: Context) -> TakingsFiled | None:
        match event:
            case PaymentTaken():
                self.takings[event.day] += event.amount
                return None
            case DayClosed():
                return TakingsFiled(day=event.day, total=self.takings.pop(event.day, Decimal("0.00")))


payments = Service(
    "payments",
    handlers=[TakePayment, FileTakings],
    settings=PaymentSettings,
    provide={"gateway": open_gateway},
)
