"""`python -m benchmarks [NAME ...]`: measure, and print one line of JSON a figure. Everything else goes to stderr."""

import argparse
import os
import sys
from contextlib import ExitStack

from benchmarks.families import FAMILIES, Family, sized
from benchmarks.machine import SkippedError, broker, say


def main(arguments: list[str]) -> int:
    """Measure what is named, or everything but the profile. Answers 1 where a figure could not be measured."""
    asked = _parser().parse_args(arguments)
    if asked.list:
        for family in FAMILIES.values():
            print(f"{family.name:10} {family.about}")
        return 0
    unknown = [name for name in asked.names if name not in FAMILIES]
    if unknown:
        say(f"there is no figure {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
        return 2
    names = asked.names or [name for name in FAMILIES if name != "profile"]
    missing = 0
    with ExitStack() as opened:
        if sum(FAMILIES[name].kafka for name in names) > 1:  # one broker for all of them
            try:
                os.environ["KAFKA_BOOTSTRAP"] = opened.enter_context(broker())
            except SkippedError as error:
                say(str(error))
        for name in names:
            missing += not _measured(FAMILIES[name], quick=asked.quick, count=asked.count)
    return 1 if missing else 0


def _measured(family: Family, *, quick: bool, count: int | None) -> bool:
    """Whether the family was measured; its figures are printed."""
    try:
        size = sized(family, quick=quick, count=count)
        say(f"-- {family.name}: {family.about} (n = {size.count:,})")
        for line in family.lines(size):
            print(line, flush=True)
    except SkippedError as error:
        say(f"NOT MEASURED: {family.name}: {error}")
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to measure; none means all but the profile")
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--quick", action="store_true", help="so small that only the road is tried; no figure to quote")
    parser.add_argument(
        "--count", type=int, metavar="N", help="how many events, sagas, keys ... instead of the default"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
