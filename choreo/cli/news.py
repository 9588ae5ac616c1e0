"""What a running command tells on its way, on stderr: one line a log record, for people or for programs."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from choreo.telemetry.log_lines import COMMAND, ConsoleLines, JsonLines, Origin, Sparing

LOGGER = logging.getLogger("choreo")
say = logging.getLogger(COMMAND).info
"""One line about the run itself; plain text on a console."""


@contextmanager
def telling(
    level: str, *, as_json: bool = False, worker: int | None = None, only: Sequence[logging.Filter] = ()
) -> Iterator[Origin]:
    """Show what Choreo and its handlers log from `level` on, and what everybody else logs from WARNING on.

    `worker` is the number of this process, where there are several; `only` lets the lines through that it is about.
    Yields what names the services that run here.
    """
    handler, origin = logging.StreamHandler(sys.stderr), Origin(worker)
    handler.setFormatter(JsonLines() if as_json else ConsoleLines())
    for one in (*only, Sparing(), origin):
        handler.addFilter(one)
    before, root = LOGGER.level, logging.getLogger()
    root.addHandler(handler)
    LOGGER.setLevel(level.upper())
    try:
        yield origin
    finally:
        root.removeHandler(handler)
        LOGGER.setLevel(before)
