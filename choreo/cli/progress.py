"""How far something long is: a bar with count, rate and time left on a terminal, else a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

EVERY_S = 10.0
"""Between two lines where nobody looks at a terminal."""
SHOW_AFTER_S = 0.5
"""A bar that would be gone at once is not shown."""
DRAW_EVERY_S = 0.1
LEAST_BAR = 8
"""Columns of a bar and what parts it from the words: where a terminal has less room, they are fewer."""


class Told(Protocol):
    """Told how much is done, of how much in all where that is known."""

    def __call__(self, done: int, total: int | None = None, /) -> None: ...


def untold(done: int, total: int | None = None, /) -> None:
    """Nobody listens."""


class Progress:
    """Shows how far one thing after the other is. `now` gives seconds; `silent` shows nothing at all."""

    def __init__(
        self, stream: TextIO, *, terminal: bool, silent: bool, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._terminal, self._silent, self._now = stream, terminal, silent, now

    @contextmanager
    def of(self, what: str, unit: str) -> Iterator[Told]:
        """For as long as `what` goes on, which is counted in `unit`."""
        if self._silent:
            yield untold
        elif self._terminal:
            with self._bar(what, unit) as told:
                yield told
        else:
            yield _Lines(what, unit, self._stream, self._now)

    @contextmanager
    def _bar(self, what: str, unit: str) -> Iterator[Told]:
        from rich import progress as shown  # a tenth of a second: only for those who see a bar
        from rich.console import Console

        columns = (
            shown.TextColumn("{task.description}", markup=False),
            shown.BarColumn(24),
            shown.TextColumn("{task.fields[words]}", markup=False),
        )
        console = Console(file=self._stream, force_terminal=True)
        with shown.Progress(*columns, console=console, transient=True, get_time=self._now, auto_refresh=False) as bar:
            task = bar.add_task(what, total=None, words="", visible=False)
            began = drawn = self._now()

            def told(done: int, total: int | None = None, /) -> None:
                nonlocal drawn
                now = self._now()
                if now - began >= SHOW_AFTER_S and (now - drawn >= DRAW_EVERY_S or done == total):
                    drawn = now
                    words = sentence(done, total, unit, now - began)
                    if len(what) + LEAST_BAR + len(words) > console.width:
                        words = remains(done, total, now - began) or words
                    bar.update(task, completed=done, total=total, words=words, visible=True, refresh=True)

            yield told


class _Lines:
    """One line every so often."""

    def __init__(self, what: str, unit: str, stream: TextIO, now: Callable[[], float]) -> None:
        self._what, self._unit, self._stream, self._now = what, unit, stream, now
        self._began = self._said = now()

    def __call__(self, done: int, total: int | None = None, /) -> None:
        now = self._now()
        if now - self._said >= EVERY_S:
            self._said = now
            self._stream.write(f"{self._what}: {sentence(done, total, self._unit, now - self._began)}\n")
            self._stream.flush()


def remains(done: int, total: int | None, elapsed_s: float) -> str:
    """`25%, 9 s left`: what people wait for, where there is no room for more; empty where it is not known."""
    left = f", {_readable((total - done) * elapsed_s / done)} left" if total and 0 < done < total else ""
    return f"{done * 100 // total}%{left}" if total else ""


def sentence(done: int, total: int | None, unit: str, elapsed_s: float) -> str:
    """`1,200 of 4,800 records (25%), 400/s, 9 s left`; without a total there is no share and no time left."""
    rate = done / elapsed_s if elapsed_s > 0 else 0.0
    paced = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
    if total is None:
        return f"{done:,} {unit}, {paced}"
    share = f" ({done * 100 // total}%)" if total else ""
    left = f", {_readable((total - done) / rate)} left" if rate > 0 and done < total else ""
    return f"{done:,} of {total:,} {unit}{share}, {paced}{left}"


def _readable(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
