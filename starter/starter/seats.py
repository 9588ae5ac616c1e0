"""Seats: keeps seats for guests, and gives them back."""

from choreo import Context, Handler, Service, Store

from starter.events import (
    BookingRequested,
    SeatsHeld,
    SeatsRefused,
    SeatsReleased,
    SeatsReleaseRequested,
)

MOST_SEATS = 8
"""What one booking can have."""


class HoldSeats(Handler[BookingRequested]):
    """Keep the seats of a booking, once however often it is asked for."""

    held = Store[str, int]()

    def handle(self, booking: BookingRequested, ctx: Context) -> SeatsHeld | SeatsRefused:
        if booking.seats > MOST_SEATS:
            return SeatsRefused(booking_id=booking.booking_id, reason=f"at most {MOST_SEATS} seats")
        self.held[booking.booking_id] = booking.seats
        return SeatsHeld(booking_id=booking.booking_id)

    def compensate(self, request: SeatsReleaseRequested, ctx: Context) -> SeatsReleased:
        seats = self.held.pop(request.booking_id, 0)
        return SeatsReleased(booking_id=request.booking_id, seats=seats)


seats = Service("seats", handlers=[HoldSeats])
