"""Which event says what the purchasing system calls by a name of its own: its activities, family by family."""

from collections.abc import Mapping

from services.purchasing.events import (
    CartMoved,
    GoodsReceiptCancelled,
    GoodsReceived,
    InvoiceAdjusted,
    InvoiceCleared,
    InvoiceReceiptCancelled,
    InvoiceReceived,
    ItemBlocked,
    ItemChanged,
    ItemCreated,
    ItemDeleted,
    ItemEvent,
    ItemReactivated,
    OrderApproved,
    OrderConfirmed,
    PaymentBlockChanged,
    RequisitionRecorded,
    VendorBilled,
)

_FAMILIES: Mapping[type[ItemEvent], tuple[str, ...]] = {
    RequisitionRecorded: ("Create Purchase Requisition Item", "Release Purchase Requisition"),
    CartMoved: (
        "SRM: Created",
        "SRM: Complete",
        "SRM: Incomplete",
        "SRM: Held",
        "SRM: Awaiting Approval",
        "SRM: Document Completed",
        "SRM: Ordered",
        "SRM: In Transfer to Execution Syst.",
        "SRM: Transfer Failed (E.Sys.)",
        "SRM: Change was Transmitted",
        "SRM: Transaction Completed",
        "SRM: Deleted",
    ),
    ItemCreated: ("Create Purchase Order Item",),
    ItemChanged: (
        "Change Quantity",
        "Change Price",
        "Change Delivery Indicator",
        "Change Storage Location",
        "Change Currency",
        "Change payment term",
        "Change Final Invoice Indicator",
        "Change Rejection Indicator",
    ),
    OrderApproved: ("Release Purchase Order", "Change Approval for Purchase Order"),
    OrderConfirmed: ("Receive Order Confirmation", "Update Order Confirmation"),
    ItemBlocked: ("Block Purchase Order Item",),
    ItemDeleted: ("Delete Purchase Order Item",),
    ItemReactivated: ("Reactivate Purchase Order Item",),
    GoodsReceived: ("Record Goods Receipt", "Record Service Entry Sheet"),
    GoodsReceiptCancelled: ("Cancel Goods Receipt",),
    VendorBilled: ("Vendor creates invoice", "Vendor creates debit memo"),
    InvoiceReceived: ("Record Invoice Receipt",),
    InvoiceReceiptCancelled: ("Cancel Invoice Receipt",),
    InvoiceAdjusted: ("Record Subsequent Invoice", "Cancel Subsequent Invoice"),
    PaymentBlockChanged: ("Set Payment Block", "Remove Payment Block"),
    InvoiceCleared: ("Clear Invoice",),
}
ACTIVITIES: Mapping[str, type[ItemEvent]] = {name: event for event, names in _FAMILIES.items() for name in names}
"""The event of each activity."""
