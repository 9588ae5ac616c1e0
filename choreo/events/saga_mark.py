"""The mark of a saga on the events that it emits."""

from choreo.events.event import Value


class SagaMark(Value):
    """On whose behalf an event was emitted: which saga, and which of its steps."""

    name: str
    version: int
    step: str | None
