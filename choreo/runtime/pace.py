"""When a checkpoint is due: soon after the input ran dry, at the latest after a while or so many inputs. Pure.

A transaction costs the broker about the same whatever it holds. Where inputs come one by one, each is committed at
once; where they keep coming, checkpoints of a few inputs each would take the machine from the work itself, so the next
one waits in proportion to how long the last one took.
"""

from choreo.clock import NEVER
from choreo.runtime.observer import Reason
from choreo.runtime.options import RunOptions

REST = 4
"""How many times as long as the last checkpoint took its successor waits for more inputs."""
FEW = 4
"""A checkpoint of so many inputs, or fewer, asks for no rest."""


class Pace:
    """Idle systems answer in milliseconds, loaded ones batch. All times in microseconds."""

    def __init__(self, options: RunOptions) -> None:
        self._dry = round(options.checkpoint_dry_s * 1_000_000)
        self._interval = round(options.checkpoint_interval_s * 1_000_000)
        self._flights = round(options.checkpoint_flights_s * 1_000_000)
        self._quiet = round(options.checkpoint_quiet_s * 1_000_000)
        self._most = options.checkpoint_records
        self._most_bytes = options.checkpoint_bytes
        self._rests_until = 0
        self.settled()

    def committed(self, now: int, took: int, inputs: int) -> None:
        """A checkpoint of so many inputs has ended, which took so long."""
        self._rests_until = now + round(min(REST * took, self._interval)) if inputs > FEW else 0

    def settled(self) -> None:
        """Nothing waits for a checkpoint any more."""
        self._since = NEVER
        self._seen = -1
        self._ran_dry = 0
        self._waits = self._dry

    def due(
        self, now: int, inputs: int, changed_bytes: int, *, more: bool, quiet: bool, flights: bool
    ) -> Reason | None:
        """Why what was done since the last checkpoint should be committed now, if it should; `more` says that there is
        more at hand, `quiet` that nothing changed but the place, `flights` that handlings wait for calls.
        """
        self._since = min(self._since, now)
        self._waits = self._quiet if quiet else max(self._dry, self._flights) if flights else self._dry
        if more or inputs != self._seen:
            self._seen, self._ran_dry = inputs, now
        if not more and now >= self._dry_at():
            return "dry"
        if now - self._since >= self._interval and not quiet:
            return "interval"
        if inputs >= self._most:
            return "records"
        return "bytes" if changed_bytes >= self._most_bytes else None

    def next_due(self) -> int:
        """When to ask again, NEVER where nothing waits."""
        return NEVER if self._since == NEVER else self._dry_at()

    def _dry_at(self) -> int:
        return max(self._ran_dry + self._waits, self._rests_until)
