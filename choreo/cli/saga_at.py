"""`choreo sagas show --at` and `--step`: how an instance stood at a point of its past, and how it came there."""

from collections.abc import Iterator, Mapping
from typing import Any

from choreo.cli.output import as_value, note
from choreo.cli.points import point_of
from choreo.cli.project import Project
from choreo.cli.replay_state import NOW, Telling, acts_by_time, service_in, tell_other_code
from choreo.cli.saga_privacy import shown_instance
from choreo.cli.saga_rows import short_names
from choreo.cli.saga_specs import KnownSpecs, project_parts
from choreo.cli.saga_steps import data_of, diagram
from choreo.cli.saga_view import row_of
from choreo.cli.sandbox import sandbox_of
from choreo.errors import ConfigError
from choreo.log.partitioner import partition_of
from choreo.record import Position
from choreo.replay.past import Past
from choreo.replay.points import Point
from choreo.replay.rebuild import Act
from choreo.saga.coordinator import Coordinator
from choreo.saga.instance import Instance, StepState


class SagaPast:
    """One instance, read back from its coordinator's journal."""

    def __init__(self, project: Project, row: Mapping[str, Any]) -> None:
        self._project, self._saga, self._key = project, row["saga"], row["key"]
        parts = project_parts(project, row["digest"])
        if parts is None:
            raise ConfigError(
                f"the past of {self._saga} {self._key} is read by its coordinator",
                why="no project here has its spec",
                hint="run it in the directory of the project",
            )
        service = service_in(parts.services, f"saga.{self._saga}", project.past)
        self._sandbox = sandbox_of(project, service, project.past)
        keys, self._values = Coordinator.instances.codecs()
        self._entry = keys.encode(self._key)
        self._known = KnownSpecs(project)

    def show(self, text: str | None) -> None:
        """How it stood at this point (None: at the last checkpoint)."""
        point = point_of(self._project, self._sandbox, text) if text else NOW
        with self._project.progress.of(f"{self._saga} {self._key}", "checkpoints") as told:
            past = Past(self._sandbox.telling(told), self._task(point))
            with past.at(point) as backend:
                instance = self._loaded(backend.get(self._entry))
        tell_other_code(self._sandbox, [past])
        if instance is None:
            note(self._absent(point))
            return
        row = self._row(instance)
        spec = self._known.of(instance.digest)
        data = data_of(shown_instance(instance, spec, self._known.schemas(spec)))
        lines = [str(row["explanation"]), *diagram(row, spec)]
        lines += [f"  waits for {', '.join(short_names(row['waits_for']))}"] if row["waits_for"] else []
        lines += [f"  {name} = {as_value(value)}" for name, value in data.items()]
        self._project.output.thing(row | {"data": data}, lines)

    def step(self, text: str | None) -> None:
        """All that happened to it up to this point, turn by turn: upon what, and where it stood then."""
        point = point_of(self._project, self._sandbox, text) if text else NOW
        telling, found = Telling(self._sandbox), False
        for _, act in acts_by_time(self._project, self._sandbox, [self._task(point)], point):
            if self._entry in act.changes:
                self._project.output.thing(*self._turn(act, telling))
                found = True
        if not found:
            note(self._absent(point))

    def _turn(self, act: Act, telling: Telling) -> tuple[dict[str, Any], list[str]]:
        change = act.changes[self._entry]
        before, after = self._loaded(change.before), self._loaded(change.after)
        moved = list(_moved(before, after))
        row = telling.cause(act) | {"emitted": telling.emitted(act), "moved": moved}
        if after is None:
            return row, [telling.head(act), "    forgotten"]
        stood = self._row(after)
        lines = [telling.head(act), f"    {stood['explanation']}"]
        lines += [f"      {step}: {was} -> {now}" for step, was, now in moved]
        return row | stood, lines + telling.emission_lines(act)

    def _row(self, instance: Instance) -> dict[str, Any]:
        spec = self._known.of(instance.digest)
        if spec is None:
            raise ConfigError(f"the spec that {self._saga} {self._key} followed then is not known here")
        return row_of(instance, spec)

    def _absent(self, point: Point) -> str:
        """Why nothing of it stands there."""
        if isinstance(point, Position) and point.partition != self._home:
            return f"{point} is an input of task {point.partition}, {self._saga} {self._key} is of task {self._home}"
        return f"{self._saga} {self._key} had not started then"

    @property
    def _home(self) -> int:
        """The task to which its key belongs."""
        return partition_of(self._key.encode(), self._sandbox.partitions)

    def _task(self, point: Point) -> int:
        return point.partition if isinstance(point, Position) else self._home

    def _loaded(self, value: bytes | None) -> Instance | None:
        return None if value is None else self._values.load(value)


def _moved(before: Instance | None, after: Instance | None) -> Iterator[tuple[str, str, str]]:
    """The steps that stand elsewhere now: where they stood, and where they stand."""
    was = {name: one.state for name, one in before.steps.items()} if before else {}
    for name, one in (after.steps if after else {}).items():
        stood = was.get(name, StepState.IDLE)
        if stood is not one.state:
            yield name, stood.value, one.state.value
