"""`choreo check --explore`: tries every run of each saga and shows the one that breaks a promise."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import NamedTuple

from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.diagram.parts import Parts
from choreo.diagram.sequence import as_mermaid, as_rows, as_text, sequence_of
from choreo.saga.explore import Bounds, Exploration, explore
from choreo.saga.rules import Spec


class Asked(NamedTuple):
    """How many states to look at for each saga, and whether runs are shown as Mermaid."""

    states: int
    mermaid: bool = False


def explore_specs(project: Project, parts: Parts, asked: Asked) -> bool:
    """Explore each spec and say what was found; answers whether every promise was kept."""
    sound = True
    for spec in parts.specs:
        if not project.output.quiet:
            note(f"exploring saga {spec.name}, at most {asked.states} states")
        found = explore(spec, parts.lanes(spec), Bounds(states=asked.states))
        sound = sound and found.counterexample is None
        project.output.thing(_row(parts, spec, found, asked), _lines(parts, spec, found, asked))
    return sound


def summary(spec: Spec, found: Exploration) -> str:
    """How much was looked at, and whether that is all there is."""
    looked = f"saga {spec.name}: {found.states} states, up to {found.depth} moves in a row"
    if found.left_out:
        looked += f" (without {', '.join(found.left_out)})"
    if found.counterexample is not None:
        return f"{looked}; broken: {found.counterexample.promise}"
    if found.complete:
        return f"{looked}: every run keeps every promise (at most one cancellation and one duplicate a run)"
    few = {
        0: f"all runs of fewer than {found.depth} moves without a timer, duplicate or cancellation were seen; ",
        1: "all runs without a timer, duplicate or cancellation were seen; ",
    }
    seen = few.get(
        found.disturbances,
        f"all runs with fewer than {found.disturbances} timers, duplicates, cancellations were seen; ",
    )
    widened = ", which --states widens" if found.bound and found.bound.endswith("states") else ""
    return f"{looked}: no promise broken; {seen}more lies beyond the bound of {found.bound}{widened}"


def _lines(parts: Parts, spec: Spec, found: Exploration, asked: Asked) -> Iterator[str]:
    yield summary(spec, found)
    if found.counterexample is not None:
        picture = sequence_of(spec, found.counterexample, parts.at_work(spec))
        yield from as_mermaid(picture).splitlines() if asked.mermaid else as_text(picture)


def _row(parts: Parts, spec: Spec, found: Exploration, asked: Asked) -> dict[str, object]:
    row = {"saga": spec.name, "version": spec.version, **asdict(found), "complete": found.complete}
    del row["counterexample"]
    broken = found.counterexample
    if broken is None:
        return row | {"broken": None}
    picture = sequence_of(spec, broken, parts.at_work(spec))
    run: Sequence[object] | str = as_mermaid(picture) if asked.mermaid else as_rows(picture)
    return row | {"broken": {"promise": broken.promise, "says": broken.says, "given": broken.given, "run": run}}
