"""When to leave a downstream alone: the declaration of a circuit breaker."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """Open for `open_s` after `failures` failures within `within_s`; an open breaker parks instead of failing."""

    failures: int = 5
    within_s: float = 30
    open_s: float = 30
