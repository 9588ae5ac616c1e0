"""`choreo sagas retry | skip | resolve | cancel | answer`: orders to what is stuck, shown, then put on the log."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import click

from choreo.cli.desk import Ordered, ordered
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.saga_filters import Filters, filtered, select
from choreo.cli.saga_rows import one_instance, short_names
from choreo.cli.saga_specs import KnownSpecs
from choreo.cli.saga_view import SagaView
from choreo.cli.tasks import ask_missing, at_terminal, value_in
from choreo.clock import SystemClock
from choreo.errors import ConfigError
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.saga.commands import command_event, command_of
from choreo.saga.decision import Answer, Cancel, Command, Decision, Order, Resolve, Retry, Skip
from choreo.saga.instance import Instance
from choreo.saga.remedies import verdict
from choreo.saga.rules import Spec
from choreo.service.client import fresh_ids

FOUND = 1
COLUMNS = ["saga", "key", "outcome", "changes", "emits"]


@dataclass(frozen=True)
class Aim:
    """To which sagas an order goes: of one saga (None: of any), and which of them."""

    saga: str | None
    filters: Filters


@dataclass(frozen=True)
class Planned:
    """What an order would do to one saga; `decision` is None where its spec can't be read here."""

    saga: str
    key: str
    order: Order
    decision: Decision | None
    refused: str | None

    def row(self, outcome: str) -> dict[str, Any]:
        """As listings show it."""
        made = self.decision
        return {
            "saga": self.saga,
            "key": self.key,
            "outcome": f"refused: {self.refused}" if self.refused else outcome,
            "refused": self.refused,
            "changes": [] if made is None or self.refused else list(made.changes[1:]),
            "emits": [] if made is None or self.refused else short_names(emit.event for emit in made.emits),
        }


def orders(function: Callable[..., int]) -> Callable[..., int | None]:
    """Gives a command the options of an order, and hands them over as `aim` and `desk`."""

    @functools.wraps(function)
    def packed(*arguments: Any, saga: str | None, filters: Filters, **options: Any) -> int:
        return function(*arguments, aim=Aim(saga, filters), **options)

    return filtered(click.option("--saga", help="Which saga, where several have this key.")(ordered(packed)))


@command("retry")
@click.argument("step")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@orders
def retry_step(project: Project, step: str, ids: Sequence[str], aim: Aim, desk: Ordered) -> int:
    """Ask for STEP, or for its undo, once more."""
    return _give(project, ids, aim, desk, lambda spec: Retry(step))


@command("skip")
@click.argument("step")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@orders
def skip_step(project: Project, step: str, ids: Sequence[str], aim: Aim, desk: Ordered) -> int:
    """Go on as if STEP were not there; while a saga is undone, leave STEP as it is."""
    return _give(project, ids, aim, desk, lambda spec: Skip(step))


@command("resolve")
@click.argument("step")
@click.argument("outcome", type=click.Choice(["done", "failed", "compensated"]))
@click.argument("ids", nargs=-1, metavar="[ID...]")
@orders
def resolve_step(
    project: Project,
    step: str,
    outcome: Literal["done", "failed", "compensated"],
    ids: Sequence[str],
    aim: Aim,
    desk: Ordered,
) -> int:
    """Say what became of STEP outside: it is done, it certainly failed, or it is compensated."""
    return _give(project, ids, aim, desk, lambda spec: Resolve(step, outcome))


@command("cancel")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@orders
def cancel_saga(project: Project, ids: Sequence[str], aim: Aim, desk: Ordered) -> int:
    """Undo sagas, also where their spec knows no cancellation; refused past the pivot."""
    return _give(project, ids, aim, desk, lambda spec: Cancel())


@command("answer")
@click.argument("step")
@click.argument("event")
@click.argument("given", nargs=-1, metavar="[ID...] [FIELD=VALUE...]")
@click.option("--role", default="", metavar="ROLE", help="In which role you decide, where the step is one for people.")
@orders
def answer_step(
    project: Project, step: str, event: str, given: Sequence[str], aim: Aim, desk: Ordered, **said: str
) -> int:
    """Emit the EVENT that STEP waits for, in place of whoever should. The key of the saga fills itself in.

    At a terminal the fields that are missing are asked for; choreo sagas form shows them.
    """
    ids = [text for text in given if "=" not in text]
    if not ids and not aim.filters.given:
        why = f"{step} was taken for the step and {event} for the event"
        raise ConfigError("which sagas?", why=why, hint="choreo sagas answer STEP EVENT ID FIELD=VALUE, or filters")
    for text in given:
        if text.startswith("="):
            raise ConfigError(f"{text} names no field", hint="FIELD=VALUE")
    fields = {name: value_in(text) for name, _, text in (text.partition("=") for text in given if "=" in text)}
    if at_terminal() and not project.output.as_json and (desk.why or desk.dry_run):
        for one in _meant(project, ids, aim)[:1]:
            fields |= ask_missing(project, one, step, event, fields)
    return _give(project, ids, aim, desk, lambda spec: Answer(step, _full_name(event, spec), fields, said["role"]))


OrderFor = Callable[[Spec | None], Order]


def _give(project: Project, ids: Sequence[str], aim: Aim, desk: Ordered, order_for: OrderFor) -> int:
    """Work out what the order does to each saga, show it or ask, and put the commands on the log.

    Answers 1 where every one is refused.
    """
    desk.expect_reason()
    planned = list(_planned(project, _meant(project, ids, aim), desk, order_for))
    sound = [one for one in planned if one.refused is None]
    if desk.dry_run:
        project.output.listing([one.row("would be given") for one in planned], COLUMNS, empty="no sagas like this")
        return FOUND if planned and not sound else 0
    confirm(project, [(one.saga, one.key) for one in sound], desk)
    send_orders(project, [(one.saga, one.key, one.order) for one in sound], *desk.by)
    project.output.listing([one.row("given") for one in planned], COLUMNS, empty="no sagas like this")
    if sound and not project.output.quiet:
        note("a coordinator takes up what was given when it runs; choreo sagas show ID tells what came of it")
    return FOUND if planned and not sound else 0


def _meant(project: Project, ids: Sequence[str], aim: Aim) -> list[tuple[str, str]]:
    """Saga and key of those that the order is for."""
    sagas = [aim.saga] if aim.saga else []
    if ids and aim.filters.given:
        raise ConfigError("both IDs and filters were given", hint="name the sagas, or describe them by filters")
    if ids:
        rows = [one_instance(project, one, aim.saga)[0] for one in ids]
    elif aim.filters.given:
        rows = select(project, sagas, aim.filters)
    else:
        raise ConfigError("which sagas?", hint="an ID, or filters: --status stuck, --step ship, --field NAME=VALUE")
    return list(dict.fromkeys((row["saga"], row["key"]) for row in rows))


def _planned(
    project: Project, meant: Sequence[tuple[str, str]], desk: Ordered, order_for: OrderFor
) -> Iterator[Planned]:
    """The same decision that the coordinator will make, upon what its store holds now."""
    known = KnownSpecs(project)
    for saga in dict.fromkeys(saga for saga, _ in meant):
        with SagaView(project, saga) as seen:
            for key in (key for its, key in meant if its == saga):
                instance = seen.instance(key)
                spec = known.of(instance.digest) if instance else None
                order = order_for(spec)
                known.hide_key(instance.digest if instance else "", key)
                if instance is None or spec is None:
                    if desk.dry_run:
                        raise _unreadable(saga, key, instance)
                    yield Planned(saga, key, order, None, None)
                else:
                    yield _plan(spec, instance, order, known.catalogue(spec), desk)


def _plan(spec: Spec, instance: Instance, order: Order, catalogue: Mapping[str, type[Event]], desk: Ordered) -> Planned:
    now = SystemClock().now()
    given = Command(order, fresh_ids(now).event_id, now, now, *desk.by)
    return Planned(instance.saga, instance.key, order, *verdict(spec, instance, given, catalogue))


def _unreadable(saga: str, key: str, instance: Instance | None) -> ConfigError:
    if instance is None:
        return ConfigError(f"saga {saga} {key} is not in the store of its coordinator", hint="it may be long forgotten")
    return ConfigError(
        f"the spec of saga {saga} {key} (version {instance.version}) can't be read here",
        why="what an order would change is worked out by the spec",
        hint="run it in the directory of the project, with sagas = ... in choreo.toml",
    )


def confirm(project: Project, sound: Sequence[tuple[str, str]], desk: Ordered) -> None:
    """Let the person at the console decide on an order to several. Raises ConfigError where there is none."""
    if len(sound) > 1:
        shown = ", ".join(f"{saga} {key}" for saga, key in sound[:5]) + (", ..." if len(sound) > 5 else "")
        desk.confirm(project, project.output.without_hidden(f"an order to {len(sound)} sagas ({shown})"))


def send_orders(project: Project, orders: Sequence[tuple[str, str, Order]], who: str, why: str) -> list[bytes]:
    """Put orders (saga, key, what) on the log; answers the ids of their events.

    Raises ConfigError where a coordinator has no topic for them yet.
    """
    topics = project.log.topics()
    for saga in dict.fromkeys(saga for saga, _, _ in orders):
        topic = command_event(saga).contract.topic
        if topic not in topics:
            raise ConfigError(
                f"there is no topic {topic}",
                at=project.log.url,
                why=f"the coordinator of saga {saga} has not run with this release",
                hint="choreo topics apply, then run it",
            )
    codec = Codec(project.registry, (), project.log.cluster_id())
    now = SystemClock().now()
    made = [(command_of(saga, key, order, who, why), fresh_ids(now)) for saga, key, order in orders]
    project.log.append([codec.encode(one, ids) for one, ids in made])
    return [ids.event_id for _, ids in made]


def _full_name(event: str, spec: Spec | None) -> str:
    """`shop.PaymentTaken` for `PaymentTaken`, where the spec knows such an event."""
    for full in spec.parts if spec else ():
        if event in (full, full.rpartition(".")[2]):
            return full
    return event
