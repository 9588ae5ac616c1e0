"""Recorded calls: one key however often, one result, and the same answers in a replay."""

from dataclasses import dataclass, field
from typing import ClassVar

from choreo import Context, Event, Handler, Retry, Service, Store
from choreo.events.envelope import Ids
from choreo.replay.verify import verify
from choreo.service.client import fresh_ids
from tests.runtime.town import NOON, Town


class PaymentEvent(Event, namespace="calls", topic="calls.payments", key="order_id", abstract=True):
    order_id: str


class PaymentRequested(PaymentEvent):
    amount: int


class PaymentTaken(PaymentEvent):
    receipt: str
    rate: int


@dataclass
class Bank:
    """Charges once per key; its rate differs at every question."""

    charges: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    late: bool = False

    def charge(self, key: str, amount: int) -> str:
        self.charges.setdefault(key, amount)
        if self.late:
            raise TimeoutError("no answer in time, but charged")
        return f"receipt {len(self.charges)}"

    def rate(self) -> int:
        self.asked += 1
        return self.asked


class Pay(Handler[PaymentRequested]):
    bank: Bank
    rates = Store[str, int]()
    retry = Retry(attempts=5, wait_s=1)
    faults: ClassVar[list[str]] = []

    def handle(self, event: PaymentRequested, ctx: Context) -> PaymentTaken:
        rate = ctx.ask("rate", self.bank.rate)
        receipt = ctx.call("charge", self.bank.charge, event.amount)
        if self.faults:
            raise OSError(self.faults.pop())
        self.rates[event.order_id] = rate
        return PaymentTaken(order_id=event.order_id, receipt=receipt, rate=rate)


def town(bank: Bank) -> Town:
    Pay.faults.clear()
    return Town(Service("payments", handlers=[Pay], provide={"bank": lambda: bank}))


def taken(place: Town) -> list[PaymentTaken]:
    events = place.events("calls.payments", (PaymentRequested, PaymentTaken))
    return [event for event in events if isinstance(event, PaymentTaken)]


def request(number: int) -> Ids:
    """Three copies of one request: other events, the same request_id."""
    return fresh_ids(NOON, "story")._replace(request_id=b"r" * 16, attempt=number)


def test_a_provider_that_answers_late_and_is_asked_three_times_charges_once() -> None:
    """The key is the request's, over all attempts and all copies of the request."""
    bank = Bank(late=True)
    place = town(bank)
    place.tell(PaymentRequested(order_id="o1", amount=5), ids=request(1))
    place.wait(0.5)
    bank.late = False
    for number in (2, 3):
        place.tell(PaymentRequested(order_id="o1", amount=5), ids=request(number))
        place.wait(100)
    assert len(bank.charges) == 1
    assert {event.receipt for event in taken(place)} == {"receipt 1"}


def test_a_retry_gets_the_recorded_result_of_a_call_and_asks_a_question_again() -> None:
    """Effects are pinned to their first result, also over a park and a crash; reads are not."""
    bank = Bank()
    place = town(bank)
    Pay.faults.extend(["c", "b", "a"])
    place.tell(PaymentRequested(order_id="o1", amount=5))
    place.crash()
    place.wait(10)
    (event,) = taken(place)
    assert event == PaymentTaken(order_id="o1", receipt="receipt 1", rate=4)
    assert len(bank.charges) == 1


def test_a_replay_asks_nobody() -> None:
    """Stores rebuilt from the journal equal the live ones although every answer was another."""
    bank = Bank()
    place = town(bank)
    place.tell(*[PaymentRequested(order_id=f"o{n}", amount=n) for n in range(5)])
    bank.late = True
    place.tell(PaymentRequested(order_id="o9", amount=1))
    bank.late = False
    place.wait(10)
    asked, bank.late = bank.asked, True
    worker = place.workers[0]
    verdict = verify(place.services[0], place.log, place.registry, lambda n: worker.tasks[n].task.entries.backend)
    assert verdict.clean, verdict
    assert bank.asked == asked
    assert verdict.entries == 7
