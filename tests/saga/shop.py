"""The events and the spec of the shop that the stories of this directory tell."""

from decimal import Decimal
from typing import Annotated

import pytest
from pydantic import Field

from choreo.errors import SpecError
from choreo.events.event import Event
from choreo.saga.spec import Spec, parse_spec

Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class OrderEvent(Event, namespace="shop", topic="shop.orders", key="order_id", abstract=True):
    order_id: str


class OrderPlaced(OrderEvent):
    warehouse: str
    total: Money


class OrderCancelled(OrderEvent): ...


class CancellationRefused(OrderEvent): ...


class StockReserved(OrderEvent): ...


class StockRejected(OrderEvent): ...


class StockReleaseRequested(OrderEvent):
    warehouse: str


class StockReleased(OrderEvent): ...


class StockReleaseFailed(OrderEvent): ...


class ChargeRequested(OrderEvent):
    total: Money


class PaymentTaken(OrderEvent):
    amount: Money


class PaymentDeclined(OrderEvent): ...


class PaymentUnknown(OrderEvent): ...


class RefundRequested(OrderEvent):
    amount: Money | None


class PaymentRefunded(OrderEvent):
    amount: Money


class ShipmentRequested(OrderEvent):
    warehouse: str


class ParcelHandedOver(OrderEvent): ...


class ParcelRecallRequested(OrderEvent): ...


class ParcelRecalled(OrderEvent): ...


class OrderDelivered(OrderEvent): ...


EVENTS = {cls.contract.full_name: cls for cls in OrderEvent.__subclasses__()}

ORDER = """\
saga: order
version: 1
namespace: shop
starts_on: OrderPlaced
correlate_by: order_id
within: 1h
cancels_on: {event: OrderCancelled, refused: CancellationRefused}

steps:
  - name: reserve
    completes_on: StockReserved
    fails_on: StockRejected
    within: 30s
    compensate:
      emit: StockReleaseRequested
      done_on: StockReleased
      fails_on: StockReleaseFailed
      within: 1m
      attempts: 2
      wait: 10s

  - name: pay
    when: saga.total > 0
    completes_on: PaymentTaken
    fails_on: PaymentDeclined
    unknown_on: PaymentUnknown
    compensate: {emit: RefundRequested, done_on: PaymentRefunded, with: {amount: steps.pay.amount}}

  - name: ship
    after: [reserve, pay]
    emit: ShipmentRequested
    completes_on: ParcelHandedOver
    within: 2d
    compensate: {emit: ParcelRecallRequested, done_on: ParcelRecalled}

  - name: deliver
    after: ship
    pivot: true
    completes_on: OrderDelivered
    within: 30d
    on_timeout: escalate
"""


def spec_of(text: str = ORDER) -> Spec:
    """The spec in `text`."""
    return parse_spec(text, "order.yaml", EVENTS)


def changed(*pairs: tuple[str, str], text: str = ORDER) -> str:
    """`text` with each first of a pair replaced by the second; each must be there."""
    for old, new in pairs:
        assert old in text, f"{old!r} is not in the spec"
        text = text.replace(old, new)
    return text


def problems(text: str) -> str:
    """What is said about a spec that can't be run."""
    with pytest.raises(SpecError) as raised:
        spec_of(text)
    return raised.value.message
