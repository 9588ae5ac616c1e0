"""Reads an event log of purchase orders (one CSV file, plain or gzipped) into deeds, in the order of a replay.

Source: van Dongen, B.F. (2019): BPI Challenge 2019, 4TU.ResearchData, CC BY 4.0,
doi:10.4121/uuid:d06aff4b-79f0-45e6-8ec8-e19730c248f1; as `events.csv.gz`, reduced to one trace for each variant.
"""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

from choreo.demo.files import columns_in, find_file
from choreo.errors import ConfigError

NAMES = ("events.csv.gz", "events.csv")
COLUMNS = ("case_id", "seq", "activity", "timestamp")
CATEGORY = "item_category"
"""A column that may be missing: it is in the published log, and not in its reduction."""


class Deed(NamedTuple):
    """One line: an activity of one case. `seq` counts within the case from 0; the time is aware, UTC."""

    case_id: str
    seq: int
    activity: str
    happened_at: datetime
    category: str = ""


def read_deeds(directory: Path) -> list[Deed]:
    """All lines of the directory's event log, oldest first, each case in the order of its `seq`.

    A case whose times go back is kept in its order: what follows is no earlier than what came before. Raises
    ConfigError with the file, the line and the column that can't be read, and where the numbers of a case don't count
    from 0.
    """
    path = find(directory)
    cases: dict[str, list[Deed]] = {}
    for deed in read_lines(path):
        cases.setdefault(deed.case_id, []).append(deed)
    if not cases:
        raise ConfigError(f"{path.name} holds no events", at=path)
    timed: list[tuple[datetime, Deed]] = []
    for case_id, deeds in cases.items():
        deeds.sort(key=lambda deed: deed.seq)
        latest = deeds[0].happened_at
        for number, deed in enumerate(deeds):
            if deed.seq != number:
                why = f"event {number} is missing" if deed.seq > number else f"event {deed.seq} stands twice"
                raise ConfigError(f"case {case_id} does not count from 0: {why}", at=path, hint="complete the case")
            latest = max(latest, deed.happened_at)
            timed.append((latest, deed))
    timed.sort(key=lambda pair: pair[0])
    return [deed for _, deed in timed]


def find(directory: Path) -> Path:
    """The event log in a directory. Raises ConfigError."""
    return find_file(directory, NAMES, "event log", "--events DIR: the directory with the events of BPI Challenge 2019")


def read_lines(path: Path) -> Iterator[Deed]:
    """One deed a line, in the order of the file. Raises ConfigError with file:line."""
    line = 1
    try:
        with _opened(path) as file:
            reader = csv.reader(file, strict=True)
            places = _places(path, next(reader, []))
            for values in reader:
                line = reader.line_num
                if values:
                    yield _deed(values, places, f"{path}:{line}")
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"can't read {path.name}", at=f"{path}:{line}", why=str(error)) from error


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _places(path: Path, header: list[str]) -> list[int]:
    """Where each column stands; the last is -1 where nobody says the category."""
    found = [name.strip() for name in header]
    return [*columns_in(path, header, COLUMNS), found.index(CATEGORY) if CATEGORY in found else -1]


def _deed(values: list[str], places: list[int], at: str) -> Deed:
    if len(values) <= max(places):
        raise ConfigError(f"the line has only {len(values)} columns", at=at, hint="complete the line")
    case_id, seq, activity, timestamp = (values[place].strip() for place in places[:4])
    if not case_id:
        raise ConfigError("case_id is empty", at=at, hint="correct the cell: the id of a case")
    if not (seq.isascii() and seq.isdigit()):
        raise ConfigError(f"seq = {seq!r} is not a number", at=at, hint="correct the cell: a count like 3")
    try:
        happened_at = _moment(timestamp)
    except ValueError:
        hint = "correct the cell: a time like 2018-01-02T12:53:00+00:00"
        raise ConfigError(f"timestamp = {timestamp!r} is no time", at=at, hint=hint) from None
    return Deed(case_id, int(seq), activity, happened_at, values[places[4]].strip() if places[4] >= 0 else "")


@lru_cache(maxsize=65_536)
def _moment(text: str) -> datetime:
    """A time in UTC; one that names no zone is in UTC. Minutes repeat: the last are remembered."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
