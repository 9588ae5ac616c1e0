"""When to try again: a pure decision from the number of attempts made."""

from dataclasses import dataclass
from typing import Literal

from choreo.errors import DeclarationError


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often and when a failed handling is tried again, and what becomes of its key after the last attempt.

    The second attempt follows at once, in place; each later one waits `wait_s`, then `factor` times longer each time,
    at most
    `max_wait_s`, while the key is parked and other keys go on. `then`, after the last attempt and its dead letter:
    "park" holds the later events of the key back, "skip" goes on with them, "stop" stops the task.
    """

    attempts: int = 5
    wait_s: float = 0.1
    factor: float = 2
    max_wait_s: float = 60
    on: type[Exception] | tuple[type[Exception], ...] = Exception
    then: Literal["park", "skip", "stop"] = "park"

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.wait_s < 0 or self.factor < 1 or self.max_wait_s < 0:
            raise DeclarationError(
                f"{self!r} can never work", hint="attempts of 1 or more, waits of 0 or more, a factor of 1 or more"
            )
        if self.then not in ("park", "skip", "stop"):
            raise DeclarationError(f"Retry: then={self.then!r} is not one of park, skip, stop")

    def next_wait_s(self, attempt: int, error: Exception, *, endless: bool = False) -> float | None:
        """Seconds until the attempt after `attempt` (1 for the first); 0 means in place, None means no further
        attempt.
        """
        if not isinstance(error, self.on):
            return None
        if attempt >= self.attempts and not endless:
            return None
        if attempt == 1:
            return 0.0
        return min(self.wait_s * self.factor ** min(attempt - 2, 64), self.max_wait_s)
