"""A kitchen that burns dishes, a critic who hears of the same orders, and an operator who puts things right."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from choreo import Context, Event, Handler, Retry, Service, Store
from choreo.events.codec import Codec
from choreo.events.envelope import Again
from choreo.events.plain import headers_again
from choreo.log.interface import Log
from choreo.record import NewRecord
from choreo.replay.letters import Letter, Letters
from choreo.replay.operations import Operations, Settled
from choreo.replay.redrive import Done, Redrive, Wish, again
from choreo.replay.sandbox import Sandbox
from choreo.replay.scratch import Scratch
from choreo.replay.verify import Verdict, Verification
from choreo.told import Told, untold
from tests.runtime.town import Town

BY = ("ada", "the oven works again")
FIRST = UUID(int=1)


class Ordered(Event, namespace="kitchen", topic="kitchen.orders", key="table"):
    table: str
    dish: str


class Served(Event, namespace="kitchen", topic="kitchen.served", key="table"):
    table: str
    dish: str


class Cook(Handler[Ordered]):
    """Serves what it does not burn; the next dishes of a table wait behind one that burnt."""

    served = Store[str, tuple[str, ...]](default=())
    retry = Retry(attempts=1)
    burning: ClassVar[set[str]] = set()
    bought: ClassVar[list[str]] = []
    repeated: ClassVar[list[UUID | None]] = []

    def handle(self, order: Ordered, ctx: Context) -> Served:
        self.repeated.append(ctx.again)
        ctx.call("buy", self.buy, order.dish)
        ctx.ask("bake", self.bake, order.dish)
        self.served[order.table] = (*self.served[order.table], order.dish)
        return Served(table=order.table, dish=order.dish)

    def buy(self, key: str, dish: str) -> bool:
        """Costs money each time."""
        self.bought.append(dish)
        return True

    def bake(self, dish: str) -> bool:
        """Raises OSError while it burns."""
        if dish in self.burning:
            raise OSError(f"{dish} burns")
        return True


class Hurry(Cook):
    """Goes on with the next dish of a table at once."""

    retry = Retry(attempts=1, then="skip")


class Patient(Cook):
    """Tries again after a minute."""

    retry = Retry(attempts=4, wait_s=60)


class Hear(Handler[Ordered]):
    heard = Store[str, tuple[str, ...]](default=())

    def handle(self, order: Ordered, ctx: Context) -> None:
        self.heard[order.table] = (*self.heard[order.table], order.dish)


@contextmanager
def burning(*dishes: str) -> Iterator[None]:
    """As long as this lasts."""
    Cook.burning.update(dishes)
    try:
        yield
    finally:
        Cook.burning.clear()


class Kitchen(Town):
    """Both services at work; `table` tells what a service knows of one."""

    def __init__(
        self,
        cook: type[Handler[Ordered]] = Cook,
        partitions: int = 2,
        log: Log | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        Cook.repeated.clear()
        Cook.bought.clear()
        services = Service("cook", handlers=[cook]), Service("critic", handlers=[Hear])
        super().__init__(*services, partitions=partitions, log=log, options=options)

    def order(self, *dishes: str, table: str = "t1") -> None:
        """One after the other, all of one table."""
        self.tell(*[Ordered(table=table, dish=dish) for dish in dishes])

    def served(self, table: str = "t1") -> list[str]:
        """What came to a table, as it is told."""
        events = self.events("kitchen.served", [Served])
        return [one.dish for one in events if isinstance(one, Served) and one.table == table]

    def heard(self, table: str = "t1") -> list[str]:
        """What the critic heard of a table."""
        stored = self.stored("critic")
        value = next((value for key, value in stored.items() if table.encode() in key and b"heard" in key), b"\1[]")
        dishes: list[str] = json.loads(value[1:])
        return dishes

    def letters(self, service: str = "cook") -> list[Letter]:
        """Its dead letters, with what has become of them."""
        with Scratch(Path("/nowhere")) as scratch:
            return list(self._letters(Settled(self.operations(), scratch)).of([service]))

    def operations(self) -> Operations:
        return Operations(self.log, self.registry, self.clock.now)

    def redrive(
        self,
        wanted: Callable[[Letter], bool] = lambda letter: letter.standing.outcome == "open",
        *,
        most: int = 200,
        told: Told = untold,
        operation: UUID = FIRST,
        log: Log | None = None,
    ) -> Done:
        """Put the letters of the cook where they came from, and let everybody work."""
        topics, log = self.log.topics(), log or self.log
        wish = Wish(operation, "redriven", BY, wanted, lambda one: again(one, operation, topics), most)
        self.operations().begin(operation, "redrive", ["cook"], BY, {})
        redrive = Redrive(log, self.operations(), self._letters, lambda: Scratch(Path("/nowhere")))
        done = redrive.settle("cook", wish, told)
        self.time.settle()
        return done

    def put(self, letter: Letter, mark: Again) -> None:
        """The record of a letter, marked so."""
        assert letter.ids is not None
        headers = headers_again(letter.record.headers, letter.ids._replace(again=mark))
        self.append([NewRecord(letter.record.topic, letter.record.key, letter.record.value, headers)])

    def append(self, records: Sequence[NewRecord]) -> None:
        """Put records on the log and let everybody work."""
        self.log.append(records)
        self.time.settle()

    def verdict(self, service: str = "cook") -> Verdict:
        """What a replay says of a service."""
        worker = next(one for one in self.workers if one.service.name == service)
        kept = self.backends[service].snapshots
        sandbox = Sandbox(
            worker.service, self.log, self.registry, snapshots=lambda number: [kept(f"{service}-{number}")]
        )
        return Verification(sandbox, lambda n: worker.tasks[n].task.entries.backend).run()

    def _letters(self, settled: Settled) -> Letters:
        return Letters(self.log, Codec(self.registry, (), self.log.cluster_id()).ids, settled)
