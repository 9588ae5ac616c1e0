"""Stories of services that have settings: whose they are, where they come from, who does without."""

from collections.abc import Callable

import pytest

from choreo import Context, Event, Handler, Service, Settings
from choreo.errors import ConfigError
from choreo.testing import Scenario
from tests.testing.counters import Conveyor, Full, NeedsSecret, Secrets


class BoardEvent(Event, namespace="board", topic="board", key="box", abstract=True):
    box: str


class Asked(BoardEvent): ...


class Answered(BoardEvent):
    greeting: str


class BoardSettings(Settings):
    greeting: str = "hello"


class Greet(Handler[Asked]):
    """Says what its settings say."""

    settings: BoardSettings

    def handle(self, asked: Asked, ctx: Context) -> Answered:
        return Answered(box=asked.box, greeting=self.settings.greeting)


board = Service("board", handlers=[Greet], settings=BoardSettings)


@pytest.mark.parametrize(
    ("story", "greeting"),
    [
        (lambda: Scenario(board), "hello"),
        (lambda: Scenario(board, settings={"board": BoardSettings(greeting="servus")}), "servus"),
    ],
    ids=["default", "given"],
)
def test_a_service_has_the_settings_that_the_story_gives(story: Callable[[], Scenario], greeting: str) -> None:
    """`settings=` gives a service its own; without it the defaults of the class hold; a restart changes neither."""
    told = story().when(Asked(box="a")).then(Answered(box="a", greeting=greeting))
    told.restart().when(Asked(box="b")).then(Answered(box="b", greeting=greeting))


def test_settings_of_nobody_are_refused() -> None:
    """A misspelt service, and one that has no settings, are named."""
    with pytest.raises(ConfigError, match=r"none of these services is called bord and has settings\n.*\n?.*board"):
        Scenario(board, settings={"bord": BoardSettings()}).when(Asked(box="a"))


def test_secrets_may_be_given_or_replaced() -> None:
    """What is missing is said with both cures; each of them works."""
    safe = Service("safe", handlers=[NeedsSecret], settings=Secrets, provide={"conveyor": lambda settings: Conveyor()})
    with pytest.raises(ConfigError, match=r"lack token\n.*\n.*using\(conveyor=\.\.\.\).*settings="):
        Scenario(safe).when(Full(box="a"))
    Scenario(safe, settings={"safe": Secrets(token="t")}).when(Full(box="a")).then()
    Scenario(safe).using(conveyor=Conveyor()).when(Full(box="a")).then()
