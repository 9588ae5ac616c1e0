"""An ordeal: all that befalls the services in one run of a simulation, the events from outside and the faults.

Kept as a JSON file, it replays the run exactly. Its first field says which version of the file it is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.testing.faults import Fault, fault_from

VERSION = 1


class Told(NamedTuple):
    """An event from outside. One that comes again has the number of the one that it repeats."""

    at: int
    """Microseconds since the beginning."""
    number: int
    """Its ids are made from it."""
    event: Event
    again: bool = False


@dataclass(frozen=True)
class Ordeal:
    """What one run is made of. `faults` is None until it was run: then the seed's dice fall."""

    seed: int
    partitions: int
    workers: int
    """Of each service."""
    told: tuple[Told, ...]
    faults: tuple[Fault, ...] | None = None

    def having(self, told: tuple[Told, ...], faults: tuple[Fault, ...]) -> Self:
        """The same run with these events and faults only."""
        return replace(self, told=told, faults=faults)

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        told = [
            {
                "at": one.at,
                "number": one.number,
                "again": one.again,
                "event": type(one.event).contract.full_name,
                "fields": json.loads(one.event.model_dump_json()),
            }
            for one in self.told
        ]
        head = f'"choreo_simulation": {VERSION}, "seed": {self.seed}, "partitions": {self.partitions}'
        head = f'{{{head}, "workers": {self.workers},\n"told": [\n'
        path.parent.mkdir(parents=True, exist_ok=True)
        # A line an event, a line a fault: people take lines out to see whether it still fails.
        faults = ",\n".join(map(json.dumps, self.faults or ()))
        text = head + ",\n".join(map(json.dumps, told)) + '\n],\n"faults": [\n' + faults + "\n]}\n"
        path.write_text(text, encoding="utf-8")


def read_ordeal(path: Path, catalogue: Mapping[str, type[Event]]) -> Ordeal:
    """The ordeal in a file; `catalogue` knows its events by full name. Raises ConfigError."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.get("choreo_simulation") != VERSION:
            raise ValueError(f'it does not begin with {{"choreo_simulation": {VERSION}')
        told = tuple(
            Told(int(one["at"]), int(one["number"]), _event(one, catalogue), bool(one["again"]))
            for one in found["told"]
        )
        faults = tuple(fault_from(one) for one in found["faults"])
        return Ordeal(int(found["seed"]), int(found["partitions"]), int(found["workers"]), told, faults)
    except OSError as error:
        raise ConfigError(f"{path} can't be read", why=error.strerror) from error
    except (ValueError, KeyError, TypeError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"{path} holds no run of a simulation that can be replayed here", why=said) from error


def _event(one: Any, catalogue: Mapping[str, type[Event]]) -> Event:
    cls = catalogue.get(one["event"])
    if cls is None:
        raise ValueError(f"no event is called {one['event']} here")
    return cls.model_validate_json(json.dumps(one["fields"]))
