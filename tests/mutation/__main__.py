"""`make mutation`: how many mutants of `decide` its tests catch, and what those are that they don't; docs/mutation.md.

mutmut works in a copy of the checkout under .choreo/mutation, with the configuration of pyproject.toml. Names of
mutants as arguments try those alone, in the copy that is there, after it was brought up to date.
"""

import ast
import difflib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".choreo" / "mutation"
SITE, TREE = PLACE / "site", PLACE / "tree"
MUTMUT = "mutmut==3.8.1"
COPIED = (
    "choreo", "tests", "docs", "saga_specs", "schemas", "services", "starter", "benchmarks", "pyproject.toml",
    "README.md", "CHANGELOG.md", "Makefile",
)  # fmt: skip
FAILED, STOPPED = (1, 3), (-24, 24, 152, 36, 255)
"""How the tests of a mutant may end that is caught: they failed, or went on for ever."""
WANTED = 0.95


class Mutant(NamedTuple):
    """One change of one function: `name` is mutmut's, `change` the lines that differ."""

    module: str
    name: str
    caught: bool
    stopped: bool
    """Caught because its tests took too long: on a machine that does other things besides, look again."""
    change: tuple[str, ...]


def install() -> None:
    """mutmut, beside the virtual environment and not in it."""
    if not (SITE / "mutmut").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(SITE), MUTMUT]
        subprocess.run(command, check=True)


def copy() -> None:
    """The checkout as it is now, without what mutmut has made in the copy."""
    TREE.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source, target = ROOT / name, TREE / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)


def mutants() -> Iterator[Mutant]:
    """Every mutant of the last run, in the order of the source."""
    for meta in sorted((TREE / "mutants").rglob("*.py.meta")):
        outcomes = json.loads(meta.read_text())["exit_code_by_key"]
        source = meta.with_suffix("").read_text() if outcomes else ""
        lines = source.splitlines()
        bodies = {
            node.name: lines[node.lineno : node.end_lineno]
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef)
        }
        for name, code in outcomes.items():
            function = name.rpartition(".")[2]
            before = bodies[f"{function.partition('__mutmut_')[0]}__mutmut_orig"]
            difference = difflib.unified_diff(before, bodies[function], n=0, lineterm="")
            change = tuple(line for line in difference if not line.startswith(("---", "+++", "@@")))
            yield Mutant(meta.with_suffix("").stem, name, code in (*FAILED, *STOPPED), code in STOPPED, change)


def report(found: Sequence[Mutant]) -> float:
    """Print what survives and the count of each module; the share that is caught."""
    for one in found:
        if not one.caught:
            print(one.name, *one.change, sep="\n    ")
    for module in dict.fromkeys(one.module for one in found):
        of_it = [one.caught for one in found if one.module == module]
        print(f"{module:12} {len(of_it):5} mutants {sum(of_it):5} caught")
    caught = sum(one.caught for one in found)
    share = caught / len(found)
    stopped = sum(one.stopped for one in found)
    print(f"{'all':12} {len(found):5} mutants {caught:5} caught: {share:.1%} ({stopped} of them stopped)")
    return share


def main(names: Sequence[str]) -> int:
    install()
    if not names:
        shutil.rmtree(TREE, ignore_errors=True)
    copy()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"CI": "true"}
    command = ["nice", sys.executable, "tests/mutation/standing.py", str(SITE), "run", *names]
    done = subprocess.run(command, cwd=TREE, env=environment, check=False)
    return done.returncode or int(report(list(mutants())) < WANTED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
