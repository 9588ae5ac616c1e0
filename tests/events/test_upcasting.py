"""A breaking change is a new class that lifts the events of the old one."""

from typing import Any, Self

import pytest

from choreo import Context, Event, Handler, Service
from choreo.errors import DecodeError, EventError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.registry import MemoryRegistry
from choreo.testing import Scenario
from tests.events.sample import kept

IDS = Ids(b"1" * 16, "s")


class Placed1(Event, namespace="shop", topic="shop.placed", key="order"):
    order: str
    customer: str


class Placed2(Event, namespace="shop", topic="shop.placed", key="order"):
    order: str
    names: tuple[str, ...]

    @classmethod
    def upcast(cls, old: Placed1) -> Self:
        if not old.customer:
            raise ValueError("nobody placed it")
        return cls(order=old.order, names=tuple(old.customer.split()))


class Placed(Event, namespace="shop", topic="shop.placed", key="order"):
    order: str
    surname: str

    @classmethod
    def upcast(cls, old: Placed2) -> "Placed":
        return cls(order=old.order, surname=old.names[-1])


class Greeted(Event, namespace="shop", topic="shop.greeted", key="order"):
    order: str
    text: str


class Greet(Handler[Placed]):
    def handle(self, event: Placed, ctx: Context) -> Greeted:
        return Greeted(order=event.order, text=f"Dear {event.surname}")


def read(event: Event, *classes: type[Event]) -> tuple[type[Event] | None, Event]:
    """The class that a codec of these classes names for an event's record, and the event that it reads."""
    registry = MemoryRegistry()
    record = kept(Codec(registry, (), "c").encode(event, IDS))
    codec = Codec(registry, classes, "c")
    return codec.event_class(record), codec.event(record)


def test_an_event_of_an_old_class_is_lifted_step_by_step() -> None:
    """What the old class wrote is read as the new one, over each class between them; new events stay as they are."""
    old = Placed1(order="o", customer="Ada King Lovelace")
    assert read(old, Placed2) == (Placed2, Placed2(order="o", names=("Ada", "King", "Lovelace")))
    assert read(old, Placed) == (Placed, Placed(order="o", surname="Lovelace"))
    assert read(Placed(order="o", surname="x"), Placed) == (Placed, Placed(order="o", surname="x"))


def test_a_class_that_is_read_itself_is_not_lifted() -> None:
    """Whoever handles the old class as well gets its events as they are."""
    old = Placed1(order="o", customer="Ada")
    assert read(old, Placed, Placed1) == (Placed1, old)


def test_an_upcast_that_fails_is_a_dead_letter() -> None:
    """What upcast raises, and an answer of another class, are told with the position of the record."""
    with pytest.raises(DecodeError) as caught:
        read(Placed1(order="o", customer=""), Placed)
    assert "nobody placed it" in (caught.value.why or "")

    class Forgetful(Event, namespace="shop", topic="shop.placed"):
        @classmethod
        def upcast(cls, old: Placed1) -> Any:
            return None

    with pytest.raises(DecodeError) as caught:
        read(Placed1(order="o", customer="Ada"), Forgetful)
    assert "Forgetful.upcast answered None" in (caught.value.why or "")


def test_a_handler_gets_the_lifted_event() -> None:
    """A service that handles the new class answers events of the old one, with any number of partitions."""
    scenario = Scenario(Service("greeter", handlers=[Greet]))
    scenario.when(Placed1(order="o", customer="Ada Lovelace"))
    scenario.then(Greeted(order="o", text="Dear Lovelace"))


class Elsewhere(Event, namespace="shop", topic="shop.elsewhere"):
    order: str


class Again(Event, namespace="shop", topic="shop.placed"):
    @classmethod
    def upcast(cls, old: Placed1) -> "Again":
        return cls()


def wrong(upcast: Any) -> type[Event]:
    """An event with this upcast."""

    class Wrong(Event, namespace="shop", topic="shop.placed"): ...

    Wrong.upcast = upcast  # type: ignore[attr-defined]  # so it would be written in its body
    return Wrong


def of_nothing(cls: Any, old: Any) -> Any: ...
def of_a_number(cls: Any, old: int) -> Any: ...
def of_two(cls: Any, old: Placed1, more: Placed2) -> Any: ...
def of_another_topic(cls: Any, old: Elsewhere) -> Any: ...


@pytest.mark.parametrize(
    ("upcast", "says"),
    [
        (classmethod(of_nothing), "does not say which event it lifts"),
        (classmethod(of_a_number), "does not say which event it lifts"),
        (classmethod(of_two), "does not say which event it lifts"),
        (of_nothing, "is no class method"),
        (classmethod(of_another_topic), "a service that reads one does not read the other"),
    ],
)
def test_an_upcast_that_can_not_work_is_said_at_the_start(upcast: Any, says: str) -> None:
    """A method that names no event, or one of another topic, is an error before anything is read."""
    with pytest.raises(EventError, match=says):
        Codec(MemoryRegistry(), [wrong(upcast)], "c")


def test_two_classes_do_not_lift_the_same() -> None:
    """Which of two a record becomes must be told."""
    with pytest.raises(EventError, match="Placed2 and Again both lift Placed1"):
        Codec(MemoryRegistry(), [Placed2, Again], "c")
