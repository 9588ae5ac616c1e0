"""Points of the past as they are typed: a time, TOPIC[PARTITION]@OFFSET, or the id of an event."""

import re
from uuid import UUID

from choreo.cli.project import Project
from choreo.cli.time_span import moment_in
from choreo.clock import SystemClock
from choreo.errors import ConfigError
from choreo.record import Position
from choreo.replay.points import Moment, Point, expect_input, position_of
from choreo.replay.sandbox import Sandbox
from choreo.runtime.plan import plan_of

POSITION = re.compile(r"(?P<topic>[^\s\[\]]+)\[(?P<partition>\d+)\]@(?P<offset>\d+)")
HINT = "2026-11-21T08:00:00Z, 2h for two hours ago, shop.orders[3]@8812, or an event's id"


def point_of(project: Project, sandbox: Sandbox, text: str) -> Point:
    """The point that is meant. Raises ConfigError where it is none, or none of this service's inputs."""
    plan, position = plan_of(sandbox.service), position_in(text)
    if position is not None:
        expect_input(plan, position, sandbox.partitions)
        return position
    moment, event_id = moment_in(text, SystemClock().now()), event_id_in(text)
    if moment is not None:
        return Moment(moment)
    if event_id is None:
        raise ConfigError(f"{text} is no point of the past", hint=HINT)
    with project.progress.of("looking for the event", "records") as told:
        return position_of(plan, sandbox.codec(), sandbox.log, event_id, told)


def position_in(text: str) -> Position | None:
    """`shop.orders[3]@8812`, as positions print."""
    found = POSITION.fullmatch(text)
    return Position(found["topic"], int(found["partition"]), int(found["offset"])) if found else None


def event_id_in(text: str) -> bytes | None:
    """The bytes of an id as it prints."""
    try:
        return UUID(text).bytes if len(text) >= 32 else None
    except ValueError:
        return None


def partitions_of(sandbox: Sandbox, points: list[Point]) -> list[int]:
    """The tasks that these points speak of: those of their positions, else all. Raises ConfigError for two tasks."""
    named = sorted({point.partition for point in points if isinstance(point, Position)})
    if len(named) > 1:
        raise ConfigError(
            f"these points lie in tasks {named[0]} and {named[1]}",
            why="inputs of two tasks have no order",
            hint="give one of them, or both, as a time",
        )
    return named or list(range(sandbox.partitions))
