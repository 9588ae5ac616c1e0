"""The built wheel is whole: its demo and the project of its `init` run where there is no checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from choreo.cli.init import FILES
from tests.cli.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(directory.glob("choreo-*.whl"))) as packed:
        packed.extractall(directory / "site")
    return next(directory.glob("choreo-*.whl"))


def run(wheel: Path, work: Path, *arguments: str) -> str:
    """What `choreo ARGUMENTS` of the wheel prints, run in `work`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHOREO_")}
    done = subprocess.run(
        [sys.executable, "-m", "choreo", *arguments],
        cwd=work,
        env=environment | {"PYTHONPATH": str(wheel.parent / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_demo_runs_from_a_wheel(wheel: Path, tmp_path: Path) -> None:
    """The wheel carries the sample shop, its saga and its contracts, and no test; `choreo demo` works from it."""
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    assert "choreo/demo/project/saga_specs/order_fulfilment.yaml" in names
    assert "choreo/demo/project/services/shop/world/service.py" in names
    assert any(name.startswith("choreo/demo/project/schemas/shop/") for name in names)
    assert {name.partition("/")[0] for name in names} == {
        "choreo",
        f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info",
    }
    assert not [name for name in names if "__pycache__" in name]
    assert json.loads(run(wheel, tmp_path, "demo", "--count", "10", "--json"))["orders"] == 10


def test_a_project_is_made_from_a_wheel(wheel: Path, tmp_path: Path) -> None:
    """The wheel carries every file of the starter; what `choreo init` writes from it is what it writes from here."""
    run(wheel, tmp_path, "init", "starter")
    written = {file: (tmp_path / "starter" / file).read_bytes() for file in FILES}
    assert written == {file: (ROOT / "starter" / file).read_bytes() for file in FILES}
    run(wheel, tmp_path / "starter", "check")
