"""The line before one lock, decided upon: who holds it, who waits, who is told. No clock, file or socket."""

from typing import Literal, NamedTuple

from choreo.events.event import Value

MOST_WAITING = 1000
"""Who would wait behind so many others is refused: the line is one entry of a store."""


class Claim(Value):
    """One saga's wish for the lock, under a name of its own; `story` is the saga's correlation id."""

    saga: str
    key: str
    name: str
    expires_us: int | None = None
    story: str = ""

    def is_of(self, saga: str, key: str) -> bool:
        return (self.saga, self.key) == (saga, key)


class Line(Value):
    """A lock: its holder since when and until when at most (microseconds), and who waits, the first first."""

    holder: Claim | None = None
    since: int = 0
    expires: int | None = None
    waiting: tuple[Claim, ...] = ()


class Told(NamedTuple):
    """What a saga is told."""

    what: Literal["granted", "expired", "refused"]
    claim: Claim


class Ruling(NamedTuple):
    """The line afterwards, None where nobody is in it, and who is told what, in this order."""

    line: Line | None
    told: tuple[Told, ...] = ()


def ask(line: Line, claim: Claim, now: int) -> Ruling:
    """A saga wants the lock. Who holds it is told so again; who waits goes on waiting at the same place."""
    if line.holder is None:
        return _granted(claim, (), now)
    if line.holder.is_of(claim.saga, claim.key):
        return Ruling(line, (Told("granted", line.holder),))
    if any(one.is_of(claim.saga, claim.key) for one in line.waiting):
        return Ruling(line)
    if len(line.waiting) >= MOST_WAITING:
        return Ruling(line, (Told("refused", claim),))
    return Ruling(line.model_copy(update={"waiting": (*line.waiting, claim)}))


class Release(NamedTuple):
    """A saga needs the claim of this name no more, or, where it knows of no grant, whatever it has claimed (None)."""

    saga: str
    key: str
    name: str | None = None

    def ends(self, claim: Claim) -> bool:
        return claim.is_of(self.saga, self.key) and self.name in (None, claim.name)


def release(line: Line, gone: Release, now: int) -> Ruling:
    """A saga needs the lock no more, whether it holds it or waits. A release that arrives twice frees nothing that was
    claimed in between.
    """

    def stays(claim: Claim) -> bool:
        return not gone.ends(claim)

    waiting = tuple(filter(stays, line.waiting))
    if line.holder is None or stays(line.holder):
        return Ruling(line.model_copy(update={"waiting": waiting}) if line.holder else None)
    return _next(waiting, now)


def expire(line: Line, now: int) -> Ruling:
    """The time of the holder is over, if it is."""
    if line.holder is None or line.expires is None or line.expires > now:
        return Ruling(line if line.holder else None)
    following = _next(line.waiting, now)
    return Ruling(following.line, (Told("expired", line.holder), *following.told))


def _next(waiting: tuple[Claim, ...], now: int) -> Ruling:
    return _granted(waiting[0], waiting[1:], now) if waiting else Ruling(None)


def _granted(claim: Claim, waiting: tuple[Claim, ...], now: int) -> Ruling:
    expires = None if claim.expires_us is None else now + claim.expires_us
    return Ruling(Line(holder=claim, since=now, expires=expires, waiting=waiting), (Told("granted", claim),))
