"""Which instances a command means: the filters that `sagas list` and the orders of operators share."""

import functools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import islice
from typing import Any, get_args

import click

from choreo.cli.options import gathered
from choreo.cli.project import Project
from choreo.cli.saga_rows import instances, lifecycle_topics, saga_of
from choreo.cli.saga_specs import KnownSpecs
from choreo.cli.saga_steps import data_of
from choreo.cli.saga_view import SagaView, row_of
from choreo.clock import SystemClock, to_datetime, to_micros
from choreo.config.sections import did_you_mean
from choreo.errors import ConfigError
from choreo.saga.conditions import BadExpression, Expression, Language, names_in
from choreo.saga.durations import parse_duration
from choreo.saga.index import text_of
from choreo.saga.instance import Glance, Instance, Status, StepState
from choreo.saga.items import whole_in
from choreo.saga.kinds import ValueType
from choreo.saga.rules import Spec

COLUMNS = ("saga", "key", "status", "waits_for", "explanation", "reason", "version", "digest", "steps")
TIMES = ("started_at", "ended_at")
AT_STEP = ("waiting", "requested", "failed", "unknown", "compensating", "compensation_failed")
"""States of a step at which a saga can be said to be."""
OPEN = ("waiting", "compensating", "stuck")


@dataclass(frozen=True)
class Filters:
    """What was asked for; empty means everything. Ages count from the start of a saga."""

    status: tuple[str, ...] = ()
    at_step: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    field: tuple[str, ...] = ()
    where: str | None = None
    older_than: str | None = None
    younger_than: str | None = None
    limit: int | None = None

    @property
    def given(self) -> bool:
        """Whether anything but the limit was asked for."""
        return any(getattr(self, one.name) for one in fields(self) if one.name != "limit")

    def wanted_fields(self) -> dict[str, str]:
        """Remembered fields and their values. Raises ConfigError."""
        found = {}
        for text in self.field:
            name, mark, value = text.partition("=")
            if not mark:
                raise ConfigError(f"--field {text} is not NAME=VALUE", hint=f"--field {name}=...")
            found[name] = value
        return found


STATUSES = get_args(Status)
WHERE = click.option("--where", metavar="CEL", help="Only those for which this is true: saga.total > 100")
OPTIONS = (
    click.option("--status", type=click.Choice(STATUSES), multiple=True, help="Only these."),
    click.option("--step", "at_step", multiple=True, metavar="STEP[=STATE]", help="Only those that are at this step."),
    click.option("--key", multiple=True, metavar="KEY", help="Only those whose key begins so."),
    click.option("--field", multiple=True, metavar="NAME=VALUE", help="Only those that remember this, by the index."),
    WHERE,
    click.option("--older-than", metavar="DURATION", help="Only those that started longer ago: 2h, 3d."),
    click.option("--younger-than", metavar="DURATION", help="Only those that started since then."),
    click.option("--limit", type=click.IntRange(min=1), help="At most so many."),
)


filtered = gathered("filters", Filters, OPTIONS)
"""Gives a command the options of `Filters`, and hands them over as `filters`."""


def select(project: Project, sagas: Sequence[str], filters: Filters) -> list[dict[str, Any]]:
    """How those instances stand, by saga and key, with `age_s`: seconds since their start.

    Raises ConfigError for filters that make no sense. With filters the coordinators' stores are asked, by their index
    where it helps, and no further than the limit; without, or where the spec of an instance can't be read here, the
    lifecycle topics tell.
    """
    names = sorted(saga_of(topic) for topic in lifecycle_topics(project, sagas))
    now = SystemClock().now()
    wanted = _Wanted(filters, now)
    found = _from_stores(project, names, filters, wanted) if filters.given or filters.limit else None
    if found is None:
        if filters.field or filters.where:
            raise ConfigError(
                "--field and --where need the specs of the sagas",
                why="the project here has none that these instances follow",
                hint="run it in the directory of the project",
            )
        rows = [{name: row[name] for name in (*COLUMNS, *TIMES)} for row in instances(project, sagas)]
        _check_steps({step for row in rows for step in row["steps"]}, filters)
        found = list(islice(filter(wanted.takes, rows), filters.limit))
    return [row | {"age_s": (now - to_micros(row["started_at"])) // 1_000_000} for row in found]


def counted(project: Project, sagas: Sequence[str], filters: Filters) -> Counter[tuple[str, str]]:
    """How many there are by saga and status. Raises ConfigError for filters that make no sense.

    What a first sight of the coordinators' stores tells is not read further.
    """
    if filters.field or filters.where or filters.at_step or filters.limit:
        return Counter((row["saga"], row["status"]) for row in select(project, sagas, filters))
    wanted = _Wanted(filters, SystemClock().now())
    found: Counter[tuple[str, str]] = Counter()
    for topic in lifecycle_topics(project, sagas):
        saga = saga_of(topic)
        with SagaView(project, saga) as seen:
            if filters.older_than or filters.younger_than:
                of_age = (one for one in seen.instances(wanted.at_first) if wanted.of_age(to_datetime(one.started_at)))
                found.update((saga, one.status) for one in of_age)
            else:
                found.update((saga, one.status) for one in seen.glances() if wanted.at_first(one))
    return found


def _from_stores(
    project: Project, sagas: Sequence[str], filters: Filters, wanted: "_Wanted"
) -> list[dict[str, Any]] | None:
    """Rows of the instances that are wanted; None where a spec is not known. Once the limit is reached, what was asked
    for has been found: so it makes sense.
    """
    found: list[dict[str, Any]] = []
    known = KnownSpecs(project)
    fields = filters.wanted_fields()
    strange = set(fields)
    condition = SagaCondition(filters.where, known.variables)
    for saga in sagas:
        with SagaView(project, saga) as seen:
            strange -= {name for name in strange if seen.remembers(name)}
            for instance in seen.found(fields) if fields else seen.instances(wanted.at_first):
                spec = known.of(instance.digest)
                if spec is None:
                    return None
                row = row_of(instance, spec)
                if wanted.takes(row) and _remembers(instance, fields) and condition.holds(instance, spec):
                    found.append(row)
                    if len(found) == filters.limit:
                        return found
    specs = [spec for digest in wanted.digests if (spec := known.of(digest)) is not None]
    _check_steps({step.name for spec in specs for step in spec.steps}, filters)
    condition.require_sense(specs)
    for name in sorted(strange):
        why = "found is what remember: names and later steps need, where it is a text, a number or true and false"
        raise ConfigError(f"no saga here remembers {name}", why=why, hint="choreo sagas show ID tells what one knows")
    return found


class _Wanted:
    """The filters that go by what every instance has, worked out once."""

    def __init__(self, filters: Filters, now: int) -> None:
        self._filters = filters
        self._after = to_datetime(now - micros_of(filters.younger_than)) if filters.younger_than else None
        self._before = to_datetime(now - micros_of(filters.older_than)) if filters.older_than else None
        self.digests: set[str] = set()
        """Which specs those that were looked at follow."""

    def at_first(self, seen: Glance) -> bool:
        """Whether it may be one of them, by status and key."""
        self.digests.add(seen.digest)
        return (not self._filters.status or seen.status in self._filters.status) and (
            not self._filters.key or seen.key.startswith(self._filters.key)
        )

    def of_age(self, started_at: datetime) -> bool:
        """Whether it started when it should have."""
        return (self._before is None or started_at < self._before) and (
            self._after is None or started_at >= self._after
        )

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Whether it is one of them: at first sight, by its age, and at one of the steps."""
        steps = self._filters.at_step
        return (
            self.at_first(Glance(row["key"], row["digest"], row["status"]))
            and self.of_age(row["started_at"])
            and (not steps or any(_at_step(row, step) for step in steps))
        )


def _check_steps(steps: Collection[str], filters: Filters) -> None:
    """Raises ConfigError for a step that none of these sagas has, and for a state that there is not."""
    for text in filters.at_step:
        step, mark, state = text.partition("=")
        if steps and step not in steps and whole_in(step) not in steps:
            wholes = sorted(set(map(whole_in, steps)))
            hint = did_you_mean(step, wholes) or f"the steps are {', '.join(wholes)}"
            raise ConfigError(f"--step {text}: no saga here has a step {step}", hint=hint)
        if mark and state not in [one.value for one in StepState]:
            hint = f"one of {', '.join(one.value for one in StepState)}"
            raise ConfigError(f"--step {text}: no step is ever {state or 'nothing'}", hint=hint)


def _remembers(instance: Instance, fields: dict[str, str]) -> bool:
    """The index holds the beginnings of long values only."""
    return all(_same(instance.remembered.get(name), value) for name, value in fields.items())


def _same(value: Any, wanted: str) -> bool:
    return value == wanted if isinstance(value, str) else text_of(value) == wanted


class SagaCondition:
    """What `--where` asks. Sagas of several specs are asked: a name that only one of them has is no mistake.

    `variables` answers what can be named of the instances of a spec, with types.
    """

    def __init__(self, where: str | None, variables: Callable[[Spec], Mapping[str, ValueType]]) -> None:
        self._where, self._variables = where, variables
        self._lacked: dict[str, BadExpression] = {}
        """What some instance does not have, with what was said of it."""
        self._had: set[str] = set()

    def holds(self, instance: Instance, spec: Spec) -> bool:
        """Whether it is true for this one; where a name means nothing to its saga it is not. Raises ConfigError."""
        if self._where is None:
            return True
        expression = self._expression(spec)
        if expression is None:
            return False
        values = data_of(instance) | {f"steps.{name}.status": one.state.value for name, one in instance.steps.items()}
        return expression.evaluate(values).value is True

    def _expression(self, spec: Spec) -> Expression | None:
        assert self._where is not None
        types = self._variables(spec)
        self._had |= types.keys()
        try:
            return _compiled(self._where, tuple((name, types[name]) for name in names_in(self._where) if name in types))
        except BadExpression as error:
            if not error.name:
                raise self._senseless(error) from None
            self._lacked.setdefault(error.name, error)
            return None

    def require_sense(self, specs: Iterable[Spec]) -> None:
        """Raises ConfigError for a name that no saga of those asked has; `specs` are what they follow."""
        for spec in specs if self._where is not None else ():
            self._expression(spec)
        for name, error in self._lacked.items():
            if name not in self._had:
                raise self._senseless(error)

    def _senseless(self, error: BadExpression) -> ConfigError:
        near = did_you_mean(error.name, self._had) if error.name else ""
        hint = near or "saga.FIELD of the start event, steps.NAME.status, steps.NAME.FIELD"
        return ConfigError(f"--where {self._where}: {error}", hint=hint)


@functools.lru_cache(maxsize=64)
def _compiled(where: str, types: tuple[tuple[str, ValueType], ...]) -> Expression:
    return Language(dict(types)).compile(where)


def _at_step(row: Mapping[str, Any], wanted: str) -> bool:
    step, mark, state = wanted.partition("=")
    stands = row["steps"].get(step)
    return bool(stands == state if mark else stands in AT_STEP and row["status"] in OPEN)


def micros_of(text: str) -> int:
    """A duration as it is given by an option: `30s`. Raises ConfigError."""
    try:
        micros = parse_duration(text)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if micros is None:
        raise ConfigError(f"{text} is no length of time", hint="2h, 3d")
    return micros
