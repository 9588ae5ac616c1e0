"""Seeds as the pytest plugin hands them to tests. Light: it is imported by every pytest run that asks for one."""

from pathlib import Path


class KeptSeed(int):
    """A seed whose run was kept in a file: events and faults are taken from there, not from dice."""

    file: Path

    def __new__(cls, seed: int, file: Path) -> "KeptSeed":
        made = super().__new__(cls, seed)
        made.file = file
        return made


def kept_seed(file: Path) -> KeptSeed:
    """The seed of a file that a failing simulation wrote. Raises ValueError where it is none, and OSError."""
    import json  # a pytest run without the option needs none

    seed = json.loads(file.read_text(encoding="utf-8"))["seed"]
    return KeptSeed(int(seed), file)
