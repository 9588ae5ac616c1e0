"""`choreo init`: a small project that runs and passes its own tests, copied from the starter that travels in the wheel.

The starter is a project like any other, called `starter`; each occurrence of that word becomes the project's name.
"""

import keyword
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import click

from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.errors import ConfigError

STARTER = "starter"
PACKAGED = Path(__file__).parent / STARTER
CHECKOUT = Path(__file__).parents[2] / STARTER
FILES = (
    "pyproject.toml",
    "README.md",
    ".gitignore",
    "starter/__init__.py",
    "starter/events.py",
    "starter/seats.py",
    "starter/payments.py",
    "saga_specs/booking.yaml",
    "tests/test_booking.py",
)
"""What a project begins with; more may lie in a checkout's starter when somebody has run it."""
TAKEN = frozenset({"choreo", "tests", "saga_specs", "schemas"}) | sys.stdlib_module_names
"""Names of the standard library, and of the project's own directories; those of installed packages are taken, too."""
_WORD = re.compile(rf"\b{STARTER}\b")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@command("init")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="Of the package and the namespace; default: what DIR is called.")
def init(project: Project, directory: Path, name: str | None) -> int:
    """Make a small project in DIR, which is made where it is not there: two services, a saga, and tests that pass."""
    name = _checked(name) if name else _name_of(directory)
    _require_empty(directory)
    made = list(_written(directory, name))
    rows = [{"file": str(path)} for path in made]
    project.output.listing(rows, ["file"])
    note(f"made the project {name}. What to try:")
    for line in _next(directory, name):
        note(f"  {line}")
    return 0


def _written(directory: Path, name: str) -> Iterator[Path]:
    """Write each file; answers where it lies. Raises ConfigError."""
    source = next((place for place in (PACKAGED, CHECKOUT) if (place / FILES[0]).is_file()), None)
    if source is None:
        raise ConfigError(
            "the starter is not there", why=f"neither {PACKAGED} nor {CHECKOUT} has it", hint="reinstall choreo"
        )
    for file in FILES:
        path = directory / _WORD.sub(name, file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as written:
                written.write(_WORD.sub(name, (source / file).read_text(encoding="utf-8")))
        except OSError as error:
            raise ConfigError(f"{path} can't be written", why=str(error), hint="another DIR") from error
        yield path


def _require_empty(directory: Path) -> None:
    """Raises ConfigError where something lies in the directory already; an empty repository's .git may."""
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory} is a file", hint="choreo init DIR makes the directory")
    there = sorted(path.name for path in directory.iterdir() if path.name != ".git") if directory.exists() else []
    if there:
        raise ConfigError(
            f"{directory} is not empty",
            why=f"it holds {', '.join(there[:3])}{' and more' if len(there) > 3 else ''}; nothing was written",
            hint="choreo init NEW_DIRECTORY",
        )


def _name_of(directory: Path) -> str:
    """The name that follows from the directory's: `Box-Office` gives box_office. Raises ConfigError."""
    return _checked(re.sub(r"[\s.-]+", "_", directory.resolve().name.lower()))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigError(f"{name!r} can't be the name of a project", hint="--name NAME: small letters, digits and _")
    if name in TAKEN or name in packages_distributions():
        raise ConfigError(f"{name} is taken", why="another module is called so", hint="--name NAME")
    return name


def _next(directory: Path, name: str) -> Iterator[str]:
    """The first commands."""
    if directory.resolve() != Path.cwd():
        yield f"cd {directory}"
    yield "choreo dev      # runs it, and again after each save; the rest in a second terminal"
    yield f"choreo emit {name}.events:BookingRequested booking_id=b1 seats=2 price=80.00"
    yield "choreo sagas show b1"
    yield "pytest"
