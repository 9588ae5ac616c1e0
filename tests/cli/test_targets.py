"""A TARGET leads to what it names, or says what was looked for and where."""

import sys
from pathlib import Path

import pytest

from choreo.cli.targets import Finder
from choreo.config import Sources, load
from choreo.errors import ConfigError


def finder(directory: Path) -> Finder:
    """Looks from this directory, with its settings."""
    return Finder(load(Sources(directory)), directory)


def settings(directory: Path, text: str) -> None:
    (directory / "choreo.toml").write_text(text, encoding="utf-8")


def test_a_file_gives_its_services_and_events(project: Path) -> None:
    """shop.py names every service and event class in it."""
    found = finder(project).find(["shop.py"])
    assert [service.name for service in found.services] == ["inventory", "payments"]
    assert "OrderPlaced" in [event.__name__ for event in found.events]
    assert "OrderEvent" not in [event.__name__ for event in found.events]  # abstract: a template of events


@pytest.mark.parametrize("target", ["shop.py:payments", "shop:payments", "payments"])
def test_one_service_has_several_names(project: Path, target: str) -> None:
    """file.py:attr, module:attr and the name of a service in choreo.toml are the same service."""
    settings(project, '[project]\nservices = ["shop"]\n')
    assert [service.name for service in finder(project).find([target]).services] == ["payments"]


def test_a_package_is_its_service_module(project: Path) -> None:
    """`services.orders` means services/orders/service.py, and `orders` is its short name."""
    package = project / "apps" / "orders"
    package.mkdir(parents=True)
    for init in (project / "apps" / "__init__.py", package / "__init__.py"):
        init.touch()
    (package / "service.py").write_text("from shop import payments as orders\n", encoding="utf-8")
    settings(project, '[project]\nservices = ["apps.orders"]\n')
    for target in ("apps.orders", "orders", "apps/orders/service.py"):
        assert [service.name for service in finder(project).find([target]).services] == ["payments"]


def test_specs_are_files_or_all_of_them(project: Path) -> None:
    """order.yaml, its name, `sagas` and nothing at all lead to the same spec."""
    settings(project, '[project]\nservices = ["shop"]\nsagas = ["*.yaml"]\n')
    for targets in (["order.yaml"], ["order"], ["sagas"], []):
        assert [path.name for path in finder(project).find(targets).specs] == ["order.yaml"]


def test_no_target_is_the_whole_project(project: Path) -> None:
    """Without a target every service of choreo.toml is found, once."""
    settings(project, '[project]\nservices = ["shop:inventory", "shop"]\n')
    assert [service.name for service in finder(project).find([]).services] == ["inventory", "payments"]


def test_paths_begin_here_and_then_at_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a directory below the project's, its files and modules are still found."""
    settings(project, "[project]\n")
    below = project / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    found = finder(below).find(["shop.py", "order.yaml"])
    assert (len(found.services), len(found.specs)) == (2, 1)


def test_what_a_module_does_not_say_any_more_is_gone(project: Path) -> None:
    """A class that somebody still holds counts no more once its module was loaded again without it."""
    source = (project / "shop.py").read_text()
    (project / "shop.py").write_text(source + "\n\nclass Approved(OrderEvent): ...\n")
    before = finder(project)
    before.find(["shop.py"])
    held = before.catalogue()["shop.Approved"]
    (project / "shop.py").write_text(source)
    del sys.modules["shop"]
    after = finder(project)
    after.find(["shop.py"])
    assert held.contract.full_name not in after.catalogue()
    assert "shop.OrderPlaced" in after.catalogue()


def test_the_catalogue_holds_what_was_loaded(project: Path) -> None:
    """A spec may speak of every event of the loaded modules, and of no other."""
    looking = finder(project)
    looking.find(["shop.py"])
    assert sorted(looking.catalogue()) == [
        "shop.OrderPlaced",
        "shop.PaymentDeclined",
        "shop.PaymentTaken",
        "shop.ReleaseRequested",
        "shop.StockReleased",
        "shop.StockReserved",
    ]


@pytest.mark.parametrize(
    ("target", "says", "more"),
    [
        ("shoop.py", "there is no file shoop.py", "looked for"),
        ("spec.yaml", "there is no file spec.yaml", "looked for"),
        ("no.such.module", "there is no module no", "looked for no.such.module"),
        ("shop:payment", "shop has no payment", "did you mean payments?"),
        ("payment", "nothing is called payment", "did you mean payments?"),
        ("shop:Store", "shop:Store is a", "neither a service nor an event class"),
        ("empty.py", "empty.py holds no service", "module:attribute"),
        ("broken.py", "ZeroDivisionError: division by zero", "broken.py:2"),
        ("wrong.py", "can't be imported: SyntaxError", "wrong.py:1"),
        ("needs.py", "ModuleNotFoundError: No module named 'nowhere_to_be_found'", "needs.py:1"),
    ],
)
def test_a_target_that_leads_nowhere_says_so(project: Path, target: str, says: str, more: str) -> None:
    """The error names what was looked for, where, and the nearest thing there is."""
    settings(project, '[project]\nservices = ["shop"]\n')
    (project / "empty.py").write_text('"""Nothing."""\n', encoding="utf-8")
    (project / "broken.py").write_text("one = 1\ntwo = one / 0\n", encoding="utf-8")
    (project / "wrong.py").write_text("def\n", encoding="utf-8")
    (project / "needs.py").write_text("import nowhere_to_be_found\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        finder(project).find([target])
    assert says in caught.value.message
    assert more in str(caught.value)


def test_nothing_to_run_says_what_to_do(directory: Path) -> None:
    """An empty directory is told how to begin."""
    with pytest.raises(ConfigError) as caught:
        finder(directory).find([])
    assert "choreo run shop.py" in str(caught.value.hint)


def test_an_event_target_is_one_event(project: Path) -> None:
    """`shop.py:OrderPlaced` is an event class; a whole module is not."""
    assert finder(project).event("shop.py:OrderPlaced").__name__ == "OrderPlaced"
    with pytest.raises(ConfigError) as caught:
        finder(project).event("shop.py")
    assert "shop.py:NAME, one of OrderPlaced" in str(caught.value.hint)


def test_a_file_does_not_hide_behind_another_module(project: Path) -> None:
    """A file named as a module that is loaded already is refused rather than silently replaced by it."""
    (project / "json.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        finder(project).find(["json.py"])
    assert "another module is called json" in caught.value.message
