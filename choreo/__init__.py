"""Choreo: event-driven choreography over Kafka. Services react to typed events and emit typed events.

The names that service authors type. Each is loaded on first use, so that `import choreo` costs next to nothing;
rarer ones are in choreo.types, choreo.errors and choreo.testing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from choreo.errors import ChoreoError as ChoreoError
    from choreo.errors import GiveUp as GiveUp
    from choreo.errors import RetryAfter as RetryAfter
    from choreo.events.event import Event as Event
    from choreo.events.event import Job as Job
    from choreo.events.event import Tick as Tick
    from choreo.events.event import Value as Value
    from choreo.events.fields import Personal as Personal
    from choreo.resilience.breaker import Breaker as Breaker
    from choreo.resilience.retry import Retry as Retry
    from choreo.runtime.running import running as running
    from choreo.service.calls import Downstream as Downstream
    from choreo.service.client import Client as Client
    from choreo.service.context import Context as Context
    from choreo.service.handler import Handler as Handler
    from choreo.service.schedule import Cron as Cron
    from choreo.service.service import Service as Service
    from choreo.service.service import Settings as Settings
    from choreo.service.store import Store as Store
    from choreo.service.timer import Timer as Timer

__version__ = "0.1.0"

_FACE = {
    "Breaker": "choreo.resilience.breaker",
    "ChoreoError": "choreo.errors",
    "Client": "choreo.service.client",
    "Context": "choreo.service.context",
    "Cron": "choreo.service.schedule",
    "Downstream": "choreo.service.calls",
    "Event": "choreo.events.event",
    "GiveUp": "choreo.errors",
    "Handler": "choreo.service.handler",
    "Job": "choreo.events.event",
    "Personal": "choreo.events.fields",
    "Retry": "choreo.resilience.retry",
    "RetryAfter": "choreo.errors",
    "Service": "choreo.service.service",
    "Settings": "choreo.service.service",
    "Store": "choreo.service.store",
    "Tick": "choreo.events.event",
    "Timer": "choreo.service.timer",
    "Value": "choreo.events.event",
    "running": "choreo.runtime.running",
}

__all__ = [*_FACE]  # names of strings, all of them


def __getattr__(name: str) -> object:
    module = _FACE.get(name)
    if module is None:
        raise AttributeError(f"module 'choreo' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted([*_FACE, "__version__"])
