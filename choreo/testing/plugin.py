"""The pytest plugin, found by its entry point: fixtures `scenario` and `seed`. Imports nothing until one is used."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from choreo.testing.scenario import Scenario

SEEDS = 25


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --choreo-seeds, --choreo-seed and --choreo-from."""
    group = parser.getgroup("choreo")
    group.addoption(
        "--choreo-seeds",
        type=int,
        default=SEEDS,
        metavar="N",
        help=f"run each test that takes `seed` with the seeds 0 to N-1 (default {SEEDS})",
    )
    group.addoption("--choreo-seed", type=int, metavar="S", help="run each test that takes `seed` with this seed only")
    group.addoption("--choreo-from", metavar="FILE", help="replay the run of a simulation that a failure kept in FILE")


def pytest_configure(config: pytest.Config) -> None:
    """Make the fixture `seed` for as many seeds as were asked for."""
    only, count = config.getoption("--choreo-seed"), config.getoption("--choreo-seeds")
    if only is None and count < 1:
        raise pytest.UsageError("--choreo-seeds: at least 1")
    seeds = [only] if only is not None else range(count)
    file = config.getoption("--choreo-from")
    config.pluginmanager.register(_seeds([_kept(file)] if file else seeds), "choreo-seeds")


def _kept(file: str) -> int:
    from choreo.testing.seeds import kept_seed

    try:
        return kept_seed(Path(file))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise pytest.UsageError(f"--choreo-from: {file} holds no run of a simulation: {error}") from error


def _seeds(seeds: Sequence[int]) -> object:
    class Seeds:
        """Holds the fixture: its parameters are known only once the command line has been read."""

        @pytest.fixture(params=seeds)
        def seed(self, request: pytest.FixtureRequest) -> Any:
            """A number to make randomness from, the same in every run: --choreo-seeds and its neighbours say which."""
            return request.param

    return Seeds()


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> "Scenario":
    """A scenario of all services and sagas of the project, the choreo.toml in or above pytest's rootdir."""
    from choreo.testing.project import project_scenario

    return project_scenario(request.config.rootpath)
