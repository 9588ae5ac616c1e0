"""What came of a run, read from its log and its stores: in the same form as what is expected."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from choreo.demo.run import Stage, cast_of
from choreo.demo.shop import load_shop
from choreo.events.codec import Codec
from choreo.events.envelope import unpack
from choreo.events.event import Event
from choreo.record import Record, TopicPartition
from choreo.replay.verify import verify
from choreo.service.store import Store
from choreo.state.backend import Backend
from services.shop.inventory.service import KeepShelf
from services.shop.orders.events import CancellationRefused, OrderOverdue
from services.shop.payments.events import PaymentRefunded, PaymentTaken
from tests.demo.expected import Expected, Outcome


def records(stage: Stage, topics: Iterable[str]) -> Iterator[Record]:
    """Every committed record of these topics, in order within a partition."""
    known = stage.log.topics()
    partitions = [TopicPartition(topic, number) for topic in topics for number in range(known[topic].partitions)]
    ends = stage.log.ends(partitions)
    with stage.log.reader(stage.log.starts(partitions)) as reader:
        while any(reader.position(partition) < end for partition, end in ends.items()):
            yield from reader.read(1.0)


def business_topics(stage: Stage) -> list[str]:
    """The topics on which services talk."""
    return sorted(name for name in stage.log.topics() if name.startswith("shop."))


def event_ids(stage: Stage) -> list[bytes]:
    """The ids of all that the services said; one that was said twice is in it twice."""
    return [unpack(dict(record.headers)["choreo"]).event_id for record in records(stage, business_topics(stage))]


def dead_letters(stage: Stage) -> list[Record]:
    """The dead letters of all services."""
    return list(records(stage, [name for name in stage.log.topics() if name.endswith(".dead-letters")]))


def stored(stage: Stage, service: str, store: Store[Any, Any]) -> dict[Any, Any]:
    """All entries of a store, over all tasks. The run is over: nobody else has them open."""
    keys, values = store.codecs()
    found: dict[Any, Any] = {}
    for number in range(stage.partitions):
        backend = stage.backends.open(f"{service}-{number}")
        entries = {keys.decode(key): values.load(raw) for key, raw in backend.scan(keys.start)}
        backend.close()
        assert not entries.keys() & found.keys(), "a key lives in one task only"
        found |= entries
    return found


def outcome(stage: Stage) -> Outcome:
    """How every order ended, from the last word of its saga and from what the services said."""
    cast = cast_of(load_shop())
    spoken = (PaymentTaken, PaymentRefunded, CancellationRefused, OrderOverdue)
    codec = Codec(stage.registry, (cast.lifecycle, *spoken), stage.log.cluster_id())
    said: dict[type[Event], dict[str, list[Any]]] = {event: {} for event in spoken}
    sagas: dict[str, Any] = {}
    for record in records(stage, [cast.lifecycle.contract.topic, *dict.fromkeys(e.contract.topic for e in spoken)]):
        event_class = codec.event_class(record)
        if event_class is None:
            continue
        event: Any = codec.event(record)
        if event_class is cast.lifecycle:
            sagas[event.key] = event
        else:
            said[event_class].setdefault(event.order_id, []).append(event)
    orders = {
        key: Expected(
            status=saga.status,
            waits_for=saga.waits_for,
            taken=sum((event.amount for event in said[PaymentTaken].get(key, ())), Decimal(0)),
            refunded=_only([event.amount for event in said[PaymentRefunded].get(key, ())]),
            refused=_only([True for _ in said[CancellationRefused].get(key, ())]) or False,
            overdue=_only([True for _ in said[OrderOverdue].get(key, ())]) or False,
        )
        for key, saga in sagas.items()
    }
    return Outcome(orders, stored(stage, "inventory", KeepShelf.stock))


def _only(values: list[Any]) -> Any:
    """The one value, or None; what is said twice is a mistake of the run."""
    assert len(values) <= 1, f"said more than once: {values}"
    return values[0] if values else None


def verify_all(stage: Stage) -> int:
    """Redo every service of the shop and hold it against this stage: answers how many inputs were handled again."""
    inputs = 0
    for service in cast_of(load_shop()).services:

        def live(partition: int, name: str = service.name) -> Backend:
            return stage.backends.open(f"{name}-{partition}")

        verdict = verify(service, stage.log, stage.registry, live)
        assert verdict.clean, (service.name, verdict)
        assert verdict.inputs > 0, service.name
        inputs += verdict.inputs
    return inputs
