"""For tests: scenarios and simulations of one's own services, contract suites for backends of one's own. No service
imports these.

Each name is loaded on first use: the pytest plugin lies in here, and every pytest run would pay for more.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from choreo.events.event import Value as Value
    from choreo.testing.faults import Faults as Faults
    from choreo.testing.likeness import Like as Like
    from choreo.testing.likeness import like as like
    from choreo.testing.orders import answer as answer
    from choreo.testing.orders import cancel as cancel
    from choreo.testing.orders import resolve as resolve
    from choreo.testing.orders import retry as retry
    from choreo.testing.orders import skip as skip
    from choreo.testing.scenario import Scenario as Scenario
    from choreo.testing.simulation import Simulation as Simulation
    from choreo.testing.world import World as World

_FACE = {
    "Faults": "choreo.testing.faults",
    "Like": "choreo.testing.likeness",
    "Scenario": "choreo.testing.scenario",
    "Simulation": "choreo.testing.simulation",
    "Value": "choreo.events.event",
    "World": "choreo.testing.world",
    "answer": "choreo.testing.orders",
    "cancel": "choreo.testing.orders",
    "like": "choreo.testing.likeness",
    "resolve": "choreo.testing.orders",
    "retry": "choreo.testing.orders",
    "skip": "choreo.testing.orders",
}

__all__ = [*_FACE]  # names of strings, all of them


def __getattr__(name: str) -> object:
    module = _FACE.get(name)
    if module is None:
        raise AttributeError(f"module 'choreo.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted(_FACE)
