"""Published contracts against the classes of today; reads the directory in which they lie."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from choreo.checks.finding import Finding, Spot, spot_of_class
from choreo.events.avro import schema_of
from choreo.events.contracts import compatibility, contract_file, drift
from choreo.events.event import Event

REGISTERED = "by-id"
"""A directory registry keeps its schemas there: what was written, not what was promised."""


def find_contracts(events: Iterable[type[Event]], directory: Path) -> Iterator[Finding]:
    """Drift, and breaks for readers. Contracts are watched from the first export on."""
    if all(file.parent.name == REGISTERED for file in directory.glob("*/*.avsc")):
        return
    for event in events:
        said = drift(event, directory)
        if said is None:
            continue
        cure = "choreo schemas export, then review and commit the change"
        yield Finding("contract-drift", said, spot_of_class(event), cure)
        file = Spot(str(contract_file(event, directory)))
        yield from (Finding("contract-breaks", text, file) for text in _breaks(event, directory))


def _breaks(event: type[Event], directory: Path) -> list[str]:
    """Why readers of today could not read what the published contract wrote."""
    try:
        published: Mapping[str, object] = json.loads(contract_file(event, directory).read_bytes())
    except (OSError, ValueError):
        return []
    return compatibility(dict(published), schema_of(event))
