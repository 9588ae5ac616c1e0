"""A town whose workers are watched: it keeps everything that they tell."""

from typing import Any, TypeVar

from choreo.runtime.observer import Happening, Observer
from choreo.runtime.options import Site
from choreo.service.service import Service
from tests.runtime.town import Town

H = TypeVar("H")


class Keeping(Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.happenings: list[Happening] = []

    def saw(self, happening: Happening) -> None:
        self.happenings.append(happening)

    def of(self, kind: type[H]) -> list[H]:
        """What it was told of this kind, in order."""
        return [happening for happening in self.happenings if isinstance(happening, kind)]


class WatchedTown(Town):
    """Services at work in virtual time, under an observer."""

    def __init__(self, *services: Service, observer: Observer, **more: Any) -> None:
        self.observer = observer
        super().__init__(*services, **more)

    def site(self, service: Service) -> Site:
        return Site(self.log, self.registry, self.backends[service.name], self.clock, self.observer)
