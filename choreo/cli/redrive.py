"""`choreo dead-letters redrive | drop`: letters go where they came from once more, or are settled as they are."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

import click

from choreo.cli.dead_letters import LISTING
from choreo.cli.desk import Ordered, ordered
from choreo.cli.letters import Desk, Wanted, row_of, service_of
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.record_filters import RecordFilters, filtered
from choreo.clock import SystemClock
from choreo.errors import ChoreoError, ConfigError
from choreo.record import NewRecord
from choreo.replay.letters import Letter
from choreo.replay.redrive import BATCH_RECORDS, Redrive, Refused, Wish, again, ids_again, rewritten
from choreo.resilience.limiter import TokenBucket
from choreo.resilience.operations import Outcome

FOUND = 1
COLUMNS = ["id", "service", "event", "key", "cause", "at", "outcome"]
SERVICE = click.option("--service", "services", multiple=True, help="Only letters of this service.")


class PerSecond(click.ParamType):
    """`50`, or `50/s`."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """So many a second."""
        number: float = click.FloatRange(min=0, min_open=True).convert(str(value).removesuffix("/s"), param, ctx)
        return number


RATE = click.option("--rate", type=PerSecond(), metavar="N/s", help="At most so many records a second.")


@dataclass
class Order:
    """What is done with which letters."""

    kind: str
    outcome: Outcome
    services: Sequence[str]
    ids: Sequence[str]
    filters: RecordFilters
    written: Callable[[Letter, UUID], NewRecord | None]
    states: Sequence[str] = ("open",)
    rate: float | None = None
    put_back: bool = True
    """Whether anything is put on the log for a letter."""
    asked: dict[str, str] = field(default_factory=dict)


@command("redrive")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@SERVICE
@RATE
@click.option("--upcast", is_flag=True, help="Write each event anew, as the class that the project has now.")
@click.option("--again", "once_more", is_flag=True, help="Also those that were redriven, edited or dropped before.")
@filtered
@ordered
def redrive_letters(project: Project, ids: Sequence[str], filters: RecordFilters, desk: Ordered, **options: Any) -> int:
    """Put dead letters where they came from once more, for the service that gave up on them alone, in order.

    Bytes, key and ids are as they were. Each goes once, however often this is interrupted and given again.
    """
    letters = Desk(project)

    def written(letter: Letter, operation: UUID) -> NewRecord | None:
        return upcast(letters, letter, operation) if options["upcast"] else again(letter, operation, letters.topics())

    asked = {name: "true" for name in ("upcast", "once_more") if options[name]}
    states = () if options["once_more"] else ("open",)
    order = Order(
        "redrive", "redriven", options["services"], ids, filters, written, states, options["rate"], asked=asked
    )
    return carry_out(letters, order, desk)


@command("drop")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@SERVICE
@filtered
@ordered
def drop_letters(
    project: Project, ids: Sequence[str], services: Sequence[str], filters: RecordFilters, desk: Ordered
) -> int:
    """Say that these dead letters need nobody's attention. Nothing is put on a topic of events.

    Where the later events of its key wait behind one, they still do: choreo parked drop lets them go on.
    """
    order = Order("drop", "dropped", services, ids, filters, lambda letter, operation: None, put_back=False)
    return carry_out(Desk(project), order, desk)


def upcast(desk: Desk, letter: Letter, operation: UUID) -> NewRecord:
    """The record of a letter, its event written as the class that the project has now. Raises Refused."""
    ids = ids_again(letter, operation, desk.topics())
    try:
        event = desk.contents.lifting.event(letter.record)
        return rewritten(letter, event, ids, desk.contents.lifting, desk.topics())
    except ChoreoError as error:
        raise Refused(f"it can't be written anew: {error.message}") from error


def carry_out(desk: Desk, order: Order, ordered: Ordered) -> int:
    """Show what would be done, or ask, write it down and do it. Exit code 1 where every letter is refused."""
    project = desk.project
    if not order.ids and not order.filters.given and not order.services:
        raise ConfigError("which dead letters?", hint="an ID, --service NAME, or filters: --where, --since, --until")
    ordered.expect_reason()
    services, count, refused_now = _looked_at(desk, order, ordered)
    if ordered.dry_run:
        return FOUND if refused_now == count > 0 else 0
    if count == 0:
        project.output.listing([], COLUMNS, empty="no dead letters like this")
        return 0
    if count > 1:
        ordered.confirm(project, f"{order.kind}: {counted(count, 'dead letter')} of {', '.join(services)}")
    operation = uuid4()
    asked = order.filters.asked | order.asked | ({"ids": " ".join(order.ids)} if order.ids else {})
    desk.operations.begin(operation, order.kind, services, ordered.by, asked)
    settled, refused = _done(desk, order, ordered, operation, services)
    desk.operations.end(operation, {order.outcome: settled, "refused": sum(refused.values())})
    row = {"operation": str(operation), order.outcome: settled, "refused": refused}
    lines = [f"{order.outcome} {counted(settled, 'dead letter')} (operation {operation})"]
    if settled and order.put_back and not (project.output.as_json or project.output.quiet):
        note("its service takes up what was put back when it runs; what fails again is a dead letter again")
    project.output.thing(row, [*lines, *(f"refused {number:,}: {why}" for why, number in refused.items())])
    return FOUND if refused and not settled else 0


def _looked_at(desk: Desk, order: Order, ordered: Ordered) -> tuple[list[str], int, int]:
    """The services whose letters are meant, how many are, and how many of those are refused; listed for a dry run."""
    wanted = Wanted(desk.contents, order.filters, order.ids, order.states)
    services: dict[str, None] = {}
    counts = [0, 0]

    def rows(letters: Any) -> Any:
        for letter in islice(filter(wanted.takes, letters), order.filters.limit):
            counts[0] += 1
            services[service_of(letter)] = None
            if ordered.dry_run:
                try:
                    order.written(letter, UUID(int=0))
                    outcome = f"would be {order.outcome}"
                except Refused as error:
                    counts[1] += 1
                    outcome = f"refused: {error}"
                yield row_of(letter, desk.contents) | {"outcome": outcome}

    with desk.reading(desk.services(order.services)) as letters:
        shown = rows(letters)
        if ordered.dry_run:
            desk.project.output.listing(shown, COLUMNS, empty="no dead letters like this")
        else:
            for _ in shown:
                pass
    wanted.require_sense(LISTING)
    return list(services), counts[0], counts[1]


def _done(
    desk: Desk, order: Order, ordered: Ordered, operation: UUID, services: Sequence[str]
) -> tuple[int, dict[str, int]]:
    wanted = Wanted(desk.contents, order.filters, order.ids, order.states)
    left = order.filters.limit

    def takes(letter: Letter) -> bool:
        """Within the limit, in the order in which a dry run counted them."""
        nonlocal left
        if not wanted.takes(letter) or left == 0:
            return False
        left = left if left is None else left - 1
        return True

    redrive = Redrive(desk.project.log, desk.operations, desk.letters, desk.scratch)
    most = at_once(order.rate, BATCH_RECORDS)
    settled, refused = 0, dict[str, int]()
    for service in services:
        wish = Wish(
            operation,
            order.outcome,
            ordered.by,
            takes,
            lambda one: order.written(one, operation),
            most,
            pace(order.rate),
        )
        with desk.project.progress.of(f"{order.kind} {service}", "dead letters") as told:
            done = redrive.settle(service, wish, told)
        settled += done.settled
        for why, number in done.refused.items():
            refused[why] = refused.get(why, 0) + number
    return settled, refused


def counted(number: int, what: str) -> str:
    """`1 record`, `2,000 records`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def at_once(rate: float | None, most: int) -> int:
    """How many records go into one transaction: of a limited rate, those of a second."""
    return most if rate is None else max(1, min(most, round(rate)))


def pace(rate: float | None, wait: Callable[[float], None] = time.sleep) -> Callable[[int], None]:
    """Waits until so many records may go, at most `rate` a second."""
    if rate is None:
        return lambda records: None
    bucket, clock = TokenBucket(rate), SystemClock()

    def paced(records: int) -> None:
        pause = max((bucket.take(clock.now()) for _ in range(records)), default=0)
        if pause:
            wait(pause / 1_000_000)

    return paced
