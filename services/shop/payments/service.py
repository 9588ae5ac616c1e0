"""Payments: charges customers through the provider, and gives the money back."""

from decimal import Decimal
from typing import Literal, assert_never

from choreo import Context, Handler, Service, Store, Value
from services.shop.orders.events import Money, OrderPlaced
from services.shop.payments.events import (
    ChargeApproved,
    ChargeDeclined,
    ChargeRequested,
    PaymentDeclined,
    PaymentRefunded,
    PaymentTaken,
    RefundRequested,
)

NOTHING = Decimal("0.00")


class Charge(Value):
    """How the charge of one order stands. `amount` is what is asked for until it is taken, then what was taken."""

    state: Literal["asked", "taken", "declined", "voided", "refunded"]
    amount: Money


class TakePayment(Handler[OrderPlaced | ChargeApproved | ChargeDeclined]):
    """Charge each order once, however often we are asked; what comes in after a refund counts as nothing."""

    charges = Store[str, Charge]()

    def handle(
        self, event: OrderPlaced | ChargeApproved | ChargeDeclined, ctx: Context
    ) -> ChargeRequested | PaymentTaken | PaymentDeclined | None:
        charge = self.charges.get(event.order_id)
        if isinstance(event, OrderPlaced):
            if charge is not None:
                return None
            self.charges[event.order_id] = Charge(state="asked", amount=event.total)
            return ChargeRequested(order_id=event.order_id, amount=event.total, parts=event.parts)
        if charge is None or charge.state != "asked":
            return None
        match event:
            case ChargeApproved():
                self.charges[event.order_id] = Charge(state="taken", amount=charge.amount)
                return PaymentTaken(order_id=event.order_id, amount=charge.amount, receipt=event.receipt)
            case ChargeDeclined():
                self.charges[event.order_id] = Charge(state="declined", amount=NOTHING)
                return PaymentDeclined(order_id=event.order_id, reason=event.reason)
            case _:
                assert_never(event)

    def compensate(self, request: RefundRequested, ctx: Context) -> PaymentRefunded:
        charge = self.charges.get(request.order_id)
        if charge is not None and charge.state in ("taken", "refunded"):
            after = Charge(state="refunded", amount=charge.amount)
        else:
            after = Charge(state="voided", amount=NOTHING)  # kept, so that a late approval or order finds it
        self.charges[request.order_id] = after
        return PaymentRefunded(order_id=request.order_id, amount=after.amount)


payments = Service("payments", handlers=[TakePayment])
