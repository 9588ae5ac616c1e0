"""mutmut with tests that were collected once: each mutant is tried in a fork of a pytest session that stands ready.

As mutmut has it, pytest begins and collects anew for each mutant, which takes six times as long as the tests that catch
one. Run in the copy, by `tests.mutation`; the arguments are mutmut's.
"""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from _pytest.config import _prepareconfig  # there is no public way to keep a session


class Verdict:
    """Hears from pytest whether anything failed."""

    failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed

    def pytest_internalerror(self) -> None:
        self.failed = True


VERDICT = Verdict()
STANDING: dict[str, pytest.Item] = {}


def read_specs_once() -> None:
    """Specs are values, and reading them is not mutated: each is read once for all forks."""
    from choreo.saga import spec

    reading: Callable[..., Any] = spec.parse_spec
    known: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def parse_spec(text: str, file: str, catalogue: Any, *more: Any) -> Any:
        key = text, file, id(catalogue)
        if more or key not in known:
            known[key] = reading(text, file, catalogue, *more), catalogue
        return known[key][0]

    spec.parse_spec = parse_spec


def stand_ready(arguments: list[str]) -> None:
    """Collect the tests, in the directory of the mutants, and keep them for every fork to come."""
    here, screen = os.getcwd(), sys.stdout
    os.chdir("mutants")
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # the session writes to it as long as it stands
    config = _prepareconfig(["--rootdir=.", "-s", *arguments], [VERDICT])
    config._do_configure()
    session = pytest.Session.from_config(config)
    config.hook.pytest_sessionstart(session=session)
    config.hook.pytest_collection(session=session)
    STANDING.update((item.nodeid, item) for item in session.items)
    os.chdir(here)
    sys.stdout = screen


def try_mutant(tests: Iterable[str]) -> int:
    """Run these tests up to the first that fails: 1 where one does."""
    os.chdir("mutants")
    items = [STANDING[test] for test in tests]
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if VERDICT.failed:
            return 1
    return 0


def main(site: str) -> None:
    sys.path.append(site)  # behind all else: mutmut asks for a newer click than Choreo's neighbours can have
    from mutmut.__main__ import cli
    from mutmut.configuration import config
    from mutmut.runners.harness import PytestRunner
    from mutmut.workers.isolation import ForkRunner

    collecting, starting, asking = PytestRunner.run_tests, ForkRunner.startup, PytestRunner.execute_pytest

    def startup(self: Any) -> None:
        stand_ready([*config().pytest_add_cli_args, *config().pytest_add_cli_args_test_selection])
        starting(self)

    def run_tests(self: Any, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        if not STANDING:  # of the original, before any mutant
            return int(collecting(self, mutant_name=mutant_name, tests=tests))
        return try_mutant(tests)

    def execute_pytest(self: Any, *arguments: Any, **more: Any) -> int:
        if (
            "tests.saga" not in sys.modules
        ):  # now the mutants are what is imported, and nobody has imported a reader yet
            read_specs_once()
        return int(asking(self, *arguments, **more))

    ForkRunner.startup, PytestRunner.run_tests, PytestRunner.execute_pytest = startup, run_tests, execute_pytest
    cli()


if __name__ == "__main__":
    main(sys.argv.pop(1))
