"""`choreo simulate`: run after run of a simulation, from seeds or from a file that a failing run left."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from choreo.cli.options import command
from choreo.cli.project import Project
from choreo.errors import ConfigError

if TYPE_CHECKING:
    from choreo.testing.simulation import Simulation

SEEDS = 100
FOUND = 1


@command("simulate")
@click.argument("module", metavar="MODULE[:ATTR]")
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help=f"How many runs, from seed 0 on ({SEEDS}).")
@click.option("--seed", type=int, metavar="S", help="This seed only, or the first one of --seeds.")
@click.option("--from", "kept", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Replay this file.")
def simulate(project: Project, module: str, seeds: int | None, seed: int | None, kept: Path | None) -> int:
    """Run the `choreo.testing.Simulation` in a module under crashes, delays, duplicates and failing calls.

    Ends at the first run in which an invariant does not hold: with the shortest story that still breaks it, and a file
    that replays it. Exit code 1 then.
    """
    from choreo.testing.report import SimulationFailed

    simulation = _simulation(project, module)
    if kept is not None and (seeds is not None or seed is not None):
        raise ConfigError("--from replays one run: it takes no seed", hint="leave --seed and --seeds out")
    first = seed or 0
    count = 1 if kept is not None or (seed is not None and seeds is None) else seeds or SEEDS
    began, done = time.process_time(), 0
    try:
        with project.progress.of(f"simulate {module}", "runs") as told:
            for number in range(count):
                if kept is not None:
                    simulation.replay(kept)
                else:
                    simulation.run(first + number)
                done = number + 1
                told(done, count)
    except SimulationFailed as failure:
        row = {"target": module, "holds": False, "runs": done, "seed": failure.seed, "what": failure.what}
        shown = str(failure).replace("simulate TARGET", f"simulate {module}")
        project.output.thing(row | {"file": failure.file, "story": shown}, shown.splitlines())
        return FOUND
    row = {"target": module, "holds": True, "runs": done, "cpu_s": round(time.process_time() - began, 3)}
    what = f"the run of {kept}" if kept is not None else f"{done:,} runs from seed {first}"
    project.output.thing(row, [f"everything holds in {what}"])
    return 0


def _simulation(project: Project, target: str) -> "Simulation":
    from choreo.config.modules import Modules
    from choreo.testing.simulation import Simulation

    module, things = Modules(project.config.directory, Path.cwd()).find(target)
    found: list[Any] = list({id(thing): thing for thing in things if isinstance(thing, Simulation)}.values())
    if len(found) == 1:
        return found[0]  # type: ignore[no-any-return]  # a Simulation: seen above
    names = [name for name, thing in vars(module).items() if isinstance(thing, Simulation)]
    raise ConfigError(
        f"{target} is no simulation" if ":" in target else f"{target} holds {len(found)} simulations, not one",
        at=module.__file__,
        hint=f"{target.partition(':')[0]}:NAME, one of {', '.join(names)}" if names else "simulation = Simulation(...)",
    )
