"""Builds wheels. With CHOREO_COMPILED=1 the modules that every event passes through are compiled by mypyc: the same
source as C, about a third less CPU an event, for one platform and one Python. Without it the wheel is pure Python.
"""

import os
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPILERS = ["mypy[mypyc]>=2.4", "setuptools>=65"]
GROUP = "choreo"
"""All modules are one library, so that they call one another without Python between: choreo__mypyc."""


class CompiledModules(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's, by the kind of its settings
    """Adds compiled modules beside their sources: Python prefers them."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What a build that compiles needs besides hatchling."""
        return COMPILERS if _asked() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile `modules` of the settings. A checkout stays pure: a compiled module would hide what is edited."""
        if version == "editable" or not _asked():
            return
        # Lives as long as the builder, which packs the files after this method.
        self._made = tempfile.TemporaryDirectory(prefix="choreo-compiled-")
        for library in _compiled(self.root, self.config["modules"], Path(self._made.name)):
            build_data["force_include"][str(library)] = str(library.relative_to(self._made.name))
        build_data["pure_python"], build_data["infer_tag"] = False, True


def _asked() -> bool:
    return os.environ.get("CHOREO_COMPILED") == "1"


def _compiled(root: str, modules: list[str], place: Path) -> list[Path]:
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    with chdir(root), tempfile.TemporaryDirectory(prefix="choreo-mypyc-") as scratch:
        # gcc makes nothing faster of it with more than -O1, and takes half as long again.
        extensions = mypycify(
            ["--ignore-missing-imports", *modules], target_dir=scratch, group_name=GROUP, opt_level="1", debug_level="0"
        )
        command = build_ext(Distribution({"name": "choreo", "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(place), scratch
        command.ensure_finalized()
        command.run()
    return sorted(path for path in place.rglob("*") if path.is_file())
