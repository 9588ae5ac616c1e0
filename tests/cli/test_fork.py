"""`choreo replay fork`: what really happened becomes a test that passes, and fails when the code changes."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from choreo.cli.main import cli
from choreo.clock import to_micros
from choreo.demo.olist import read_orders
from choreo.demo.run import Stage, run_virtual
from choreo.demo.rows import Row
from choreo.demo.shop import load_shop
from choreo.events.open import open_registry
from choreo.log.embedded import EmbeddedLog
from choreo.service.client import default_registry
from choreo.state.memory import MemoryBackends
from tests.cli.conftest import ROOT, Choreo
from tests.demo.data import olist_directory


def tested(file: Path, place: Path) -> "subprocess.CompletedProcess[str]":
    """pytest on one file, in a process of its own, with the project's code from `place`."""
    paths = os.pathsep.join([str(place), str(ROOT)])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(file.parent)]
    env = os.environ | {"PYTHONPATH": paths}
    return subprocess.run([*command, str(file)], cwd=place, env=env, capture_output=True, text=True, check=False)


def story_of(choreo: Choreo, key: str, *targets: str) -> str:
    """The correlation id of the saga of a key."""
    found: dict[str, str] = json.loads(choreo("sagas", "show", key, *targets, "--json").stdout)
    return found["correlation_id"]


def ruffled(file: Path) -> str:
    """What ruff and mypy have to say of a file."""
    tools = [["ruff", "format", "--isolated", "--line-length", "100", "--check"], ["ruff", "check", "--isolated"]]
    return "".join(
        subprocess.run([*tool, str(file)], capture_output=True, text=True, check=False).stdout
        for tool in tools
    )
