"""The command as a whole: quick help, one grammar, exit codes, errors that say what to do."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from choreo.cli.main import COMMANDS, Group, cli
from tests.cli.conftest import ROOT, Choreo, process

LISTINGS = ["topics list", "sagas list", "services list", "dead-letters list", "config show", "doctor", "topics plan"]


def every_command(group: Group, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command."""
    for name, entry in group.entries.items():
        if isinstance(entry, Group):
            yield from every_command(entry, (*above, name))
        else:
            yield (*above, name)


WORDS = list(every_command(cli))


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_every_command_loads_and_explains_itself(choreo: Choreo, words: tuple[str, ...]) -> None:
    """Each name in the help leads to a command that has help and the common options."""
    said = choreo(*words, "--help").stdout
    assert f"choreo {' '.join(words)}" in said
    assert all(option in said for option in ("--log", "--registry", "--profile", "--config", "--json", "--verbose"))


def test_the_help_names_every_command(choreo: Choreo) -> None:
    """`choreo --help` is the table of contents."""
    said = choreo("--help").stdout
    assert all(f"  {name} " in said for name in COMMANDS)


def test_the_help_costs_next_to_nothing() -> None:
    """`choreo --help` takes less than 250 ms of CPU and loads neither pydantic, nor a log, nor the Avro codec."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = (
        "import sys; from choreo.cli.main import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'fastavro', 'rocksdict', 'confluent_kafka', 'rich', 'tomllib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.25


def test_an_unknown_command_is_a_usage_error(choreo: Choreo) -> None:
    """A misspelt command exits with 2 and names the nearest one."""
    assert "did you mean topics?" in choreo("topisc", code=2).stderr


def test_an_unknown_option_is_a_usage_error(choreo: Choreo) -> None:
    """A misspelt option exits with 2."""
    assert "--jsno" in choreo("topics", "list", "--jsno", code=2).stderr


def test_an_error_says_at_why_try_without_a_traceback(directory: Path, choreo: Choreo) -> None:
    """A ChoreoError is shown as its own lines on stderr; stdout stays empty."""
    result = choreo("topics", "list", "--log", "kafak://here", code=2)
    assert result.stderr.startswith("ConfigError: 'kafak://here' is not the address of a log")
    assert "  try  use memory:" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_verbose_shows_the_traceback(directory: Path, choreo: Choreo) -> None:
    """-v adds the traceback, wherever it stands."""
    assert "Traceback" in choreo("topics", "list", "--log", "kafak://here", "-v", code=2).stderr


def test_common_options_work_before_the_command_too(directory: Path, choreo: Choreo) -> None:
    """`choreo --log X topics list` is `choreo topics list --log X`."""
    assert "no topics on memory:" in choreo("--log", "memory:", "topics", "list").stderr


@pytest.mark.parametrize("words", LISTINGS)
def test_every_listing_speaks_json(project: Path, choreo: Choreo, words: str) -> None:
    """--json prints one object a line and nothing else on stdout."""
    import json

    (project / "choreo.toml").write_text('[project]\nservices = ["shop.py"]\nsagas = "order.yaml"\n', encoding="utf-8")
    expected = 1 if words == "topics plan" else 0
    lines = choreo(*words.split(), "--json", code=expected).stdout.splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_a_reader_that_stops_early_is_no_error(directory: Path) -> None:
    """`choreo config show | head -1` ends quietly."""
    shown = process("config", "show", "--json")
    assert shown.stdout is not None
    assert shown.stderr is not None
    shown.stdout.close()
    with shown.stderr:
        assert (shown.stderr.read(), shown.wait(30)) == ("", 0)


def test_python_m_choreo_is_the_command() -> None:
    """The command works where no script is installed."""
    done = process("topics", "--help")
    out, err = done.communicate(timeout=30)
    assert (done.returncode, err) == (0, "")
    assert "Usage: choreo topics" in out


def test_config_show_says_where_values_come_from(directory: Path, choreo: Choreo) -> None:
    """Each setting is shown with its origin; secrets are masked."""
    (directory / "choreo.toml").write_text('[kafka]\n"sasl.password" = "hunter2"\n', encoding="utf-8")
    said = choreo("config", "show", "--log", "embedded:here").stdout
    assert "hunter2" not in said
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert rows["log.url"] == ["embedded:here", "--log"]
    assert rows["kafka.sasl.password"] == ["********", "choreo.toml:2"]
    assert rows["registry.url"] == ["dir:here/schemas", "follows", "from", "log.url"]


def test_commands_are_click_commands() -> None:
    """The lazy groups stay ordinary click commands: shells complete them, tests run them."""
    assert isinstance(cli, click.Group)
