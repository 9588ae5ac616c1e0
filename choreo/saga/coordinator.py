"""The coordinator: a Service like any other, whose one handler asks `decide` and writes down the answer."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json

from choreo.clock import to_datetime, to_micros
from choreo.errors import HandlingError, SpecError
from choreo.events.envelope import Ids
from choreo.events.event import Event, Value, key_text
from choreo.events.faults import faults_of
from choreo.events.saga_mark import SagaMark
from choreo.saga.commands import SagaCommand, command_event, order_of
from choreo.saga.decide import begin, decide
from choreo.saga.decision import Answer, Command, Decision, Due, Emit, Migrate, Received
from choreo.saga.index import INDEX, rewrite
from choreo.saga.instance import Held, Instance
from choreo.saga.lifecycle import changed, lifecycle_event
from choreo.saga.lock_events import LockAnswer, LockGranted, LockReleased, asking, lock_events
from choreo.saga.rules import Spec
from choreo.service.context import Context, ids_of, specs_at_work
from choreo.service.handler import Handler
from choreo.service.service import Service
from choreo.service.store import Store
from choreo.service.timer import Timer

EARLY_TIMER = "~early"
MAX_EARLY = 100
"""Early events that are kept for one key; more than that are dead letters at once."""
PLAIN = (str, int, bool, type(None))


class EarlyEvent(Value):
    """An event that came before its saga or its turn. `body` is JSON; times are microseconds, `until` None for ever.

    `cancelled` is the mark of a request made after a cancellation.
    """

    event: str
    event_id: UUID
    at: int
    until: int | None
    correlation_id: str
    body: str
    cancelled: bool = False

    def ids(self) -> Ids:
        """Under which ids it becomes a dead letter."""
        return Ids(self.event_id.bytes, self.correlation_id, None, None, 1, self.at, self.cancelled, None, None)


class Reads(NamedTuple):
    """What of an event matters to a saga: the field that finds the instance, and those that decisions need."""

    key: str
    fields: tuple[str, ...]


class AtWork(NamedTuple):
    """The versions of a spec that were known at some time."""

    latest: Spec
    """What new instances followed."""
    events: frozenset[str]
    """Which events any version knew; others passed by."""


class Coordinator(Handler[Event]):
    """Follows the instances of one saga. Concrete classes are made by `coordinator`, one for each spec."""

    spec: ClassVar[Spec]
    """What new instances follow."""
    specs: ClassVar[Mapping[str, Spec]]
    """By digest: what instances that are under way may follow."""
    reads: ClassVar[Mapping[str, Reads]]
    catalogue: ClassVar[Mapping[str, type[Event]]]
    instances = Store[str, Instance]()
    early = Store[str, tuple[EarlyEvent, ...]](default=())
    by_field = INDEX
    due = Timer[tuple[str, str]]()

    def handle(self, event: Event, ctx: Context) -> Event | None:
        """Decide upon one event."""
        spec, known = self._at_work(specs_at_work(ctx))
        if event.contract.full_name not in known:
            return None
        given = self._received(event, ctx)
        instance = self.instances.get(given.key)
        if instance is None and given.event == spec.starts_on:
            early = self.early.pop(given.key, ())
            decision = begin(spec, given, [self._replayed(one, given) for one in early])
            if early:
                self.due.cancel((given.key, EARLY_TIMER))
                if decision.letters or _held(decision.instance):
                    self.early[given.key] = early  # `_act` sorts them
        else:
            decision = decide(self._spec_of(instance) or spec, instance, given)
        if decision.keep:
            self._keep(event, given, decision.keep_until, ctx)
            return None
        if decision.instance is instance and not decision.changes and decision.dead_letter is None:
            return None  # so most events of a long story end: what they say is known
        if any(one.event_id == ctx.event_id.hex for one in _held(decision.instance)):
            self.early[given.key] = (*self.early[given.key], self._kept(event, given, None))
        return self._act(instance, decision, given.key, ctx)

    @due.due
    def time_came(self, timer: tuple[str, str], ctx: Context) -> Event | None:
        """Decide upon a timer."""
        key, name = timer
        now = to_micros(ctx.now)
        if name == EARLY_TIMER:
            self._expire(key, now, ctx)
            return None
        instance = self.instances.get(key)
        spec = self._spec_of(instance) or self._at_work(specs_at_work(ctx)).latest
        return self._act(instance, decide(spec, instance, Due(name, now)), key, ctx)

    # -- what goes in --------------------------------------------------------------------------------------------------

    @classmethod
    @lru_cache(maxsize=256)
    def _at_work(cls, digests: tuple[str, ...]) -> AtWork:
        """What was deployed when an event was first handled: a replay meets events that were older than a version."""
        found = [cls.specs[digest] for digest in digests if digest in cls.specs] or [cls.spec, *cls.specs.values()]
        return AtWork(found[0], frozenset(event for spec in found for event in spec.parts))

    def _spec_of(self, instance: Instance | None) -> Spec | None:
        if instance is None:
            return None
        spec = self.specs.get(instance.digest)
        if spec is None:
            raise HandlingError(
                f"saga {instance.saga} {instance.key} follows version {instance.version} of its spec, which isn't here",
                why=f"an instance keeps the spec with which it started (digest {instance.digest[:12]})",
                hint="hand that version to the coordinator too: coordinator(spec, catalogue, older=[...])",
            )
        return spec

    def _received(self, event: Event, ctx: Context) -> Received:
        name, ids = event.contract.full_name, ids_of(ctx)
        key = key_text(getattr(event, self.reads[name].key)).decode()
        return Received(
            name,
            key,
            ids.event_id,
            to_micros(ctx.now),
            ids.at,
            self._fields(name, event),
            ids.correlation_id,
            ids.cancelled,
        )

    def _fields(self, name: str, event: Event) -> dict[str, Any]:
        """The fields that decisions need, as JSON has them."""
        wanted = self.reads[name].fields
        if not wanted:
            return {}
        found = {field: getattr(event, field) for field in wanted}
        if all(type(value) in PLAIN for value in found.values()):
            return found
        told: dict[str, Any] = from_json(event.model_dump_json(include=set(wanted)))
        return told

    # -- early events --------------------------------------------------------------------------------------------------

    def _keep(self, event: Event, given: Received, until: int | None, ctx: Context) -> None:
        kept = self.early[given.key]
        if any(one.event_id == ctx.event_id for one in kept):
            return
        if len(kept) >= MAX_EARLY:
            ctx.dead_letter(f"more than {MAX_EARLY} events came before saga {self.spec.name} {given.key} started")
            return
        new = self._kept(event, given, until)
        self.early[given.key] = (*kept, new)
        self._set_early_timer(given.key, (*kept, new))

    def _kept(self, event: Event, given: Received, until: int | None) -> EarlyEvent:
        return EarlyEvent(
            event=given.event,
            event_id=UUID(bytes=given.event_id),
            at=given.at,
            until=until,
            correlation_id=given.correlation_id,
            body=event.model_dump_json(),
            cancelled=given.cancelled,
        )

    def _sort(self, key: str, decision: Decision, ctx: Context) -> None:
        """Bury what a policy sends to the dead letters; of the kept events only those stay that the instance holds."""
        kept = {one.event_id.bytes: one for one in self.early[key]}
        for event_id, reason in decision.letters:
            one = kept.get(event_id)
            if one is None:
                ctx.dead_letter(reason)
            else:
                ctx.dead_letter(reason, self._event_of(one), one.ids())
        rest = tuple(kept[bytes.fromhex(one.event_id)] for one in _held(decision.instance))
        if rest:
            self.early[key] = rest
        else:
            self.early.pop(key, ())

    def _event_of(self, kept: EarlyEvent) -> Event:
        return self.catalogue[kept.event].model_validate_json(kept.body)

    def _replayed(self, early: EarlyEvent, start: Received) -> Received:
        fields = self._fields(early.event, self._event_of(early))
        event_id, marked = early.event_id.bytes, early.cancelled
        return start._replace(event=early.event, event_id=event_id, at=early.at, fields=fields, cancelled=marked)

    def _expire(self, key: str, now: int, ctx: Context) -> None:
        kept = self.early.pop(key, ())
        rest = tuple(one for one in kept if one.until is None or one.until > now)
        for one in kept:
            if one not in rest:
                reason = f"no saga {self.spec.name} {key} started in time for {one.event}"
                ctx.dead_letter(reason, self._event_of(one), one.ids())
        if rest:
            self.early[key] = rest
            self._set_early_timer(key, rest)

    def _set_early_timer(self, key: str, kept: Sequence[EarlyEvent]) -> None:
        limits = [one.until for one in kept if one.until is not None]
        if limits:
            self.due.set((key, EARLY_TIMER), at=to_datetime(min(limits)))

    # -- what comes out ------------------------------------------------------------------------------------------------

    def _act(self, before: Instance | None, decision: Decision, key: str, ctx: Context) -> Event | None:
        """Write a decision down: the instance, its timers, what it emits, and the lifecycle event."""
        after = decision.instance
        if after is None:
            self.instances.pop(key, None)
        elif after is not before:
            self.instances[key] = after
        rewrite(self.by_field, key, before, after)
        for name, due in decision.timers:
            if due is None:
                self.due.cancel((key, name))
            else:
                self.due.set((key, name), at=to_datetime(due))
        if decision.dead_letter is not None:
            ctx.dead_letter(decision.dead_letter)
        if decision.letters or _held(before) or _held(after):
            self._sort(key, decision, ctx)
        if after is None:
            for change in decision.changes:
                ctx.log.info("%s", change)
            return None
        for emit in decision.emits:
            self._request(emit, after, ctx)
        return changed(self._spec_of(after) or self.spec, decision, ctx.event_id, to_micros(ctx.now))

    def _request(self, emit: Emit, instance: Instance, ctx: Context) -> None:
        try:
            event = self.catalogue[emit.event].model_validate(emit.fields)
        except ValidationError as error:
            raise HandlingError(
                f"saga {self.spec.name}: {emit.event} can't be made for step {emit.step}",
                why=faults_of(self.catalogue[emit.event], error),
                hint="mend the `with:` of this emission in the spec",
            ) from error
        mark = SagaMark(name=instance.saga, version=instance.version, step=emit.step)
        ctx.request(
            event,
            request_id=emit.request_id,
            attempt=emit.attempt,
            cancelled=emit.cancelled,
            saga=mark,
            correlation_id=instance.correlation_id,
        )


class Operator(Coordinator):
    """Takes the commands of operators, which are keyed by the sagas' keys whatever the events are keyed by."""

    def handle(self, event: Event, ctx: Context) -> Event | None:
        """Decide upon one command."""
        assert isinstance(event, SagaCommand)
        order, now = order_of(event), to_micros(ctx.now)
        instance = self.instances.get(event.key)
        spec = self._spec_of(instance) or self._at_work(specs_at_work(ctx)).latest
        if isinstance(order, Migrate):
            spec = self._deployed(order.digest, specs_at_work(ctx)) or spec
        given = Command(order, ctx.event_id.bytes, now, to_micros(ctx.emitted_at), event.who, event.why)
        decision = decide(spec, instance, given)
        if isinstance(order, Answer):
            fault = fault_of(decision, self.catalogue)
            if fault is not None:  # told of the command, for no spec can mend it
                ctx.dead_letter(f"answer {order.step} {order.event} refused: {fault}")
                return None
        return self._act(instance, decision, event.key, ctx)

    def _deployed(self, digest: str, digests: tuple[str, ...]) -> Spec | None:
        """The spec of this digest, where it was deployed when the command was first handled."""
        return self.specs.get(digest) if digest in digests or not digests else None


def fault_of(decision: Decision, catalogue: Mapping[str, type[Event]]) -> str | None:
    """What keeps the emissions of a decision from being events, None where nothing does."""
    for emit in decision.emits:
        try:
            catalogue[emit.event].model_validate(emit.fields)
        except ValidationError as error:
            return faults_of(catalogue[emit.event], error)
    return None


class LockHolder(Coordinator):
    """Hears of locks, whose answers are keyed by the sagas' keys whatever the events are keyed by."""

    def handle(self, event: Event, ctx: Context) -> Event | None:
        """Decide upon one answer. A lock that is granted to nobody, or after the end, is given back."""
        assert isinstance(event, LockAnswer)
        instance = self.instances.get(event.key)
        if instance is None or instance.ended:
            held = isinstance(event, LockGranted)
            return self._given_back(event) if held else None
        spec = self._spec_of(instance) or self.spec
        return self._act(instance, decide(spec, instance, self._received(event, ctx)), event.key, ctx)

    def _given_back(self, event: LockAnswer) -> LockReleased:
        return asking(event.scope).released(lock=event.lock, saga=self.spec.name, saga_key=event.key, claim=event.claim)


def coordinator(spec: Spec, catalogue: Mapping[str, type[Event]], older: Sequence[Spec] = ()) -> Service:
    """The service `saga.NAME` that follows the instances of one saga.

    `catalogue` holds the event classes of the project by full name. `older` are earlier versions of the spec: an
    instance follows the one with which it started.
    """
    specs = {one.digest: one for one in (*older, spec)}
    locks = lock_events(specs.values())
    catalogue = {**catalogue, **locks}
    handled = dict.fromkeys(name for one in specs.values() for name in one.parts)
    emitted = dict.fromkeys(name for one in specs.values() for name in one.emits)
    handles = tuple(catalogue[name] for name in handled if name not in locks)
    reads = {name: _reads(specs.values(), name) for name in handled}
    declared_emits = (*(catalogue[name] for name in emitted), lifecycle_event(spec.name))
    declared = {
        "__module__": __name__,
        "__doc__": f"Follows every saga {spec.name}.",
        "spec": spec,
        "specs": specs,
        "reads": reads,
        "catalogue": dict(catalogue),
        "handles": handles,
        "emits": declared_emits,
        "keyed_by": _rekeyed_by(reads, handles),
    }
    command = command_event(spec.name)
    # Operators write commands in the coordinator's name: named here, their schema is registered with the others.
    commanded = declared | {"handles": (command,), "emits": (*declared_emits, command), "keyed_by": None}
    # The last handler that has a timer answers it: it must stay the Coordinator, whose name is in the ids of requests.
    handlers = [type("Operator", (Operator,), commanded), type("Coordinator", (Coordinator,), declared)]
    if locks:
        heard = tuple(locks[name] for name in handled if name in locks)
        handlers.insert(0, type("LockHolder", (LockHolder,), declared | {"handles": heard, "keyed_by": None}))
    return Service(f"saga.{spec.name}", handlers=handlers)


def _held(instance: Instance | None) -> tuple[Held, ...]:
    return () if instance is None else instance.held


def _reads(specs: Iterable[Spec], event: str) -> Reads:
    """What several versions of a spec read of an event; the latest says which field finds the saga."""
    key, fields = "", dict[str, None]()
    for spec in specs:
        key = spec.correlate_by.get(event, key)
        fields |= dict.fromkeys(spec.needs.get(event, ()))
    return Reads(key, tuple(fields))


def _rekeyed_by(reads: Mapping[str, Reads], handles: tuple[type[Event], ...]) -> str | None:
    """The field to re-key by; None where every event is keyed by its correlating field already."""
    odd = [event for event in handles if event.contract.key != (reads[event.contract.full_name].key,)]
    if not odd:
        return None
    named = {reads[event.contract.full_name].key for event in handles}
    if len(named) > 1:
        raise SpecError(
            f"{odd[0].contract.full_name} is keyed by {', '.join(odd[0].contract.key)}, "
            f"but its saga is found by {reads[odd[0].contract.full_name].key}",
            why="events are brought together by their keys, and these would need different re-keying",
            hint="key the event by the field that correlate_by names",
        )
    return named.pop()
