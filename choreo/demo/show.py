"""Shows a demo run at the console: live progress on stderr; at the end the summary and what to try next on stdout."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
)
from rich.table import Table
from rich.text import Text

from choreo.clock import to_datetime
from choreo.demo.summary import STATUSES, Glimpse, Summary, Watch, readable


@contextmanager
def progress(
    stream: TextIO, *, force_terminal: bool | None = None, now: Callable[[], float] = time.monotonic
) -> Iterator[Watch]:
    """A live line on `stream`: orders placed of all, the clock of the run, sagas by status, pace and time left.

    Nothing is shown where `stream` is no terminal, unless `force_terminal` says that it is one. `now` gives seconds.
    """
    columns = (
        SpinnerColumn(),
        BarColumn(16),
        MofNCompleteColumn(),
        TextColumn("orders  {task.fields[moment]}  {task.fields[counts]}"),
        _Pace(),
    )
    console = Console(file=stream, force_terminal=force_terminal)
    with Progress(*columns, console=console, transient=True, get_time=now) as bar:
        task = bar.add_task("", total=None, moment="", counts="")

        def watch(glimpse: Glimpse, /) -> None:
            shown = [f"{glimpse.statuses[status]:,} {status}" for status in STATUSES if glimpse.statuses.get(status)]
            bar.update(
                task,
                total=glimpse.orders,
                completed=sum(glimpse.statuses.values()),
                moment=f"{to_datetime(glimpse.now):%Y-%m-%d}",
                counts=" · ".join(shown),
            )

        yield watch


class _Pace(ProgressColumn):
    """Orders a second, and the time left at that pace."""

    def render(self, task: Task) -> Text:
        if not task.speed or task.time_remaining is None:
            return Text("")
        return Text(f"{task.speed:,.0f}/s, {readable(task.time_remaining)} left")


def print_summary(summary: Summary, next_commands: Sequence[tuple[str, str]], stream: TextIO) -> None:
    """The summary for people, then each next command with what it shows."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    outcomes = Table(title=f"{summary.orders:,} orders", title_justify="left", box=None, pad_edge=False)
    outcomes.add_column("outcome")
    outcomes.add_column("orders", justify="right")
    outcomes.add_column("share", justify="right")
    for status in STATUSES:
        count = summary.statuses.get(status, 0)
        if count:
            outcomes.add_row(status, f"{count:,}", f"{count / max(summary.orders, 1):.1%}")
    console.print(outcomes)
    for name, fact in _facts(summary):
        console.print(f"{name:<22}{fact}", markup=False)
    print_next(console, next_commands)


def print_next(console: Console, commands: Sequence[tuple[str, str]]) -> None:
    """Commands that go on from here, each with what it shows; nothing where there are none."""
    if commands:
        console.print("\nTry next:")
        for command, shows in commands:
            console.print(f"  {command}", markup=False)
            console.print(f"      {shows}", markup=False, style="dim")


def _facts(summary: Summary) -> Iterator[tuple[str, str]]:
    yield "steps undone", f"{summary.compensations:,}"
    yield "promises broken", f"{summary.overdue:,} orders overdue"
    yield "cancellations refused", f"{summary.refused:,}"
    pace = f"{readable(summary.wall_s)} of wall time: {summary.events_per_s:,.0f} events/s"
    yield "events handled", f"{summary.handled:,} in {pace}"
    if summary.saga_p50_s is not None and summary.saga_p99_s is not None:
        times = f"p50 {readable(summary.saga_p50_s)}, p99 {readable(summary.saga_p99_s)}"
        yield "saga time", f"{times} in {summary.time} (the run spans {readable(summary.spanned_s)} of it)"


def print_json(summary: Summary, stream: TextIO) -> None:
    """The summary as one JSON object."""
    stream.write(json.dumps(summary.as_json(), indent=2) + "\n")


def next_commands(summary: Summary, log: str) -> list[tuple[str, str]]:
    """Three commands that go on from here, with orders of this run in them."""
    undone = next(
        (summary.examples[s] for s in ("compensated", "cancelled", "completed") if s in summary.examples), "ID"
    )
    waiting = summary.examples.get("waiting", undone)
    return [
        (f"choreo sagas show {undone} --log {log}", "one order: each step, what was undone and why"),
        (f"choreo sagas why {waiting} --log {log}", "what an order waits for, and who should say it"),
        (f"choreo replay verify --log {log}", "rebuilds every store from the log and compares it with the live one"),
    ]
