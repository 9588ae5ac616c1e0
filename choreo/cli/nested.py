"""The sagas that the specs of a project may nest: its own, then those that lie on the log, whoever deployed them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from choreo.log.interface import Log
from choreo.saga.offers import Offers
from choreo.saga.shelf import whole_shelf


def offers_of(paths: Iterable[Path], log: Callable[[], Log | None]) -> Offers:
    """What these files and a log offer; the log is opened for a saga that no file has. It answers None where no log is
    to be asked.
    """

    def files() -> Iterator[str]:
        for path in paths:
            with suppress(OSError, UnicodeDecodeError):
                yield path.read_bytes().decode()

    def deployed() -> Iterator[str]:
        found = log()
        return iter(()) if found is None else (one.source for one in whole_shelf(found))

    return Offers(files, deployed)
