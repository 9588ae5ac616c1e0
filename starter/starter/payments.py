"""Payments: charges guests through the bank, and gives the money back."""

from decimal import Decimal

from choreo import Context, Handler, Retry, Service, Store

from starter.events import (
    PaymentDeclined,
    PaymentRefunded,
    PaymentRequested,
    PaymentTaken,
    RefundRequested,
)

CARD_LIMIT = Decimal(500)
GIVEN_BACK = ""
"""Stands where a receipt was, so that a charge which comes late finds it."""


class Bank:
    """Stands in for a payment provider: put your client here. `key` is the same for each retry of one call."""

    def charge(self, key: str, booking_id: str, amount: Decimal) -> str | None:
        """The receipt; None where the card is declined."""
        return f"receipt-{booking_id}" if amount <= CARD_LIMIT else None

    def refund(self, key: str, receipt: str) -> None:
        """Give back what the receipt is for."""


class TakePayment(Handler[PaymentRequested]):
    """Charge each booking once, however often it is asked for; a bank that is away is tried again."""

    bank: Bank
    receipts = Store[str, str]()
    retry = Retry(attempts=6, wait_s=1, on=(ConnectionError, TimeoutError))

    def handle(
        self, request: PaymentRequested, ctx: Context
    ) -> PaymentTaken | PaymentDeclined | None:
        if request.booking_id in self.receipts:
            return None  # taken already, or given back before it was taken
        receipt = ctx.call("charge", self.bank.charge, request.booking_id, request.price)
        if receipt is None:
            return PaymentDeclined(booking_id=request.booking_id)
        self.receipts[request.booking_id] = receipt
        return PaymentTaken(booking_id=request.booking_id, receipt=receipt)

    def compensate(self, request: RefundRequested, ctx: Context) -> PaymentRefunded:
        receipt = self.receipts.get(request.booking_id, GIVEN_BACK)
        if receipt != GIVEN_BACK:
            ctx.call("refund", self.bank.refund, receipt)
        self.receipts[request.booking_id] = GIVEN_BACK
        return PaymentRefunded(booking_id=request.booking_id)


payments = Service("payments", handlers=[TakePayment], provide={"bank": Bank})
