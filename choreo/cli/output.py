"""What goes to stdout: tables for people, one JSON object a line for programs. Progress goes to stderr."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import click

from choreo.clock import iso

Row = Mapping[str, object]
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
"""What a key or a text on the log must not do to a terminal: colours, a moved cursor, a broken table."""
_IN_LINES = {code: shown for code, shown in CONTROLS.items() if chr(code) not in "\n\t"}
LAID_OUT_BY = 1_000
"""Rows of a table that are looked at before the first is printed."""


class Output:
    """Writes listings and single things, as people or programs want them."""

    def __init__(self, as_json: bool, verbose: bool, stream: TextIO, *, quiet: bool = False) -> None:
        self.as_json, self.verbose, self.quiet, self._stream = as_json, verbose, quiet, stream
        self._hidden: set[str] = set()

    def hide(self, word: str) -> None:
        """No line from here on has this word in it, nor has it as JSON writes it."""
        self._hidden |= {word, json.dumps(word, ensure_ascii=False)[1:-1]}

    def without_hidden(self, text: str) -> str:
        """A text for elsewhere than stdout, without what is hidden."""
        if not self._hidden:
            return text
        from choreo.telemetry.privacy import without  # only where something is hidden: it is not light

        return without(text, self._hidden)

    def listing(self, rows: Iterable[Row], columns: Sequence[str], empty: str = "") -> None:
        """One line a row: people see these columns, as wide as the first LAID_OUT_BY rows need them; programs every
        key. `empty` goes to stderr. Of any number of rows no more than those are kept in memory.
        """
        if self.as_json:
            for row in rows:
                self.line(as_json(row))
            return
        cells = ([as_text(row.get(column)).translate(CONTROLS) for column in columns] for row in rows)
        first = list(islice(cells, LAID_OUT_BY))
        if not first:
            note(empty or "nothing")
            return
        heads = [column.replace("_", " ").upper() for column in columns]
        widths = [max(len(line[n]) for line in [heads, *first]) for n in range(len(columns))]
        for line in chain([heads], first, cells):
            self.line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def thing(self, row: Row, lines: Iterable[str]) -> None:
        """One thing: these lines for people, the row for programs."""
        for line in [as_json(row)] if self.as_json else map(_tame, lines):
            self.line(line)

    def line(self, text: str) -> None:
        """One line on stdout."""
        self._stream.write(self.without_hidden(text) + "\n")


def note(text: str) -> None:
    """Progress, and whatever else is not the answer: one line on stderr."""
    click.echo(_tame(text), err=True)


def as_json(row: Row) -> str:
    """A row as one line of JSON."""
    return json.dumps(row, default=_plain, ensure_ascii=False)


def as_text(value: object) -> str:
    """A cell of a table."""
    if value is None:
        return "-"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(as_text(part) for part in value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{key}={as_text(part)}" for key, part in value.items()) or "-"
    return str(_plain(value)) if isinstance(value, datetime | bytes) else str(value)


def as_value(value: object) -> str:
    """What somebody remembers, one value on a line: a list of tables shows where each of them ends."""
    if isinstance(value, bool | list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return as_text(value)


def _tame(text: str) -> str:
    return text.translate(_IN_LINES)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value, "seconds")
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    return str(value)
