"""`choreo simulate`: run after run of a simulation, from seeds or from a file that a failing run left."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from choreo.cli.options import command
from choreo.cli.project import Project
from choreo.errors import ConfigError

if TYPE_CHECKING:
    from choreo.testing.abreast import Load
    from choreo.testing.simulation import Simulation

SEEDS = 100
FOUND = 1


@command("simulate")
@click.argument("module", metavar="MODULE[:ATTR]")
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help=f"How many runs, from seed 0 on ({SEEDS}).")
@click.option("--seed", type=int, metavar="S", help="This seed only, or the first one of --seeds.")
@click.option("--processes", type=click.IntRange(min=1), metavar="N", help="So many share the runs (1).")
@click.option("--from", "kept", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Replay this file.")
def simulate(
    project: Project, module: str, seeds: int | None, seed: int | None, processes: int | None, kept: Path | None
) -> int:
    """Run the `choreo.testing.Simulation` in a module under crashes, delays, duplicates and failing calls.

    Ends at the first run in which an invariant does not hold: with the shortest story that still breaks it, and a file
    that replays it. Exit code 1 then. What is said is the same however many processes share the runs.
    """
    from choreo.runtime.heap import rare_collections
    from choreo.testing.report import SimulationFailed

    load = partial(_simulation, module, (project.config.directory, Path.cwd()))
    simulation = load()
    if kept is not None and (seeds is not None or seed is not None or processes is not None):
        raise ConfigError(
            "--from replays one run: it takes no seed, and one process", hint="leave --seed, --seeds, --processes out"
        )
    first = seed or 0
    count = 1 if kept is not None or (seed is not None and seeds is None) else seeds or SEEDS
    chosen = range(first, first + count)
    began, done = _cpu_s(), 0
    try:
        with project.progress.of(f"simulate {module}", "runs") as told, rare_collections():
            alone = processes is None or processes == 1
            for done in _runs(simulation, chosen, kept) if alone else _shared(simulation, chosen, load, processes or 1):
                told(done, count)
    except SimulationFailed as failure:
        row = {"target": module, "holds": False, "runs": done, "seed": failure.seed, "what": failure.what}
        shown = str(failure).replace("simulate TARGET", f"simulate {module}")
        project.output.thing(row | {"file": failure.file, "story": shown}, shown.splitlines())
        return FOUND
    row = {"target": module, "holds": True, "runs": done, "cpu_s": round(_cpu_s() - began, 3)}
    what = f"the run of {kept}" if kept is not None else f"{done:,} runs from seed {first}"
    project.output.thing(row, [f"everything holds in {what}"])
    return 0


def _runs(simulation: "Simulation", seeds: range, kept: Path | None) -> Iterator[int]:
    """How many runs hold, after each. Raises SimulationFailed at the first that does not."""
    if kept is not None:
        simulation.replay(kept)
        yield 1
        return
    for number, seed in enumerate(seeds, 1):
        simulation.run(seed)
        yield number


def _shared(simulation: "Simulation", seeds: range, load: "Load", processes: int) -> Iterator[int]:
    """The same by several processes; the run that does not hold is made again here, to be told."""
    from choreo.testing.abreast import hold

    for number, (seed, holds) in enumerate(zip(seeds, hold(load, seeds, processes), strict=True), 1):
        if not holds:
            simulation.run(seed)
            raise ConfigError(
                f"the run of seed {seed} did not hold in one process and holds in another",
                why="something in it is not made from the seed: a clock or dice of its own, or what a run before left",
                hint=f"--seed {seed} --processes 1 runs it alone; ctx.now and ctx.random are made from the seed",
            )
        yield number


def _cpu_s() -> float:
    """CPU seconds of this process, and of those that it has waited for."""
    return sum(os.times()[:4])


def _simulation(target: str, directories: tuple[Path, ...]) -> "Simulation":
    from choreo.config.modules import Modules
    from choreo.testing.simulation import Simulation

    module, things = Modules(*directories).find(target)
    found: list[Any] = list({id(thing): thing for thing in things if isinstance(thing, Simulation)}.values())
    if len(found) == 1:
        return found[0]  # type: ignore[no-any-return]  # a Simulation: seen above
    names = [name for name, thing in vars(module).items() if isinstance(thing, Simulation)]
    raise ConfigError(
        f"{target} is no simulation" if ":" in target else f"{target} holds {len(found)} simulations, not one",
        at=module.__file__,
        hint=f"{target.partition(':')[0]}:NAME, one of {', '.join(names)}" if names else "simulation = Simulation(...)",
    )
