"""Which files of a project `choreo dev` looks at, and what it calls a change."""

import os
from pathlib import Path

import pytest

from choreo.cli.watched import WatchedFiles, changed


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with everything that lies about in one."""
    for name in (
        "shop/events.py",
        "saga_specs/order.yaml",
        "schemas/shop/OrderPlaced.avsc",
        "schemas/by-id/17.avsc",
        "choreo.toml",
        "README.md",
        "tests/test_shop.py",
        "tests/conftest.py",
        "shop/.#events.py",
        "shop/__pycache__/events.py",
        ".venv/lib/hidden.py",
        "environment/pyvenv.cfg",
        "environment/lib/installed.py",
        "log/state/settings.toml",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    return tmp_path


def files(project: Path) -> WatchedFiles:
    return WatchedFiles([project], [project / "log", project / "schemas" / "by-id"])


def test_code_specs_contracts_and_settings_are_watched(project: Path) -> None:
    """Not tests, drafts of editors, virtual environments, nor what a run writes itself."""
    seen = {path.relative_to(project.resolve()).as_posix() for path in files(project).look()}
    assert seen == {"shop/events.py", "saga_specs/order.yaml", "schemas/shop/OrderPlaced.avsc", "choreo.toml"}


def test_a_save_a_new_file_and_a_removed_one_are_changes(project: Path) -> None:
    """Also where the save leaves the size as it was; a look at the same files finds none."""
    watched = files(project)
    before = watched.look()
    assert changed(before, watched.look()) == []
    events, order, new = project / "shop/events.py", project / "saga_specs/order.yaml", project / "shop/new.py"
    stamp = events.stat()
    os.utime(events, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1_000_000))
    order.unlink()
    new.touch()
    assert [path.name for path in changed(before, watched.look())] == ["order.yaml", "events.py", "new.py"]


def test_links_do_not_lead_in_circles(project: Path) -> None:
    """A directory that links to its own parent is not followed."""
    try:
        (project / "shop" / "again").symlink_to(project, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert len(files(project).look()) == 4
