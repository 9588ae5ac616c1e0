"""A bench for services: runs their handlers on plain dicts, one event after the other, without a log."""

import logging
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any, TypeVar

from choreo import Event, Service, Store
from choreo.clock import to_datetime, to_micros
from choreo.events.envelope import Ids
from choreo.events.event import key_of
from choreo.runtime.plan import Invocation, Plan, plan_of
from choreo.service.calls import Asked
from choreo.service.context import Context
from choreo.service.store import MISSING, BoundStore
from choreo.service.timer import BoundTimer
from choreo.state.values import ValueCodec

K = TypeVar("K")
V = TypeVar("V")


class Memory:
    """What stores and timers of one service write to. Keys are checked as in a real run."""

    def __init__(self) -> None:
        self.key = b""
        self.now = 0
        self.entries: dict[bytes, bytes] = {}
        self.timers: dict[bytes, tuple[int, bytes]] = {}

    def where(self) -> str:
        return f"bench, key {self.key!r}"

    def read(self, key: bytes, codec: ValueCodec) -> Any:
        return codec.load(self.entries[key]) if key in self.entries else MISSING

    def write(self, key: bytes, codec: ValueCodec, value: object) -> None:
        self.entries[key] = codec.dump(value)

    def delete(self, key: bytes) -> None:
        del self.entries[key]

    def scan(self, prefix: bytes, codec: ValueCodec) -> Iterator[tuple[bytes, Any]]:
        yield from ((key, codec.load(raw)) for key, raw in sorted(self.entries.items()) if key.startswith(prefix))

    def set_timer(self, timer: bytes, due: int) -> None:
        self.timers[timer] = (due, self.key)

    def cancel_timer(self, timer: bytes) -> None:
        self.timers.pop(timer, None)


class Bench:
    """One service at work. What it emits and handles itself, it handles at once."""

    def __init__(self, service: Service, **needs: object) -> None:
        self.plan: Plan = plan_of(service)
        self.memory = Memory()
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.handlers = {signature.name: self._bound(signature, needs) for signature in service.signatures}

    def _bound(self, signature: Any, needs: dict[str, object]) -> Any:
        handler = signature.handler(**{name: needs[name] for name in signature.needs})
        handler.__dict__.update({name: BoundStore(store, self.memory) for name, store in signature.stores.items()})
        handler.__dict__.update({name: BoundTimer(timer, self.memory) for name, timer in signature.timers.items()})
        return handler

    def tell(self, *events: Event, at: datetime | None = None) -> list[Event]:
        """Handle these events; answers what was emitted, in order."""
        self.memory.now = max(self.memory.now, to_micros(at) if at else 0)
        emitted: list[Event] = []
        waiting = deque(events)
        while waiting:
            event = waiting.popleft()
            self.memory.key = key_of(event) or b""
            for invocation in self.plan.by_event.get(type(event), ()):
                made = self._run(invocation, event)
                emitted += made
                waiting += [one for one in made if type(one) in self.plan.by_event]
        return emitted

    def wait_until(self, moment: datetime) -> list[Event]:
        """Move the clock and fire what is due until then, in order of time; answers what was emitted."""
        emitted: list[Event] = []
        while due := [(at, timer, key) for timer, (at, key) in self.memory.timers.items() if at <= to_micros(moment)]:
            at, timer, key = min(due)
            del self.memory.timers[timer]
            self.memory.now, self.memory.key = max(self.memory.now, at), key
            name, decoded = self._timer(timer)
            made = self._run(self.plan.by_timer[name], decoded)
            emitted += [*made, *self.tell(*(one for one in made if type(one) in self.plan.by_event))]
        self.memory.now = max(self.memory.now, to_micros(moment))
        return emitted

    def stored(self, store: Store[K, V]) -> dict[K, V]:
        """All entries of a store."""
        keys, values = store.codecs()
        start = keys.prefix(())
        return {keys.decode(key): values.load(raw) for key, raw in self.memory.entries.items() if key.startswith(start)}

    @property
    def due(self) -> list[datetime]:
        """When timers are set for."""
        return sorted(to_datetime(at) for at, _ in self.memory.timers.values())

    def call(self, asked: Asked) -> Any:
        """Record and make a handler's outside call."""
        self.calls.append((asked.name, asked.args, asked.kwargs))
        key = ("key",) if asked.keyed else ()
        return asked.fn(*key, *asked.args, **asked.kwargs)

    def _timer(self, raw: bytes) -> tuple[str, Any]:
        for signature in self.plan.service.signatures:
            for timer in signature.timers.values():
                codec = timer.codec()
                if raw.startswith(codec.prefix(())):
                    return timer.name, codec.decode(raw)
        raise AssertionError(f"no timer has the key {raw!r}")

    def _run(self, invocation: Invocation, subject: object) -> list[Event]:
        ids = Ids(b"\0" * 16, "story", None, None, 1, self.memory.now, False, None, None)
        given = SimpleNamespace(ids=ids)
        now, log = to_datetime(self.memory.now), logging.getLogger("bench")
        ctx = Context(given, now, 1, invocation.signature.name, log, self)
        answer = getattr(self.handlers[invocation.signature.name], invocation.method.name)(subject, ctx)
        events = [] if answer is None else [answer] if isinstance(answer, Event) else list(answer)
        assert {type(event) for event in events} <= invocation.method.emits, "emits only what its annotation names"
        return events
