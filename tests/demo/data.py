"""Where the real orders lie; they are not part of the project."""

import os
import warnings
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[3] / "shared" / "data"


def olist_directory() -> Path:
    """The Olist orders: 8,135 of them."""
    return real("olist_orders")


def bpic_directory() -> Path:
    """The events of BPI Challenge 2019: 11,973 items of purchase orders."""
    return real("bpic2019_purchase_orders")


def real(name: str) -> Path:
    """A directory of CHOREO_DATA, or of ../shared/data beside the checkout; where it is not there, skips, loudly.

    In CI a missing directory fails where the data is promised: where CHOREO_DATA is set or ../shared is there.
    """
    data = Path(os.environ.get("CHOREO_DATA") or BESIDE)
    directory = data / name
    if directory.is_dir():
        return directory
    missing = f"NOT TESTED ON REAL ORDERS: no {directory}; set CHOREO_DATA to the directory that has {name}"
    if os.environ.get("CI") == "true" and ("CHOREO_DATA" in os.environ or BESIDE.parent.is_dir()):
        pytest.fail(missing)
    warnings.warn(missing, pytest.PytestWarning, stacklevel=2)
    pytest.skip(missing)
