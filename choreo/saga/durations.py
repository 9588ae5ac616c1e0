"""Durations as people write them in a spec: `30s`, `1h30m`, `2d`, `1y`, or `none`; inside they are microseconds."""

import re

UNITS = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
    "y": 31_536_000_000_000,
}
"""Microseconds in each unit; a year is 365 days."""

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w|y)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
PATTERN = f"none|{_WHOLE.pattern}"
"""What `parse_duration` reads, as a regular expression."""
NOT_NOTHING = r"(?!(?:0+(?:\.0+)?[a-z]+)+$)"
"""What stands before it where a duration of nothing, such as `0s`, is none."""


def parse_duration(text: str) -> int | None:
    """Microseconds; None for `none`, which says "no limit" on purpose. Raises ValueError for anything else."""
    if text == "none":
        return None
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration: write a number and a unit, such as 30s, 1h30m or 2d, or none")
    return sum(round(float(number) * UNITS[unit]) for number, unit in _PART.findall(text))


def format_duration(micros: int | None) -> str:
    """The shortest text that `parse_duration` reads as `micros`, down to the millisecond."""
    if micros is None:
        return "none"
    parts = []
    rest = micros
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
