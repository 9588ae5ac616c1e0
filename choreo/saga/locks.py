"""The lock service of a scope: a Service like any other, whose one handler keeps a line for each lock."""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from choreo.clock import to_datetime, to_micros
from choreo.errors import HandlingError
from choreo.events.event import Event
from choreo.saga.lock_events import Answering, LockAnswer, LockReleased, LockRequested, answering, asking
from choreo.saga.lock_line import Claim, Line, Release, Ruling, Told, ask, expire, release
from choreo.saga.rules import Spec
from choreo.service.context import Context
from choreo.service.handler import Handler
from choreo.service.service import Service
from choreo.service.store import Store
from choreo.service.timer import Timer


class LockKeeper(Handler[Event]):
    """Grants the locks of one scope, each in the order of its requests. Concrete classes are made by `lock_service`."""

    scope: ClassVar[str]
    answers: ClassVar[Mapping[str, Answering]]
    """What each saga of the scope hears."""
    lines = Store[str, Line]()
    expiry = Timer[str]()

    def handle(self, event: Event, ctx: Context) -> None:
        """A saga wants a lock, or wants it no more."""
        assert isinstance(event, LockRequested | LockReleased)
        line, now = self.lines.get(event.lock) or Line(), to_micros(ctx.now)
        if isinstance(event, LockReleased):
            gone = Release(event.saga, event.saga_key, event.claim)
            self._write(event.lock, line, release(line, gone, now), ctx)
            return
        if event.saga not in self.answers:
            raise HandlingError(
                f"saga {event.saga} {event.saga_key} wants lock {self.scope} {event.lock}, and can't be answered here",
                why=f"the sagas of this scope are {', '.join(self.answers)}",
                hint="run the specs of one scope together: choreo run of the project that has them all",
            )
        claim = Claim(
            saga=event.saga,
            key=event.saga_key,
            name=str(ctx.event_id),
            expires_us=event.expires_us,
            story=ctx.correlation_id,
        )
        self._write(event.lock, line, ask(line, claim, now), ctx)

    @expiry.due
    def time_is_over(self, lock: str, ctx: Context) -> None:
        """A lock was held for as long as it may be."""
        line = self.lines.get(lock)
        if line is not None:
            self._write(lock, line, expire(line, to_micros(ctx.now)), ctx)

    def _write(self, lock: str, before: Line, ruling: Ruling, ctx: Context) -> None:
        after = ruling.line
        if after is None:
            self.lines.pop(lock, None)
        elif after is not before:
            self.lines[lock] = after
        expires = after.expires if after is not None else None
        if expires is None and before.expires is not None:
            self.expiry.cancel(lock)
        elif expires is not None and expires != before.expires:
            self.expiry.set(lock, at=to_datetime(expires))
        for told in ruling.told:
            ctx.emit(self._answer(lock, told, after), correlation_id=told.claim.story)

    def _answer(self, lock: str, told: Told, line: Line | None) -> LockAnswer:
        classes = self.answers[told.claim.saga]
        whose = {"key": told.claim.key, "claim": told.claim.name, "scope": self.scope, "lock": lock}
        if told.what == "granted":
            assert line is not None
            until = None if line.expires is None else to_datetime(line.expires)
            since = to_datetime(line.since)
            return classes.granted(**whose, since=since, expires=until)
        made = classes.expired if told.what == "expired" else classes.refused
        return made(**whose)


def lock_service(scope: str, sagas: Sequence[str]) -> Service:
    """The service `locks.SCOPE`, which these sagas ask."""
    answers = {saga: answering(saga) for saga in dict.fromkeys(sagas)}
    declared = {
        "__module__": __name__,
        "__doc__": f"Grants the locks of scope {scope}.",
        "scope": scope,
        "answers": answers,
        "handles": tuple(asking(scope)),
        "emits": tuple(event for classes in answers.values() for event in classes),
    }
    return Service(f"locks.{scope}", handlers=[type("LockKeeper", (LockKeeper,), declared)])


def lock_services(specs: Iterable[Spec]) -> list[Service]:
    """The lock services that these specs need, one for each scope."""
    sagas: dict[str, list[str]] = {}
    for spec in specs:
        if spec.lock_scope is not None:
            sagas.setdefault(spec.lock_scope, []).append(spec.name)
    return [lock_service(scope, names) for scope, names in sorted(sagas.items())]
