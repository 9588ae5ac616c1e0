"""What a run over purchase orders came to: as a value, for people and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from choreo.demo.show import print_next
from choreo.demo.summary import STATUSES, readable


@dataclass(frozen=True, kw_only=True)
class Purchases:
    """A run at its end. A case is one item of a purchase order; event names are full names."""

    cases: int
    events: int
    """Of all cases, whether the saga reads them or not."""
    statuses: Mapping[str, int]
    """Cases by the status of their saga."""
    waiting: Mapping[str, int]
    """Cases by the event that they wait for; one that waits for two counts twice."""
    new: int
    """Events that this run wrote: those that the log did not have yet."""
    wall_s: float
    """To write the new events and to follow all that were not followed yet."""
    cpu_s: float
    """What this process used for that, all of its threads."""
    examples: Mapping[str, str]
    """One case for each event that is waited for."""

    @property
    def events_per_s(self) -> float:
        """New events, written and followed, in a second of wall time."""
        return self.new / self.wall_s if self.wall_s > 0 else 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return {
            "cases": self.cases,
            "events": self.events,
            "statuses": {status: self.statuses.get(status, 0) for status in STATUSES},
            "waiting": dict(self.waiting),
            "events_new": self.new,
            "wall_s": round(self.wall_s, 3),
            "cpu_s": round(self.cpu_s, 3),
            "events_per_s": round(self.events_per_s),
            "examples": dict(self.examples),
        }


def print_purchases(found: Purchases, next_commands: Sequence[tuple[str, str]], stream: TextIO) -> None:
    """The summary for people, then each next command with what it shows."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    table = Table(
        title=f"{found.cases:,} items of purchase orders, {found.events:,} events",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("outcome")
    table.add_column("items", justify="right")
    table.add_column("share", justify="right")
    for status in STATUSES:
        _add(table, status, found.statuses.get(status, 0), found.cases)
        for event, count in found.waiting.items() if status == "waiting" else ():
            _add(table, f"  for {event.rpartition('.')[2]}", count, found.cases)
    console.print(table)
    pace = f"{readable(found.wall_s)} ({readable(found.cpu_s)} of CPU): {found.events_per_s:,.0f} events/s"
    console.print(f"{'events new':<22}{found.new:,} in {pace}", markup=False)
    print_next(console, next_commands)


def _add(table: Table, what: str, count: int, cases: int) -> None:
    if count:
        table.add_row(what, f"{count:,}", f"{count / max(cases, 1):.1%}")


def print_purchases_json(found: Purchases, stream: TextIO) -> None:
    """The summary as one JSON object."""
    stream.write(json.dumps(found.as_json(), indent=2) + "\n")


def next_questions(found: Purchases, log: str) -> list[tuple[str, str]]:
    """Commands that go on from here, with an item of this run in them."""
    some = next(iter(found.examples.values()), "ID")
    return [
        (f"choreo sagas list --step goods_receipt=waiting --log {log}", "which items wait for goods"),
        (f"choreo sagas show {some} --log {log}", "one item: each step, what was taken back and done again"),
        (f"choreo replay verify demo:purchasing --log {log}", "rebuilds the store from the log and compares the two"),
    ]
