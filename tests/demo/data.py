"""Where the real orders lie; they are not part of the project."""

import os
import warnings
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[3] / "shared" / "data"


def olist_directory() -> Path:
    """The Olist orders in CHOREO_DATA, or in ../shared/data beside the checkout; else skips, loudly.

    In CI a missing directory fails where the data is promised: where CHOREO_DATA is set or ../shared is there.
    """
    data = Path(os.environ.get("CHOREO_DATA") or BESIDE)
    directory = data / "olist_orders"
    if directory.is_dir():
        return directory
    missing = f"NOT TESTED ON REAL ORDERS: no {directory}; set CHOREO_DATA to the directory that has olist_orders"
    if os.environ.get("CI") == "true" and ("CHOREO_DATA" in os.environ or BESIDE.parent.is_dir()):
        pytest.fail(missing)
    warnings.warn(missing, pytest.PytestWarning, stacklevel=2)
    pytest.skip(missing)
