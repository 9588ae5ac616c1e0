"""What is said about bookings. Events are facts, or requests to undo; each class is an Avro schema."""

from decimal import Decimal
from typing import Annotated

from choreo import Event
from pydantic import Field

Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class BookingEvent(
    Event,
    namespace="starter",
    topic="starter.bookings",
    key="booking_id",
    abstract=True,
):
    """Events of one booking share a topic and a key, so they stay in order."""

    booking_id: str


class BookingRequested(BookingEvent):
    """A guest asks for seats."""

    seats: Annotated[int, Field(ge=1)]
    price: Money
    """For all seats together."""


class SeatsHeld(BookingEvent):
    """The seats are kept for the guest."""


class SeatsRefused(BookingEvent):
    """The seats can't be had; none is kept."""

    reason: str


class SeatsReleaseRequested(BookingEvent):
    """Please give back whatever is kept for the booking."""


class SeatsReleased(BookingEvent):
    """Nothing is kept for the booking any more."""

    seats: int
    """How many were kept until now."""


class PaymentRequested(BookingEvent):
    """Please charge the guest."""

    price: Money


class PaymentTaken(BookingEvent):
    """The guest was charged."""

    receipt: str


class PaymentDeclined(BookingEvent):
    """The bank said no; nothing was charged."""


class RefundRequested(BookingEvent):
    """Please give back whatever was charged for the booking."""


class PaymentRefunded(BookingEvent):
    """Nothing is charged for the booking any more."""
