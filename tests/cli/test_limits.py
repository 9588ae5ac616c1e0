"""[downstreams.NAME] in choreo.toml: an operator's limits hold over what the handlers declare."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from choreo import Breaker, Context, Downstream, Event, Handler, Service
from choreo.cli.assembly import Assembly
from choreo.cli.limits import limited
from choreo.cli.project import Project
from choreo.config import Sources, load
from choreo.errors import ServiceError
from tests.cli.conftest import Choreo

TOLLS = '''
"""A toll office that never answers."""

import asyncio

from choreo import Context, Downstream, Event, Handler, Retry, Service


class CarPassed(Event, namespace="tolls", topic="tolls.cars", key="car"):
    car: str


async def take(key: str) -> str:
    await asyncio.Event().wait()
    return "never"


class Pay(Handler[CarPassed]):
    office = Downstream("office", timeout_s=600)
    retry = Retry(attempts=1, then="skip")

    async def handle(self, event: CarPassed, ctx: Context) -> None:
        await self.office.call("take", take)


tolls = Service("tolls", handlers=[Pay])
'''


class Passed(Event, namespace="limits", topic="limits.cars", key="car"):
    car: str


class Pay(Handler[Passed]):
    office = Downstream("office", timeout_s=600, breaker=Breaker(failures=7, open_s=3))
    bank = Downstream("bank", concurrency=3)

    def handle(self, event: Passed, ctx: Context) -> None: ...


def turned(directory: Path, text: str) -> dict[str, Downstream]:
    """The downstreams of Pay under these settings."""
    (directory / "choreo.toml").write_text(text, encoding="utf-8")
    project = cast(Project, SimpleNamespace(config=load(Sources(directory, environment={}))))
    found = limited(project, Assembly((Service("tolls", handlers=[Pay]),), {}, {}))
    return dict(found.services[0].signatures[0].downstreams)


def test_what_is_set_holds_and_the_rest_stays(tmp_path: Path) -> None:
    """Each key by itself; a downstream that is not named stays as it is, and so does the class."""
    found = turned(tmp_path, "[downstreams.office]\nrate_per_s = 50\nbreaker_open_s = 20\n")
    assert found["office"].limits == (600, 64, 50, Breaker(failures=7, open_s=20))
    assert found["bank"].limits == (30, 3, None, None)
    assert Pay.office.limits == (600, 64, None, Breaker(failures=7, open_s=3))
    found = turned(tmp_path, "[downstreams.bank]\ntimeout_s = 2\nconcurrency = 9\nbreaker_failures = 2\n")
    assert found["bank"].limits == (2, 9, None, Breaker(failures=2))


def test_a_run_keeps_to_the_settings(directory: Path, choreo: Choreo) -> None:
    """The handler would wait for ten minutes; the operator says 50 ms."""
    (directory / "tolls.py").write_text(TOLLS, encoding="utf-8")
    (directory / "choreo.toml").write_text("[downstreams.office]\ntimeout_s = 0.05\n", encoding="utf-8")
    choreo("emit", "tolls.py:CarPassed", "car=c1")
    choreo("run", "tolls.py", "--until-idle")
    assert "office: call 'take' took longer than 0.05 s" in choreo("dead-letters", "list", "--json").stdout


def test_a_name_that_nobody_declares_is_refused(directory: Path, choreo: Choreo) -> None:
    """With the line, and the nearest name; the whole project counts, not only what is run."""
    (directory / "tolls.py").write_text(TOLLS, encoding="utf-8")
    (directory / "choreo.toml").write_text("[downstreams.ofice]\ntimeout_s = 5\n", encoding="utf-8")
    said = choreo("run", "tolls.py", "--until-idle", code=2).stderr
    assert "[downstreams.ofice] names no downstream" in said
    assert "choreo.toml:2" in said
    assert "did you mean office?" in said
    (directory / "other.py").write_text(TOLLS.replace("office", "ofice").replace("tolls", "other"), encoding="utf-8")
    settings = '[project]\nservices = ["tolls.py", "other.py"]\n\n[downstreams.ofice]\ntimeout_s = 5\n'
    (directory / "choreo.toml").write_text(settings, encoding="utf-8")
    choreo("run", "tolls.py", "--until-idle")


def test_two_limits_for_one_name_are_refused() -> None:
    """They would share one, and which is nobody's guess."""

    class Other(Pay):
        office = Downstream("office", timeout_s=1)

    with pytest.raises(ServiceError, match="Pay and Other limit 'office' differently"):
        _ = Service("tolls", handlers=[Pay, Other]).signatures
