"""What the runtime tells on its way (restores, retries, waits), on stderr while a command runs."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = logging.getLogger("choreo")
SPARING_S = 1.0


class Sparing(logging.Filter):
    """Lets the same piece of news about the same thing through once a second: progress, not a flood."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[object, ...], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is shown; warnings always are."""
        about = record.args[:1] if isinstance(record.args, tuple) else ()
        news = (record.name, record.msg, *about)
        if record.levelno > logging.INFO or record.created - self._said.get(news, 0.0) >= SPARING_S:
            self._said[news] = record.created
            return True
        return False


@contextmanager
def telling(verbose: bool) -> Iterator[None]:
    """Show what the runtime logs, from INFO on; with `verbose`, from DEBUG on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(Sparing())
    before = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG if verbose else logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(before)
