"""An office where purchases are approved by people: its events, its spec, and a story in which people answer."""

from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from choreo.events.event import Event
from choreo.saga.decision import Answer, Command, Order
from choreo.saga.people import Question, questions_of
from choreo.saga.spec import Spec, parse_spec
from tests.saga.story import Story

Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2, ge=0)]


class Urgency(Enum):
    LOW = "low"
    HIGH = "high"


class OfficeEvent(Event, namespace="office", topic="office.purchases", key="request", abstract=True):
    request: str


class PurchaseWanted(OfficeEvent):
    what: str
    total: Money
    by: str | None = None


class PurchaseApproved(OfficeEvent):
    what: str
    limit: Money
    """The most that it may cost."""
    urgency: Urgency
    comment: str = ""
    total: str = ""
    by: str = "nobody"


class PurchaseRejected(OfficeEvent):
    reason: Literal["too expensive", "not needed"]


class PurchaseUnclear(OfficeEvent): ...


class ApproverReminded(OfficeEvent): ...


class ManagerCalled(OfficeEvent): ...


class OrderWanted(OfficeEvent):
    limit: Money


class GoodsOrdered(OfficeEvent): ...


class OrderGivenBack(OfficeEvent): ...


class ApprovalRevoked(OfficeEvent): ...


class RevocationWanted(OfficeEvent): ...


EVENTS = {cls.contract.full_name: cls for cls in OfficeEvent.__subclasses__()}

PURCHASE = """\
saga: purchase
version: 1
namespace: office
starts_on: PurchaseWanted
correlate_by: request
within: 2d

steps:
  - name: approve
    human:
      role: approver
      asks: "Buy {saga.what} for {saga.total} EUR{saga.total > 1000.0 ? ', above the limit' : ''}?"
      escalate_to: manager
    completes_on: PurchaseApproved
    fails_on: PurchaseRejected
    on_timeout: escalate
    remind: {emit: ApproverReminded, every: 12h, at_most: 2}
    tell: {overdue: ManagerCalled}
    compensate: {emit: RevocationWanted, done_on: ApprovalRevoked}

  - name: order
    after: approve
    emit: {event: OrderWanted, with: {limit: steps.approve.limit}}
    completes_on: GoodsOrdered
    fails_on: OrderGivenBack
    compensate: none
"""


def spec_of(text: str = PURCHASE) -> Spec:
    """The spec in `text`."""
    return parse_spec(text, "purchase.yaml", EVENTS)


class Office(Story):
    """A purchase r1 of two lamps for 250.00."""

    def __init__(self, spec: Spec | None = None, **wanted: Any) -> None:
        super().__init__(spec or spec_of(), key="r1")
        self.when("PurchaseWanted", **{"what": "two lamps", "total": "250.00", **wanted})

    def order(self, order: Order, who: str = "ada") -> Self:
        """Somebody gives an order."""
        self._count += 1
        its = self._count.to_bytes(8, "big") + bytes(8)
        self._decide(Command(order, its, self.now, self.now, who, "seen it"))
        return self

    def answer(self, event: str, role: str = "approver", who: str = "ada", **fields: Any) -> Self:
        """A person decides; the event is on the log, and not heard yet."""
        return self.order(Answer("approve", f"office.{event}", fields, role), who)

    def questions(self) -> list[Question]:
        """What waits for people."""
        assert self.instance is not None
        return list(questions_of(self.spec, self.instance))
