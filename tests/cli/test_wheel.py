"""The built wheel is whole: its demo runs where there is no checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT


@pytest.mark.slow
def test_the_demo_runs_from_a_wheel(tmp_path: Path) -> None:
    """The wheel carries the sample shop, its saga and its contracts, and no test; `choreo demo` works from it."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    wheel = next(tmp_path.glob("choreo-*.whl"))
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        packed.extractall(tmp_path / "site")
    assert "choreo/demo/project/saga_specs/order_fulfilment.yaml" in names
    assert "choreo/demo/project/services/shop/world/service.py" in names
    assert any(name.startswith("choreo/demo/project/schemas/shop/") for name in names)
    assert {name.partition("/")[0] for name in names} == {
        "choreo",
        f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info",
    }
    assert not [name for name in names if "__pycache__" in name]
    work = tmp_path / "work"
    work.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHOREO_")}
    demo = [sys.executable, "-m", "choreo", "demo", "--count", "10", "--json"]
    done = subprocess.run(
        demo, cwd=work, env=environment | {"PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["orders"] == 10
