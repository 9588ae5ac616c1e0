"""Finding the sample shop: in the wheel or in the checkout, and refusing clearly where it can't be had."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from choreo.demo.shop import CHECKOUT, SPEC, load_shop
from choreo.errors import ConfigError


def test_the_checkout_has_the_shop() -> None:
    """The shop of a checkout is its own: six services, the spec of the saga, on the path of this process."""
    shop = load_shop()
    assert [service.name for service in shop.services] == [
        "orders",
        "inventory",
        "payments",
        "shipping",
        "notifications",
        "world",
    ]
    assert shop.spec == CHECKOUT / SPEC
    assert str(CHECKOUT) in sys.path


def test_the_packaged_shop_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the shop travels in the package, that one is taken: a checkout beside it may be another version."""
    (tmp_path / SPEC).parent.mkdir()
    (tmp_path / SPEC).write_text("")
    monkeypatch.setattr("choreo.demo.sample.PACKAGED", tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert load_shop().root == tmp_path
    assert sys.path[0] == str(tmp_path)


def test_a_missing_shop_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no shop, the places that were looked at are named."""
    monkeypatch.setattr("choreo.demo.sample.PACKAGED", tmp_path / "packaged")
    monkeypatch.setattr("choreo.demo.sample.CHECKOUT", tmp_path / "checkout")
    with pytest.raises(ConfigError, match="the sample shop is not there") as missing:
        load_shop()
    assert str(tmp_path / "packaged") in str(missing.value)


def test_another_package_in_the_way_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with a `services` package of its own is told that this is in the way, not shown a traceback."""
    other = ModuleType("services")
    other.__file__ = "elsewhere/services/__init__.py"
    for name in [name for name in sys.modules if name == "services" or name.startswith("services.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "services", other)
    with pytest.raises(ConfigError, match="the sample shop can't be loaded") as refused:
        load_shop()
    assert "elsewhere/services/__init__.py" in str(refused.value)
