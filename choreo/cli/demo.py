"""`choreo demo`: the sample shop on generated or real orders, or the purchase-to-pay saga on real purchase orders."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.stores import ProjectBackends
from choreo.config.sections import LogSection
from choreo.demo.bpi import read_deeds
from choreo.demo.generated import generate
from choreo.demo.olist import read_orders
from choreo.demo.purchase_run import run_purchases
from choreo.demo.purchases import next_questions, print_purchases, print_purchases_json
from choreo.demo.rows import Row
from choreo.demo.run import Stage, run_virtual, run_wall
from choreo.demo.show import next_commands, print_json, print_summary, progress
from choreo.demo.summary import Summary
from choreo.errors import ConfigError
from choreo.log.embedded import EmbeddedLog
from choreo.state.backend import Backends
from choreo.state.memory import MemoryBackends

PLACE = ".choreo/demo"
"""The demo's own corner of a project: wiped at each start that names no log."""


@command("demo")
@click.argument("name", type=click.Choice(["shop", "purchasing"]), default="shop", metavar="[NAME]")
@click.option(
    "--orders", metavar="DIR", type=click.Path(path_type=Path), help="Real orders: a directory of Olist's CSV files."
)
@click.option(
    "--events",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Of purchasing: a directory with the events of BPI Challenge 2019.",
)
@click.option("--count", type=click.IntRange(min=1), default=2000, show_default=True, help="Generated orders.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which generated orders.")
@click.option("--partitions", type=click.IntRange(min=1), help="Of every topic; default: as choreo.toml says.")
@click.option("--wall-time", is_flag=True, help="Every answer at once, in wall time; on Kafka always so.")
def demo(project: Project, name: str, events: Path | None, partitions: int | None, **of_shop: Any) -> int:
    """Run the sample shop over orders: services, the outside world and the order saga, to the end of every order.
    `choreo demo purchasing --events DIR` has the purchase-to-pay saga follow real items of purchase orders instead.

    Without --log it runs on an embedded log of its own in .choreo/demo, which begins anew each time.
    """
    if name == "purchasing":
        if of_shop["orders"] is not None:
            raise ConfigError("--orders is for the shop", hint="choreo demo --orders DIR")
        return _purchasing(project, events, partitions)
    if events is not None:
        raise ConfigError("--events is for purchasing", hint="choreo demo purchasing --events DIR")
    return _shop(project, partitions, **of_shop)


def _purchasing(project: Project, events: Path | None, partitions: int | None) -> int:
    if events is None:
        raise ConfigError(
            "purchasing needs events",
            why="real items of purchase orders can't be made up",
            hint="choreo demo purchasing --events DIR: the directory with the events of BPI Challenge 2019",
        )
    deeds = read_deeds(events)
    with _staged(project, partitions) as (stage, url), project.progress.of("demo", "events") as told:
        found = run_purchases(stage, deeds, lambda what, done, total: told(done, total))
    if project.output.as_json:
        print_purchases_json(found, sys.stdout)
    else:
        print_purchases(found, _typed(next_questions(found, url), url), sys.stdout)
    return 0


def _shop(project: Project, partitions: int | None, orders: Path | None, count: int, seed: int, wall_time: bool) -> int:
    rows = read_orders(orders) if orders is not None else generate(count, seed)
    with _staged(project, partitions) as (stage, url):
        summary = _played(stage, rows, wall=wall_time or url.startswith("kafka:"), project=project)
    if project.output.as_json:
        print_json(summary, sys.stdout)
    else:
        print_summary(summary, _next(summary, url), sys.stdout)
    return 0


@contextmanager
def _staged(project: Project, partitions: int | None) -> Iterator[tuple[Stage, str]]:
    """The stage of a run, and the URL of its log."""
    with _stage(project) as staged, ExitStack() as opened:
        backends = opened.enter_context(closing(_backends(staged)))
        count = partitions or staged.config.topic("").partitions
        yield Stage(staged.make_log(), staged.registry, backends, count), staged.config.log.url


def _stage(project: Project) -> Project:
    """The project on the log that was asked for; where none was, on a fresh one of the demo's own."""
    config = project.config
    if config.origin("log.url") in ("--log", "CHOREO_LOG_URL"):
        return project
    place = Path(PLACE) if config.directory == Path.cwd() else config.path(PLACE)
    _wipe(place)
    url = f"embedded:{place / 'log'}"
    values = tuple(value for value in config.values if value.name not in ("registry.url", "run.state_dir"))
    run, registry = replace(config.run, state_dir=""), replace(config.registry, url="")
    return Project(replace(config, log=LogSection(url), run=run, registry=registry, values=values), project.output)


def _wipe(place: Path) -> None:
    """Remove what an earlier demo left, and nothing that looks like anything else."""
    if not place.exists():
        return
    strange = [path.name for path in place.iterdir() if path.name != "log"]
    if strange:
        raise ConfigError(f"{place} holds {strange[0]}, which no demo made", hint="move it away, or --log embedded:DIR")
    EmbeddedLog(place / "log").close()  # refuses while another demo is at it
    shutil.rmtree(place)


def _backends(project: Project) -> Backends:
    if project.config.log.url.startswith("memory:"):
        return MemoryBackends()
    return ProjectBackends(project.config.state_dir())


def _played(stage: Stage, rows: list[Row], *, wall: bool, project: Project) -> Summary:
    play = run_wall if wall else run_virtual
    if project.output.as_json or project.output.quiet:
        return play(stage, rows)
    if sys.stderr.isatty():
        with progress(sys.stderr) as watch:
            return play(stage, rows, watch)
    note(f"{len(rows):,} orders on {stage.log.url}, {stage.partitions} partitions")
    with project.progress.of("demo", "orders") as told:
        return play(stage, rows, lambda glimpse: told(sum(glimpse.statuses.values()), glimpse.orders))


def _next(summary: Summary, url: str) -> list[tuple[str, str]]:
    spoken = [
        (line.replace("replay verify", "replay verify demo"), shows) for line, shows in next_commands(summary, url)
    ]
    return _typed(spoken, url)


def _typed(lines: list[tuple[str, str]], url: str) -> list[tuple[str, str]]:
    """What to try next, as it is typed here; a log in memory is gone by then."""
    if url.startswith("memory:"):
        return []
    return [(f"{_program()}{line.removeprefix('choreo')}", shows) for line, shows in lines]


def _program() -> str:
    """How this program is called from here: by its name where the shell finds it, else by its path."""
    if shutil.which("choreo") is not None:
        return "choreo"
    called = Path(sys.argv[0])
    if called.name != "choreo":
        return f"{Path(sys.executable).name} -m choreo"
    return os.path.relpath(called)
