"""The services that should emit an event for a saga: what they have left to do, fail at or gave up on."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from choreo.cli.assembly import Assembly
from choreo.cli.dead_letters import open_rows
from choreo.cli.lag import lag_of
from choreo.cli.project import Project
from choreo.cli.records import Bodies
from choreo.cli.saga_rows import moment_text
from choreo.cli.service_view import ServiceView
from choreo.clock import NEVER, to_datetime
from choreo.errors import DecodeError, UnknownSchemaError
from choreo.runtime.parking import FLYING, Waiting, head_of
from choreo.runtime.plan import Plan, plan_of


class Emitter(NamedTuple):
    """How a service stands: offsets not handled yet, None where it has never run; what fails for this key now
    (`event`, `attempts`, `error`, and `again_at`, None where it is not tried again or just being tried; `held` where
    it waits for a person); and its last dead letter of this key.
    """

    service: str
    lag: int | None
    failing: dict[str, Any] | None
    dead_letter: dict[str, Any] | None


class Emitters:
    """The services of a project (None: they can't be loaded here), looked at for a key, each once."""

    def __init__(self, project: Project, known: Assembly | None) -> None:
        self._project = project
        self._services = {service.name: service for service in (known.services if known else ())}
        self._standing: dict[tuple[str, str], Emitter] = {}

    def of(self, event: str) -> list[str]:
        """Which services declare that they emit an event, by its full name."""
        emitted = {name: service.emitted for name, service in self._services.items()}
        return [name for name, events in emitted.items() if any(one.contract.full_name == event for one in events)]

    def coordinator(self, saga: str, key: str, awaited: Collection[str]) -> Emitter | None:
        """How the coordinator stands with one of its sagas: what is awaited may be on the log already.

        A dead letter of it counts where the saga still waits for that event, or where the key is held back behind it.
        """
        name = f"saga.{saga}"
        if name not in self._services:
            return None
        found = self.stands(name, key)
        letter = found.dead_letter
        counts = letter is not None and (letter["event"] in awaited or found.failing is not None)
        return found if counts else found._replace(dead_letter=None)

    def stands(self, service: str, key: str) -> Emitter:
        """How one of them stands with what has this key, as the log and the copies of its stores tell."""
        if (service, key) not in self._standing:
            self._standing[service, key] = self._look(plan_of(self._services[service]), key.encode())
        return self._standing[service, key]

    def _look(self, plan: Plan, key: bytes) -> Emitter:
        topics, service, scope = self._project.log.topics(), plan.service.name, plan.service.scope
        lag = None
        if all(topic in topics for topic in plan.topics) and f"{scope}.journal" in topics:
            lag = sum(task["lag"] for task in lag_of(self._project.log, plan, topics))
        letters: list[dict[str, Any]] = []
        if f"{scope}.dead-letters" in topics:
            letters = list(open_rows(self._project, [service], key))
        own = (row for row in letters if "at" in row)
        return Emitter(service, lag, self._failing(service, key), max(own, key=lambda row: row["at"], default=None))

    def _failing(self, service: str, key: bytes) -> dict[str, Any] | None:
        with ServiceView(self._project, service) as seen:
            task = seen.task_of(key)
            head = head_of(task, key) if task else None
        if head is None or not head.error:
            return None
        return {
            "event": self._name(head),
            "attempts": head.attempts,
            "error": head.error,
            "again_at": to_datetime(head.until) if head.until < FLYING else None,
            "held": head.until == NEVER,
        }

    def _name(self, waiting: Waiting) -> str:
        if waiting.record is None:
            return "a timer"
        try:
            return Bodies(self._project.registry).name(waiting.record)
        except (DecodeError, UnknownSchemaError):
            return "an event"


def hindrances(emitter: Mapping[str, Any]) -> Iterator[str]:
    """What a service has left to do, fails at, or could not do, for whoever waits for it: a line each."""
    service, failing, letter = emitter["service"], emitter["failing"], emitter["dead_letter"]
    if emitter["lag"] is None:
        yield f"{service} has never run on this log"
    elif emitter["lag"]:
        yield f"{service} has {emitter['lag']:,} offsets still to handle"
    if letter is not None:
        told = f"{service} gave up on {letter['event']} of this key at {moment_text(letter['at'])}"
        yield f"{told}: {_first(letter['error'])} (choreo dead-letters show {letter['id']})"
    if failing is None:
        return
    event, error = failing["event"], _first(failing["error"])
    if failing["held"]:
        yield f"{service} holds the later events of this key back, since {event} could not be handled: {error}"
        return
    times = "once" if failing["attempts"] == 1 else f"{failing['attempts']} times"
    again = f"at {moment_text(failing['again_at'])}" if failing["again_at"] else "just now"
    yield f"{service} failed {times} at {event} of this key: {error}; it is tried again {again}"


def _first(error: str) -> str:
    """The first line of an error; `choreo dead-letters show` has the others."""
    return error.partition("\n")[0]
