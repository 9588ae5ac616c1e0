"""Where the sample of purchase to pay lies, and its parts: user code, loaded by name as anybody's project is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from choreo.demo.bpi import Deed
from choreo.demo.sample import load_sample
from choreo.errors import ConfigError
from choreo.events.event import Event

PACKAGE = "services.purchasing"
SPEC = Path("services") / "purchasing" / "purchase.yaml"


class Purchasing(NamedTuple):
    """The sample: the file of its saga, and the event class of each activity."""

    spec: Path
    activities: Mapping[str, type[Event]]

    @property
    def catalogue(self) -> dict[str, type[Event]]:
        """The event classes by full name."""
        return {event.contract.full_name: event for event in self.activities.values()}

    @property
    def topic(self) -> str:
        """The topic of all of them."""
        (topic,) = {event.contract.topic for event in self.activities.values()}
        return topic

    def event(self, deed: Deed) -> Event:
        """The event that says what was done. Raises ConfigError for an activity that nobody knows."""
        made = self.activities.get(deed.activity)
        if made is None:
            raise ConfigError(
                f"nobody knows the activity {deed.activity!r}",
                at=f"case {deed.case_id}, event {deed.seq}",
                hint="give it an event in services/purchasing/activities.py",
            )
        said: dict[str, Any] = {
            "item_id": deed.case_id,
            "seq": deed.seq,
            "activity": deed.activity,
            "happened_at": deed.happened_at,
        }
        if deed.category and "category" in made.model_fields:
            said["category"] = deed.category
        return made(**said)


def load_purchasing() -> Purchasing:
    """The sample that travels in the wheel, else the one of the checkout. Raises ConfigError as `load_shop` does."""
    root, (activities,) = load_sample("purchasing", SPEC, [(f"{PACKAGE}.activities", "ACTIVITIES")])
    return Purchasing(root / SPEC, activities)
