"""Finds the samples that travel with Choreo: in the wheel, else in the checkout; their code is loaded by name."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from choreo.errors import ConfigError

PACKAGED = Path(__file__).parent / "project"
CHECKOUT = Path(__file__).parents[2]


def load_sample(name: str, spec: Path, wanted: Sequence[tuple[str, str]]) -> tuple[Path, tuple[Any, ...]]:
    """The directory of the sample with this spec, which goes onto sys.path of this process, and what these
    attributes (module, word) of it are.

    Raises ConfigError where the sample is not there, or where another package named `services` is in the way.
    """
    root = next((place for place in (PACKAGED, CHECKOUT) if (place / spec).is_file()), None)
    if root is None:
        raise ConfigError(
            f"the sample {name} is not there",
            why=f"neither {PACKAGED} nor {CHECKOUT} has {spec}",
            hint="reinstall choreo",
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        return root, tuple(getattr(importlib.import_module(module), word) for module, word in wanted)
    except ModuleNotFoundError as error:
        other = getattr(sys.modules.get("services"), "__file__", None)
        raise ConfigError(
            f"the sample {name} can't be loaded: {error}",
            why=f"a package named services is loaded from {other}" if other else None,
            hint="run the demo outside of a project that has a package named services",
        ) from error
