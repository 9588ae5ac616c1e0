"""Effects: what one handling wants to happen. Values only; the checkpoint alone acts on them."""

from dataclasses import dataclass, field
from typing import NamedTuple

from choreo.events.envelope import Ids
from choreo.events.event import Event
from choreo.events.saga_mark import SagaMark


class Emission(NamedTuple):
    """One event to publish. `correlation_id` is given only where it enters another story."""

    event: Event
    correlation_id: str | None = None
    request_id: bytes | None = None
    attempt: int = 1
    cancelled: bool = False
    saga: SagaMark | None = None


class Unmatched(NamedTuple):
    """Why an event is a dead letter. `event` and its `ids` are given where it is not the handled one."""

    reason: str
    event: Event | None = None
    ids: Ids | None = None


@dataclass(slots=True)
class Effects:
    """What a handling wrote down besides what it returned."""

    emissions: list[Emission] = field(default_factory=list)
    dead_letters: list[Unmatched] = field(default_factory=list)
    relays: list[tuple[str, bytes]] = field(default_factory=list)
    """Topic and key under which the handled event is handed on."""
