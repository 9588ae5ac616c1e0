"""A small town as a simulation, quick to run: what it says shows at once when a runtime breaks a promise."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from choreo import Context, Event, Handler, Service, Store, Timer
from choreo.testing import Faults, Simulation, World

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PATIENCE = timedelta(seconds=30)


class TabEvent(Event, namespace="till", topic="till.tabs", key="tab", abstract=True):
    """What guests do about their tab."""

    tab: str


class Opened(TabEvent):
    """A guest ordered."""

    at: datetime


class Paid(Event, namespace="till", topic="till.payments", key="tab"):
    """A guest paid."""

    tab: str
    at: datetime


class Served(Event, namespace="till", topic="till.kitchen", key="tab"):
    """The kitchen brought what was ordered: an answer to `Opened`."""

    tab: str


class Reminded(Event, namespace="till", topic="till.reminders", key="tab"):
    """A guest was reminded."""

    tab: str


class Surprised(Event, namespace="till", topic="till.reminders", key="tab"):
    """Something was served that nobody had ordered, or paid before it was ordered."""

    tab: str


class Cook(Handler[Opened]):
    """Counts what was served, tab by tab."""

    meals = Store[str, int](default=0)

    def handle(self, order: Opened, ctx: Context) -> Served:
        self.meals[order.tab] += 1
        return Served(tab=order.tab)


class KeepTab(Handler[Opened | Served | Paid]):
    """Reminds whoever has not paid in time, and no one else."""

    tabs = Store[str, str]()
    patience = Timer[str]()

    def handle(self, event: Opened | Served | Paid, ctx: Context) -> Surprised | None:
        if isinstance(event, Opened):
            self.tabs[event.tab] = "open"
            self.patience.set(event.tab, at=event.at + PATIENCE)
        elif event.tab not in self.tabs:
            return Surprised(tab=event.tab)
        elif isinstance(event, Paid):
            self.tabs[event.tab] = "paid"
            self.patience.cancel(event.tab)
        return None

    @patience.due
    def remind(self, tab: str, ctx: Context) -> Reminded:
        return Reminded(tab=tab)


kitchen = Service("kitchen", handlers=[Cook])
till = Service("till", handlers=[KeepTab])
simulation = Simulation(kitchen, till, faults=Faults(crash=0.02, stall=0.01, duplicate=0))


@simulation.workload
def guests(random: Random) -> Iterator[tuple[timedelta, Event]]:
    """Twenty tabs; most are paid in time."""
    moments: list[tuple[timedelta, Event]] = []
    for number in range(20):
        opened = timedelta(milliseconds=random.randint(0, 60_000))
        paid = opened + timedelta(milliseconds=random.randint(100, 40_000))
        moments.append((opened, Opened(tab=f"t{number}", at=NOON + opened)))
        if random.random() < 0.9:
            moments.append((paid, Paid(tab=f"t{number}", at=NOON + paid)))
    moments.sort(key=lambda moment: moment[0])
    last = timedelta()
    for at, event in moments:
        yield at - last, event
        last = at


@simulation.always
def nobody_is_surprised(world: World) -> None:
    """An answer is seen after what it answers."""
    assert not world.events(Surprised), world.events(Surprised)


@simulation.at_rest
def only_the_late_are_reminded(world: World) -> None:
    """Whoever paid in time was not reminded, whatever stood still meanwhile; whoever never paid was, once."""
    opened = {event.tab: event.at for event in world.events(Opened)}
    paid = {event.tab: event.at for event in world.events(Paid)}
    reminded = [event.tab for event in world.events(Reminded)]
    in_time = {tab for tab, at in paid.items() if at <= opened[tab] + PATIENCE}
    assert not in_time & set(reminded), f"reminded though paid in time: {sorted(in_time & set(reminded))}"
    assert set(opened) - set(paid) <= set(reminded), (
        f"never reminded: {sorted(set(opened) - set(paid) - set(reminded))}"
    )
    assert len(reminded) == len(set(reminded)), f"reminded twice: {sorted(reminded)}"


@simulation.at_rest
def everybody_is_served_once(world: World) -> None:
    """One meal a tab."""
    assert dict(world.store(Cook.meals)) == {event.tab: 1 for event in world.events(Opened)}
    assert len(world.events(Served)) == len(world.events(Opened))
