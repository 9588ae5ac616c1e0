"""Which rows of a listing are meant: a condition in CEL over what programs see of them (`--json`), and their times."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from cel_expr_python import cel

from choreo.cli.record_filters import RecordFilters
from choreo.clock import to_micros
from choreo.replay.selection import compiled


class RowFilters:
    """`columns` are what a condition may speak of, with their types in CEL; where one is empty it is not true.

    Raises ConfigError for a condition that makes no sense over them.
    """

    def __init__(self, filters: RecordFilters, columns: Mapping[str, Any]) -> None:
        self._since, self._until = filters.bounds()
        self._limit = filters.limit
        self._columns = columns
        self._condition = compiled(filters.where, columns, columns) if filters.where else None

    def chosen(self, rows: Iterable[Mapping[str, Any]], first: str, last: str) -> Iterator[Mapping[str, Any]]:
        """Those of them that are meant. `first` and `last` name the columns that say from when to when one goes: it is
        meant where anything of that lies within the bounds; where they are empty and bounds are given, it is not.
        """
        return islice((row for row in rows if self._within(row[first], row[last]) and self._fits(row)), self._limit)

    def _within(self, first: datetime | None, last: datetime | None) -> bool:
        if self._since is None and self._until is None:
            return True
        if first is None or last is None:
            return False
        began, ended = to_micros(first), to_micros(last)
        return (self._until is None or began < self._until) and (self._since is None or ended >= self._since)

    def _fits(self, row: Mapping[str, Any]) -> bool:
        if self._condition is None:
            return True
        result = self._condition.eval(data={name: row[name] for name in self._columns if row[name] is not None})
        return result.type() != cel.Type.ERROR and result.plain_value() is True
