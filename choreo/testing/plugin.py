"""The pytest plugin, found by its entry point: fixtures `scenario` and `seed`. Imports nothing until one is used."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from choreo.testing.scenario import Scenario

SEEDS = 25


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --choreo-seeds and --choreo-seed."""
    group = parser.getgroup("choreo")
    group.addoption(
        "--choreo-seeds",
        type=int,
        default=SEEDS,
        metavar="N",
        help=f"run each test that takes `seed` with the seeds 0 to N-1 (default {SEEDS})",
    )
    group.addoption("--choreo-seed", type=int, metavar="S", help="run each test that takes `seed` with this seed only")


def pytest_configure(config: pytest.Config) -> None:
    """Make the fixture `seed` for as many seeds as were asked for."""
    only, count = config.getoption("--choreo-seed"), config.getoption("--choreo-seeds")
    if only is None and count < 1:
        raise pytest.UsageError("--choreo-seeds: at least 1")
    config.pluginmanager.register(_seeds([only] if only is not None else list(range(count))), "choreo-seeds")


def _seeds(seeds: list[int]) -> object:
    class Seeds:
        """Holds the fixture: its parameters are known only once the command line has been read."""

        @pytest.fixture(params=seeds)
        def seed(self, request: pytest.FixtureRequest) -> Any:
            """A number to make randomness from, the same in every run: see --choreo-seeds and --choreo-seed."""
            return request.param

    return Seeds()


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> "Scenario":
    """A scenario of all services and sagas of the project, the choreo.toml in or above pytest's rootdir."""
    from choreo.testing.project import project_scenario

    return project_scenario(request.config.rootpath)
