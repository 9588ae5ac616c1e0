"""`choreo schemas` and `choreo run` with a real registry: production registers on purpose, and says what is missing."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Choreo
from tests.cli.sample import SAGA, SHOP

pytestmark = [pytest.mark.registry, pytest.mark.xdist_group("registry")]


@pytest.fixture
def shop(directory: Path, registry_url: str, prefix: str) -> Path:
    """The sample project in a namespace of its own, with a registry to which nobody adds by running."""
    (directory / "shop.py").write_text(SHOP.replace('namespace="shop"', f'namespace="{prefix}"'), encoding="utf-8")
    saga = SAGA.replace("namespace: shop", f"namespace: {prefix}").replace("saga: order", f"saga: {prefix}")
    (directory / "order.yaml").write_text(saga, encoding="utf-8")
    settings = f'[project]\nservices = ["shop"]\nsagas = "*.yaml"\n[registry]\nurl = "{registry_url}"\n'
    (directory / "choreo.toml").write_text(settings, encoding="utf-8")
    return directory


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_service_starts_once_its_schemas_are_registered(shop: Path, prefix: str, choreo: Choreo) -> None:
    """A missing schema stops a start and names the command; after it, events travel and the saga ends."""
    said = choreo("run", "--until-idle", code=1).stderr
    assert "are not registered" in said
    assert f"{prefix}.StockReserved" in said
    assert "choreo schemas register" in said
    assert all(row["state"] == "missing" for row in rows(choreo("schemas", "register", "--dry-run", "--json").stdout))
    registered = rows(choreo("schemas", "register", "--json").stdout)
    assert {row["state"] for row in registered} == {"registered"}
    assert {f"{prefix}.OrderPlaced", f"{prefix}.PaymentTaken"} < {row["subject"] for row in registered}
    again = rows(choreo("schemas", "register", "--json").stdout)
    assert [row["id"] for row in again] == [row["id"] for row in registered]
    assert {row["state"] for row in again} == {"there"}
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=250")
    choreo("run", "--until-idle")
    assert "compensated" in choreo("sagas", "show", "o1").stdout


def test_a_developer_need_not_register(shop: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch) -> None:
    """With auto_register whoever writes an event first registers its schema."""
    monkeypatch.setenv("CHOREO_REGISTRY_AUTO_REGISTER", "true")
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=20")
    choreo("run", "--until-idle")
    assert "completed" in choreo("sagas", "show", "o1").stdout


def test_check_says_what_breaks_readers(shop: Path, prefix: str, choreo: Choreo) -> None:
    """A change that readers of an older version could not bear is found by check, and never registered."""
    assert {row["finding"] for row in rows(choreo("schemas", "check", "--json", code=1).stdout)} == {"not-registered"}
    choreo("schemas", "register")
    assert "all of it fits" in choreo("schemas", "check").stderr
    (shop / "shop2.py").write_text((shop / "shop.py").read_text().replace("total: int", "total: str"))
    found = rows(choreo("schemas", "check", "shop2.py", "--json", code=1).stdout)
    assert [(row["finding"], row["says"]) for row in found] == [
        ("breaks-readers", f"{prefix}.OrderPlaced version 1: total: long became string"),
        ("not-registered", f"nothing like it under {prefix}.OrderPlaced"),
    ]
    assert "total: long became string" in choreo("schemas", "register", "shop2.py", code=1).stderr
    assert len(rows(choreo("schemas", "list", "--subject", f"{prefix}.OrderPlaced", "--json").stdout)) == 1


def test_schemas_are_listed_and_shown(shop: Path, prefix: str, choreo: Choreo) -> None:
    """A schema is found by subject, version and id, and compares equal to its class."""
    choreo("schemas", "register")
    name = f"{prefix}.OrderPlaced"
    (row,) = rows(choreo("schemas", "list", "--subject", name, "--json").stdout)
    assert (row["subject"], row["version"]) == (name, 1)
    shown = [choreo("schemas", "show", text).stdout for text in (name, f"{name}@1", str(row["id"]))]
    assert len(set(shown)) == 1
    assert json.loads(shown[0])["name"] == "OrderPlaced"
    assert "SUBJECT" in choreo("schemas", "list").stdout
    choreo("schemas", "diff", name, "shop.py:OrderPlaced", "--compatibility", "full")
    assert f"one of {name}@1" in choreo("schemas", "show", f"{name}@2", code=2).stderr
    assert "no schema is registered under" in choreo("schemas", "show", f"{prefix}.Nothing", code=2).stderr
    choreo("schemas", "show", "2000000000", code=1)


def test_a_registry_that_is_away_is_exit_code_3(shop: Path, choreo: Choreo) -> None:
    """Scripts tell an unreachable registry from one that found something; secrets stay out of what is printed."""
    url = "http://user:hush@127.0.0.1:1/api?attempts=1"
    for command in (["schemas", "list"], ["schemas", "check"], ["doctor"]):
        result = choreo(*command, "--registry", url, code=3)
        assert "127.0.0.1:1" in result.output
        assert "hush" not in result.output
