"""A saga that says nearly all that the language has: somebody moves house."""

import re
from datetime import datetime
from types import new_class

from choreo.events.event import Event
from choreo.saga.spec import Spec, parse_spec

MOVE = """\
saga: move
version: 3
namespace: home
starts_on: MoveWanted
correlate_by: move
within: 1d
deadline: 30d
isolate_on: {by: customer, scope: customers, within: 2h, expires: 5d}
cancels_on: {event: MoveCancelled, refused: CancelRefused}
compensates_on: {event: MoveTakenBack, refused: TakeBackRefused}
cancellable_until: van
tell: {started: MoveBegun, completed: MoveMade, stuck: MoveStuck}
calendars:
  office: {zone: Europe/Berlin, open: "* 9-16 * * mon-fri"}
steps:
  - name: approve
    human: {role: clerk, asks: "A van for {saga.customer}?", escalate_to: manager}
    completes_on: MoveApproved
    fails_on: MoveDeclined
    within: 8h
    calendar: office
    on_timeout: escalate
    remind: {emit: ClerkReminded, every: 4h, at_most: 2}
    compensate: none
  - name: van
    after: approve
    when: saga.boxes > 5
    emit: VanWanted
    not_before: 2h
    completes_on: VanBooked
    fails_on: VanRefused
    reopens_on: VanBroken
    on_timeout: {retry: {attempts: 5, wait: 30s, backoff: 2, longest: 10m}}
    compensate: {emit: VanRelease, done_on: VanReleased, fails_on: VanKept, within: 5m, attempts: 5, wait: 1m}
  - name: bike
    after: approve
    else: van
    emit: BikeWanted
    not_before: opens
    calendar: office
    completes_on: BikeBooked
    compensate: {emit: BikeRelease, done_on: BikeReleased, within: none}
    tell: {skipped: BikeLeft}
  - name: crew
    after: approve
    excludes: [van, bike]
    emit: CrewWanted
    completes_on: CrewBooked
    unknown_on: CrewUnknown
    on_timeout: {ask: {emit: CrewAsked, within: 1h, attempts: 2}}
    compensate: {emit: CrewRelease, done_on: CrewReleased, after: [van]}
  - name: watch
    while: crew
    emit: WatchWanted
    completes_on: WatchEnded
    within: none
    compensate: none
  - name: quote
    after: approve
    emit: QuoteWanted
    completes_on: QuoteMade
    skips_on: QuoteKnown
    within: saga.until
    repeat: {until: steps.quote.price < 100.0, at_most: 3}
    compensate: none
  - name: rooms
    after: {at_least: 2, of: [van, crew, quote]}
    for_each: saga.rooms
    item_key: room
    adds_on: RoomAdded
    complete: 80%
    rest: undo
    emit: RoomWanted
    completes_on: RoomCleared
    compensate: {emit: RoomFilled, done_on: RoomFull}
    tell: {skipped: RoomsLeft}
  - name: pay
    after: [bike, rooms]
    pivot: true
    emit: MoneyWanted
    completes_on: MovePaid
    not_before: saga.until
    within: none
    deadline: saga.until
  - name: thanks
    after: pay
    emit: ThanksWanted
    completes_on: ThanksSent
    compensate: none
"""


class HomeEvent(Event, namespace="home", topic="home.moves", key="move", abstract=True):
    """All events of a move, in one shape."""

    move: str
    customer: str = ""
    boxes: int = 0
    price: float = 0
    until: datetime | None = None
    room: str = ""
    rooms: tuple[str, ...] = ()


_NAMES = sorted(set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", MOVE)))
_MADE = [new_class(name, (HomeEvent,), {}, lambda body: body.update(__module__=__name__)) for name in _NAMES]
EVENTS: dict[str, type[Event]] = {f"home.{event.__name__}": event for event in _MADE}


def move(text: str = MOVE) -> Spec:
    """The spec in `text`."""
    return parse_spec(text, "move.yaml", EVENTS)
