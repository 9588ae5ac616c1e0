"""The table of a story, for a failing test: when, who, what, caused by."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from choreo.clock import to_datetime
from choreo.saga.lifecycle import SagaChanged
from choreo.testing.chronicle import Buried, Chronicle, Fact
from choreo.testing.rehearsal import Failing

MOST_ROWS = 60
WHAT_CHARS = 110
ERROR_CHARS = 200


class Turn(NamedTuple):
    """Something that the test did and that is no event: the clock was moved, everybody was restarted."""

    at: int
    """Microseconds."""
    after: int
    """How many facts had been noted by then."""
    what: str
    who: str = "(test)"


class Story(Protocol):
    """What a table is made of."""

    chronicle: Chronicle

    def failing(self) -> list[Failing]: ...


class _Row(NamedTuple):
    number: str
    when: str
    who: str
    what: str
    cause: str


def table(story: Story, turns: Sequence[Turn]) -> str:
    """The last rows of the story so far, oldest first; dead letters and what is to be tried again at the end."""
    chronicle = story.chronicle
    numbers = {fact.ids.event_id: number for number, fact in enumerate(chronicle.facts, start=1)}
    rows: list[_Row] = []
    waiting = list(turns)
    for number, fact in enumerate(chronicle.facts, start=1):
        while waiting and waiting[0].after < number:
            rows.append(_turn(waiting.pop(0)))
        rows.append(_Row(str(number), _time(fact.ids.at), fact.who, _what(fact), _cause(chronicle, fact, numbers)))
    rows += [_turn(turn) for turn in waiting]
    rows += [_letter(buried) for buried in chronicle.buried]
    rows += [_failing(failing) for failing in story.failing()]
    left_out = len(rows) - MOST_ROWS
    head = _Row("#", "when", "who", "what", "caused by")
    lines = _aligned([head, *rows[-MOST_ROWS:]])
    if left_out > 0:
        lines.insert(1, f"  ... {left_out} rows before these")
    return "\n".join(lines)


def _aligned(rows: Sequence[_Row]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_Row._fields))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _turn(turn: Turn) -> _Row:
    return _Row("", _time(turn.at), turn.who, turn.what, "")


def _what(fact: Fact) -> str:
    if isinstance(fact.event, SagaChanged):
        return _short(f"{fact.event.key}: {fact.event.explanation}", WHAT_CHARS)
    return _short(repr(fact.event), WHAT_CHARS)


def _cause(chronicle: Chronicle, fact: Fact, numbers: dict[bytes, int]) -> str:
    if fact.ids.causation_id is None:
        return ""
    cause = chronicle.cause(fact)
    if cause is None:
        return "a timer"
    return f"{numbers[cause.ids.event_id]} {type(cause.event).__name__}"


def _letter(buried: Buried) -> _Row:
    letter = buried.letter
    key = (buried.key or b"").decode(errors="replace")
    name = f"{type(buried.event).__name__} {key}" if buried.event is not None else f"key {key}"
    tried = f"after {letter.attempts} attempts" if letter.attempts > 1 else ""
    who = f"{letter.service}.{letter.handler}" if letter.handler else letter.service
    return _Row("", _time(letter.at), who, f"DEAD LETTER {name}: {_short(letter.error, ERROR_CHARS)}", tried)


def _failing(failing: Failing) -> _Row:
    what = f"TO BE TRIED AGAIN {failing.what}: {_short(failing.error, ERROR_CHARS)}"
    return _Row("", _time(failing.until), failing.service, what, f"failed {failing.attempts} times")


def _short(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."


def _time(at: int) -> str:
    """To the millisecond: `03-02 12:00:07.500`."""
    return to_datetime(at).strftime("%m-%d %H:%M:%S.%f")[:-3]
