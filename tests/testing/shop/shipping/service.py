"""Shipping: labels are jobs, parcels are events."""

from typing import Protocol

from choreo import Context, Handler, Retry, Service, Store
from tests.testing.shop.shipping.events import (
    ParcelHandedOver,
    ParcelRecalled,
    ParcelRecallRequested,
    RenderLabel,
    ShipmentRequested,
)


class Printer(Protocol):
    def render(self, key: str, order_id: str, warehouse: str) -> str: ...


def open_printer() -> Printer:
    raise NotImplementedError


class ShipParcel(Handler[ShipmentRequested]):
    """A shipment begins as a label; returning a job enqueues it."""

    def handle(self, request: ShipmentRequested, ctx: Context) -> RenderLabel:
        return RenderLabel(order_id=request.order_id, warehouse=request.warehouse)

    def compensate(self, request: ParcelRecallRequested, ctx: Context) -> ParcelRecalled:
        return ParcelRecalled(order_id=request.order_id)


class PrintLabel(Handler[RenderLabel]):
    """A queue worker is a handler of a job."""

    printer: Printer
    labels = Store[str, str]()
    concurrency = 8
    retry = Retry(attempts=3, wait_s=5, then="skip")

    def handle(self, job: RenderLabel, ctx: Context) -> ParcelHandedOver:
        ctx.progress(0.1, "rendering")
        tracking = ctx.call("render", self.printer.render, job.order_id, warehouse=job.warehouse)
        self.labels[job.order_id] = tracking
        return ParcelHandedOver(order_id=job.order_id, tracking=tracking)


shipping = Service("shipping", handlers=[ShipParcel, PrintLabel], provide={"printer": open_printer})
