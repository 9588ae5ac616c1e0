"""What happens to an item of a purchase order: one event for each family of activities of the purchasing system.

All of them share one topic and are keyed by the item, so they stay in the order in which the system wrote them.
"""

from datetime import datetime

from choreo import Event


class ItemEvent(Event, namespace="purchasing", topic="purchasing.items", key="item_id", abstract=True):
    """Something happened to an item.

    `seq` counts the events of an item from 0. Order goes by it: the system writes times to the minute, and a few of
    them are decades off.
    """

    item_id: str
    seq: int
    activity: str
    """What the purchasing system calls it."""
    happened_at: datetime


class RequisitionRecorded(ItemEvent):
    """Somebody in the company asked for it, or that was released."""


class CartMoved(ItemEvent):
    """The shopping cart in the system for supplier relations (SRM) went on, was held, failed or was deleted."""


class ItemCreated(ItemEvent):
    """The item was ordered."""

    category: str = ""
    """How goods, invoice and payment are matched: "3-way match, invoice after GR", "3-way match, invoice before GR",
    "2-way match" (no goods receipt) or "Consignment" (no invoice). Empty where nobody says: all three are waited for.
    """


class ItemChanged(ItemEvent):
    """Quantity, price, place, currency, terms or an indicator of the item changed."""


class OrderApproved(ItemEvent):
    """The order was released, or its approval changed."""


class OrderConfirmed(ItemEvent):
    """The vendor confirmed the order, or changed the confirmation."""


class ItemBlocked(ItemEvent):
    """The item was blocked."""


class ItemDeleted(ItemEvent):
    """The item is wanted no longer."""


class ItemReactivated(ItemEvent):
    """The item was blocked or deleted, and is wanted again."""


class GoodsReceived(ItemEvent):
    """Goods were received, or the sheet of a service was entered."""


class GoodsReceiptCancelled(ItemEvent):
    """A receipt of goods was taken back."""


class VendorBilled(ItemEvent):
    """The vendor wrote an invoice or a debit memo; it is not in the books yet."""


class InvoiceReceived(ItemEvent):
    """An invoice was entered into the books."""


class InvoiceReceiptCancelled(ItemEvent):
    """An invoice was taken out of the books."""


class InvoiceAdjusted(ItemEvent):
    """A subsequent invoice, which changes what an earlier one asked for, was entered or taken out."""


class PaymentBlockChanged(ItemEvent):
    """The payment was blocked, or the block was removed."""


class InvoiceCleared(ItemEvent):
    """The invoice was paid: it is settled in the books."""
