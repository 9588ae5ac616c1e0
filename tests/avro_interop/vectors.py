"""Where the Avro project's own test material lies; it is not part of this project."""

import os
import warnings
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[3] / "shared" / "data"


def avro_directory() -> Path:
    """The material in CHOREO_DATA, or in ../shared/data beside the checkout; else skips, loudly.

    In CI a missing directory fails where the data is promised: where CHOREO_DATA is set or ../shared is there.
    """
    directory = Path(os.environ.get("CHOREO_DATA") or BESIDE) / "avro_interop"
    if directory.is_dir():
        return directory
    missing = f"NOT TESTED ON AVRO'S VECTORS: no {directory}; set CHOREO_DATA to the directory that has avro_interop"
    if os.environ.get("CI") == "true" and ("CHOREO_DATA" in os.environ or BESIDE.parent.is_dir()):
        pytest.fail(missing)
    warnings.warn(missing, pytest.PytestWarning, stacklevel=2)
    pytest.skip(missing, allow_module_level=True)
