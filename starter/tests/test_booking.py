"""Stories about bookings: services and saga together, on a log in memory and in virtual time."""

from decimal import Decimal

import pytest
from choreo.testing import Scenario, like

from starter.events import (
    BookingRequested,
    PaymentDeclined,
    PaymentRefunded,
    PaymentRequested,
    PaymentTaken,
    RefundRequested,
    SeatsHeld,
    SeatsRefused,
    SeatsReleased,
    SeatsReleaseRequested,
)
from starter.payments import Bank
from starter.seats import HoldSeats


class FakeBank(Bank):
    """A bank that can be away."""

    def __init__(self) -> None:
        self.away = False

    def charge(self, key: str, booking_id: str, amount: Decimal) -> str | None:
        if self.away:
            raise ConnectionError("the bank does not answer")
        return super().charge(key, booking_id, amount)


@pytest.fixture
def bank() -> FakeBank:
    return FakeBank()


@pytest.fixture
def story(scenario: Scenario, bank: FakeBank) -> Scenario:
    return scenario.using(bank=bank)


def booking(seats: int = 2, price: int = 80) -> BookingRequested:
    return BookingRequested(booking_id="b1", seats=seats, price=Decimal(price))


def test_a_booking_is_held_and_paid(story: Scenario) -> None:
    """Seats first, then the money; after that the booking is complete."""
    story.when(booking()).then(
        SeatsHeld(booking_id="b1"),
        PaymentRequested(booking_id="b1", price=Decimal(80)),
        PaymentTaken(booking_id="b1", receipt="receipt-b1"),
    )
    story.then_saga("booking", "b1", "completed").then_stored(HoldSeats.held, {"b1": 2})


def test_a_declined_card_gives_the_seats_back(story: Scenario) -> None:
    """A declined payment releases what was held."""
    story.when(booking(price=501)).then(
        SeatsHeld(booking_id="b1"),
        like(PaymentRequested, booking_id="b1"),
        PaymentDeclined(booking_id="b1"),
        SeatsReleaseRequested(booking_id="b1"),
        SeatsReleased(booking_id="b1", seats=2),
    )
    story.then_saga("booking", "b1", "compensated").then_stored(HoldSeats.held, {})


def test_too_many_seats_are_refused(story: Scenario) -> None:
    """More than one booking can have: refused, and nobody is charged."""
    story.when(booking(seats=9)).then(SeatsRefused(booking_id="b1", reason="at most 8 seats"))
    story.then_saga("booking", "b1", "compensated")


def test_a_bank_that_is_away_for_a_moment_is_tried_again(story: Scenario, bank: FakeBank) -> None:
    """An outage that ends in time costs no booking."""
    bank.away = True
    story.when(booking()).then(like(SeatsHeld), like(PaymentRequested))
    bank.away = False
    story.after(minutes=1)
    story.then(like(SeatsHeld), like(PaymentRequested), like(PaymentTaken, booking_id="b1"))


def test_a_bank_that_stays_away_costs_the_booking(story: Scenario, bank: FakeBank) -> None:
    """Without an answer in time everything is undone; a charge that may have happened, too."""
    bank.away = True
    story.given(booking())
    story.after(minutes=15)
    story.then(
        like(RefundRequested),
        like(PaymentRefunded),
        like(SeatsReleaseRequested),
        like(SeatsReleased, seats=2),
    )
    story.then_saga("booking", "b1", "compensated")
