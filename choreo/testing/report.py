"""The report of a simulation that failed: what did not hold, the shortest story of it, and how to see it again."""

from bisect import bisect_right
from pathlib import Path

from choreo.clock import iso, to_datetime
from choreo.testing.chronicle import Chronicle
from choreo.testing.rehearsal import Failing
from choreo.testing.table import table
from choreo.testing.trial import Trial


class SimulationFailed(AssertionError):
    """An invariant or a promise of the runtime does not hold in a run. `file` replays it."""

    def __init__(self, text: str, what: str, seed: int, file: Path) -> None:
        super().__init__(text)
        self.what, self.seed, self.file = what, seed, file


class TrialStory:
    """The story of a run that is over, for its table."""

    def __init__(self, trial: Trial) -> None:
        self.chronicle = Chronicle(trial.log, trial.registry, trial.everybody)
        for position, again in trial.told_at:
            self.chronicle.tell(position, "(again)" if again else "(outside)")
        spoken = [cls for service in trial.everybody for cls in (*service.handled, *service.emitted)]
        self.chronicle.know([*spoken, *trial.classes])
        self.chronicle.read()

    def failing(self) -> list[Failing]:
        """Where a run ends, nobody is at work any more."""
        return []


def story_of(trial: Trial) -> str:
    """The table of a run: events, and the faults between them."""
    story = TrialStory(trial)
    times = [fact.ids.at for fact in story.chronicle.facts]
    return table(story, [turn._replace(after=bisect_right(times, turn.at)) for turn in trial.notes])


def failed(short: Trial, whole: Trial, file: Path) -> SimulationFailed:
    """The error of a run that broke: `short` is what is left of `whole`."""
    broken, ordeal = short.broken, short.ordeal
    assert broken is not None  # only what broke is reported
    when = iso(to_datetime(broken.at), "milliseconds")
    struck, before = len(short.fate.struck), len(whole.fate.struck)
    text = f"""{broken.what} does not hold at {when}: {broken.said}

Seed {ordeal.seed}, {_counted(ordeal.partitions, "partition")}, {_counted(ordeal.workers, "worker")} a service; \
{len(ordeal.told)} of {len(whole.ordeal.told)} events and {struck} of {before} faults are enough:
{story_of(short)}

  replay  pytest --choreo-from {file}    or  choreo simulate TARGET --from {file}"""
    error = SimulationFailed(text, broken.what, ordeal.seed, file)
    error.__cause__ = broken.error
    return error


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
