"""The recorded calls of one story: asked again of nobody, but told with what they were asked and what came back."""

from typing import Any, NamedTuple

from choreo.errors import DecodeError
from choreo.record import Record
from choreo.replay.foresight import Foresight
from choreo.replay.latitude import Cause
from choreo.replay.leeway import Leeway, Seen, away
from choreo.replay.sandbox import Sandbox
from choreo.runtime.calls import Recorded, error_from, form_of
from choreo.runtime.plan import plan_of
from choreo.service.calls import Asked
from choreo.service.needs import Needs


class Heard(NamedTuple):
    """One call: the need that was asked (None where it was none), its method, and what it answered or raised."""

    need: str | None
    function: Any
    keyed: bool
    answer: object
    error: Exception | None


def heard_in(sandbox: Sandbox, correlation_id: str) -> list[Heard]:
    """Every recorded call that a service made in this story, in the order in which they ended."""
    found: list[Heard] = []
    codec, plan = sandbox.codec(), plan_of(sandbox.service)
    for partition in range(sandbox.partitions):
        with sandbox.redoing(partition) as (rebuild, _):
            backends = sandbox.scratch()
            try:
                foresight = Foresight(sandbox.log, sandbox.service.scope, partition, backends.open("foresight"))
                leeway = Leeway(codec, foresight, Seen(), away, lambda record: record.topic in plan.routes)
                needs = rebuild.needs

                def listen(asked: Asked, recorded: Recorded, cause: Cause | None, needs: Needs = needs) -> None:
                    if isinstance(cause, Record) and _story(cause) == correlation_id:
                        found.append(_heard(asked, recorded, needs))

                def _story(record: Record) -> str:
                    try:
                        return codec.ids(record).correlation_id
                    except DecodeError:
                        return ""

                leeway.listener, rebuild.latitude = listen, leeway
                leeway.at_work(rebuild.task)
                for _ in rebuild.run():
                    pass
            finally:
                backends.close()
    return found


def _heard(asked: Asked, recorded: Recorded, needs: Needs) -> Heard:
    function = getattr(asked.fn, "__func__", asked.fn)
    owner = getattr(asked.fn, "__self__", None)
    need = next((name for name in needs.opened if needs.opened[name] is owner), None)
    if recorded.failed:
        return Heard(need, function, asked.keyed, None, error_from(recorded.result))
    return Heard(need, function, asked.keyed, form_of(function, asked.name)[0].load(recorded.result), None)
