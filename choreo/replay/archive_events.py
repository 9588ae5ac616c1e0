"""What is told, on the log itself, of archives that were restored into it."""

from datetime import datetime

from choreo.events.event import Event
from choreo.log.interface import TopicSpec

TOPIC = "choreo.archives"
TOPIC_SPEC = TopicSpec(TOPIC, 1, {"cleanup.policy": "delete", "retention.ms": "-1"})


class RestoreBegan(Event, namespace="choreo", topic=TOPIC, key="cluster_id"):
    """Topics of an archive are being put on this log."""

    cluster_id: str
    """Of the log that was archived."""
    archive: str
    """The directory, where it was restored."""
    topics: tuple[str, ...]
    records: int
    """So many, less what an earlier, interrupted restore has done."""
    who: str
    why: str
    at: datetime
