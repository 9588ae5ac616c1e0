"""Shell completion: the scripts are loaded in real shells, which then complete."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from choreo.cli.completion import bash_script, fish_script
from choreo.cli.grammar import grammar
from choreo.cli.main import cli
from tests.cli.conftest import ROOT, Choreo
from tests.cli.test_main import WORDS

TOML = """\
[project]
services = ["shop.py:inventory", "services.orders.service"]
sagas = "*.yaml"
"""
SAGA_VERBS = {
    *("deploy", "list", "show", "tasks", "form", "why", "retry", "skip", "resolve", "cancel", "answer", "migrate"),
    "conformance",
    "schema",
}
PATIENCE_S = 60.0


def needs(shell: str) -> pytest.MarkDecorator:
    """For a shell that a machine may lack; the others of this file still say that its script is whole."""
    return pytest.mark.skipif(
        shutil.which(shell) is None, reason=f"NOT TRIED IN A REAL SHELL: there is no {shell} here"
    )


@pytest.fixture
def shop(project: Path) -> Path:
    """A project, and a program `choreo` in it that is this one, first on PATH."""
    (project / "choreo.toml").write_text(TOML, encoding="utf-8")
    program = project / "bin" / "choreo"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m choreo "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return project


def environment(shop: Path) -> dict[str, str]:
    """What a shell of the test sees."""
    path = os.pathsep.join([str(shop / "bin"), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(shop), "TERM": "dumb"}


def said_by(shop: Path, *shell: str) -> str:
    """What a shell prints in the shop's directory, without a complaint."""
    done = subprocess.run(
        shell, cwd=shop, env=environment(shop), capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stderr == ""
    return done.stdout


def in_bash(shop: Path, *words: str) -> set[str]:
    """What bash offers for the last of these words."""
    program = 'source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _choreo; printf "%s\\n" "${COMPREPLY[@]}"'
    return set(said_by(shop, "bash", "--norc", "-c", program, "bash", "choreo", *words).split())


@needs("bash")
def test_bash_completes(shop: Path, choreo: Choreo) -> None:
    """Commands, their options, values of options, names of the project and files."""
    (shop / "script").write_text(choreo("completion", "bash").stdout, encoding="utf-8")
    asked = subprocess.run(
        ["bash", "--norc", "-c", "source ./script; complete -p choreo"], cwd=shop, capture_output=True, text=True
    )
    assert asked.stdout == "complete -o filenames -F _choreo choreo\n"
    assert in_bash(shop, "s") == {"simulate", "sagas", "services", "schemas"}
    assert in_bash(shop, "sagas", "") == SAGA_VERBS
    assert in_bash(shop, "run", "--unt") == {"--until-idle"}
    assert in_bash(shop, "--json", "sagas", "list", "--sta") == {"--status"}
    assert in_bash(shop, "run", "inv") == {"inventory"}
    assert in_bash(shop, "run", "sh") == {"shop.py"}
    assert in_bash(shop, "run", "or") == {"order", "orders", "order.yaml"}
    assert in_bash(shop, "sagas", "list", "") == {"order"}
    assert in_bash(shop, "dead-letters", "list", "o") == {"orders"}
    assert in_bash(shop, "run", "--config", "cho") == {"choreo.toml"}
    assert in_bash(shop, "run", "--workers", "") == set(), "a number is not guessed, and no target offered in its place"
    assert in_bash(shop, "completion", "names", "t") == {"targets"}
    assert in_bash(shop, "topisc", "") >= {"run", "topics"}


@needs("fish")
def test_fish_completes(shop: Path, choreo: Choreo) -> None:
    """The same in fish, which shows the help, too."""
    (shop / "script").write_text(choreo("completion", "fish").stdout, encoding="utf-8")

    def offered(line: str) -> dict[str, str]:
        said = said_by(shop, "fish", "--no-config", "-c", f"source ./script; complete -C '{line}'")
        return {word: help_text for word, _, help_text in (each.partition("\t") for each in said.splitlines())}

    assert offered("choreo s").keys() == {"simulate", "sagas", "services", "schemas"}
    assert offered("choreo sagas ").keys() == SAGA_VERBS
    assert offered("choreo run --unt") == {
        "--until-idle": "End when everything on the log is handled and no timer is due."
    }
    assert offered("choreo --json sagas list --sta").keys() == {"--status"}
    assert {"inventory", "orders", "order", "shop.py"} <= offered("choreo run ").keys()
    assert offered("choreo sagas list ").keys() == {"order"}
    assert "choreo.toml" in offered("choreo run --config cho")


@needs("zsh")
def test_zsh_completes(shop: Path, choreo: Choreo) -> None:
    """At an interactive prompt, TAB completes a command, an option and a name of the project."""
    (shop / "script").write_text(choreo("completion", "zsh").stdout, encoding="utf-8")
    for typed, shown in (
        ("choreo sagas w\t", "choreo sagas why"),
        ("choreo run --unt\t", "choreo run --until-idle"),
        ("choreo run inv\t", "choreo run inventory"),
    ):
        assert typed_in_zsh(shop, typed, shown)


def typed_in_zsh(shop: Path, typed: str, shown: str) -> bool:
    """Whether the line becomes what it should while one types it."""
    import pty  # not on Windows, where there is no zsh either

    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover
        os.chdir(shop)
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment(shop))
    try:
        os.write(terminal, b"PS1=; ZLE_RPROMPT_INDENT=0; source ./script; echo re''ady\n")
        return _read(terminal, "ready") and os.write(terminal, typed.encode()) > 0 and _read(terminal, shown)
    finally:
        os.close(terminal)  # the shell ends with its terminal
        os.waitpid(child, 0)


def _read(terminal: int, wanted: str) -> bool:
    """Read until this stands there, with what moves the cursor taken away."""
    import select

    seen, until = "", monotonic() + PATIENCE_S
    while wanted not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x09\x0b-\x1f]", "", seen):
        ready, _, _ = select.select([terminal], [], [], until - monotonic()) if until > monotonic() else ([], [], [])
        if not ready:
            raise AssertionError(f"{wanted!r} never came; the terminal shows {seen!r}")
        seen += os.read(terminal, 4096).decode(errors="replace")
    return True


def test_the_scripts_hold_every_command() -> None:
    """Each command of the help, and each of its options, stands in the scripts, whatever shells this machine has."""
    every = list(grammar(cli))
    assert set(WORDS) <= {typed.path for typed in every}
    bash, fish = bash_script(every), fish_script(every)
    for typed in every:
        at = f"complete -c choreo -n '__choreo_at \\'{' '.join(typed.path)}\\''"
        assert all(f"{at} -a {name} " in fish for name in typed.below)
        for word in typed.options:
            assert all(spelling in bash for spelling in word.spellings)
            assert all(f" -l {one[2:]} " in fish for one in word.spellings if one.startswith("--"))


def test_names_are_given_without_loading_the_project(shop: Path, choreo: Choreo) -> None:
    """Broken code does not stop completion: names come from choreo.toml and the specs' own files."""
    (shop / "shop.py").write_text("raise RuntimeError('half-written')\n", encoding="utf-8")
    assert choreo("completion", "names", "services").stdout.split() == ["inventory", "orders"]
    assert choreo("completion", "names", "sagas").stdout.split() == ["order"]
    assert choreo("completion", "names", "targets").stdout.split() == ["inventory", "orders", "order", "sagas", "demo"]


def test_names_cost_little(shop: Path) -> None:
    """A TAB loads neither pydantic, nor YAML, nor a log, nor the Avro codec."""
    heavy = {"pydantic", "fastavro", "rocksdict", "confluent_kafka", "rich", "ruamel.yaml"}
    code = (
        "import sys; from choreo.cli.main import cli\n"
        "try: cli.main(['completion', 'names', 'targets'])\n"
        "except SystemExit: pass\n"
        f"found = {heavy} & set(sys.modules)\n"
        "sys.exit(f'loaded {found}' if found else 0)"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(shop), check=True, capture_output=True, cwd=shop)
