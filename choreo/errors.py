"""Every error that Choreo raises. Each says what happened, and where it can, at / why / try.

ChoreoError
├── DeclarationError            user code that can't work, found when it is imported
│   ├── EventError              an Event class
│   ├── HandlerError            a Handler class: signature, stores, timers
│   └── ServiceError            a Service: duplicate names, missing needs
├── SpecError                   a saga spec: file:line:column
├── ConfigError                 choreo.toml, CHOREO_*, command line
├── SchemaError                 Avro schemas and the registry
│   ├── UnknownSchemaError      a schema id that the registry does not know
│   └── RegistryUnavailableError try again later
├── DecodeError                 a record that is no event: the decode door
├── HandlingError               a handler broke a rule of the runtime: the handle door
│   ├── StoreKeyError           a store key that does not begin with the key of the event
│   └── UndeclaredEmissionError an emission that the annotation does not name
├── PublishError                an event that can't be written: the publish door
│   └── RecordTooLargeError
├── LogError                    the log refused or failed
│   ├── LogUnavailableError     try again later
│   ├── TransactionAbortedError nothing was committed: rewind and go on
│   │   └── StaleMemberError    the group has moved on without this member
│   ├── FencedError             another writer took over this transactional id: make a new writer
│   ├── UnknownTopicError
│   ├── PartitionCountError
│   ├── NotAuthorizedError
│   └── ArchiveError            an archive that is damaged, or is none of this log
├── StateError                  the state directory or a store
│   ├── StateInUseError         another process has it open
│   ├── StaleStateError         the store may be older than the tombstones of its changelog: wipe and restore
│   └── DiskFullError
├── StartError                  a worker that must not start as things are
├── DivergenceError             a replay that did not give what the live run gave
├── GiveUp                      raised by a handler: no further attempt
└── RetryAfter                  raised by a handler: wait this long before the next attempt
    └── BreakerOpen             raised by a call: its downstream is left alone for this long
"""

from datetime import timedelta
from typing import TypeVar


class ChoreoError(Exception):
    """What happened, then where (`at`), the reason (`why`) and the cure (`hint`), each on a line of its own."""

    def __init__(self, message: str, *, at: object = None, why: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.at, self.why, self.hint = message, at, why, hint

    def __str__(self) -> str:
        lines = [self.message]
        lines += [
            f"  {word:<4} {text}" for word, text in (("at", self.at), ("why", self.why), ("try", self.hint)) if text
        ]
        return "\n".join(lines)


E = TypeVar("E", bound=BaseException)


def because(error: E, cause: BaseException | None) -> E:
    """`error` with its cause, as `raise error from cause` gives it one: mypyc drops the `from` (hatch_build.py)."""
    error.__cause__ = cause
    return error


class DeclarationError(ChoreoError, TypeError):
    """User code that can't work, found when it is imported."""


class EventError(DeclarationError):
    """An Event class that can't be published or read."""


class HandlerError(DeclarationError):
    """A Handler class that can't be run."""


class ServiceError(DeclarationError):
    """A Service that can't be run."""


class SpecError(ChoreoError):
    """A saga spec that can't be run; `at` is file:line:column."""


class ConfigError(ChoreoError):
    """A setting that is missing, misspelt or out of range."""


class SchemaError(ChoreoError):
    """An Avro schema that is invalid or does not fit."""


class UnknownSchemaError(SchemaError):
    """A schema id that the registry does not know."""


class RegistryUnavailableError(SchemaError):
    """The schema registry can't be reached now: nothing is said about any schema; trying again is sensible."""


class DecodeError(ChoreoError):
    """A record that can't be read as an event."""


class HandlingError(ChoreoError):
    """A handler broke a rule of the runtime; trying again would not help."""


class StoreKeyError(HandlingError):
    """A store key that does not begin with the key of the event."""


class UndeclaredEmissionError(HandlingError):
    """An emission that the handler's return annotation does not name."""


class PublishError(ChoreoError):
    """An event that can't be written to the log."""


class RecordTooLargeError(PublishError):
    """A record larger than its topic takes."""


class LogError(ChoreoError):
    """The log refused or failed."""


class LogUnavailableError(LogError):
    """The log can't be reached now; trying again is sensible."""


class TransactionAbortedError(LogError):
    """Nothing of the transaction was committed."""


class StaleMemberError(TransactionAbortedError):
    """The group has moved on without this member: its work belongs to somebody else now."""


class FencedError(LogError):
    """Another writer took over this transactional id."""


class UnknownTopicError(LogError):
    """A topic that does not exist."""


class PartitionCountError(LogError):
    """A topic whose number of partitions is not the expected one."""


class NotAuthorizedError(LogError):
    """The log refuses this to these credentials."""


class ArchiveError(LogError):
    """An archive that is damaged, or that does not go with this log."""


class StateError(ChoreoError):
    """The state directory or a store can't be used."""


class StateInUseError(StateError):
    """Another process has the state directory open."""


class StaleStateError(StateError):
    """The store was away for longer than its changelog keeps tombstones."""


class DiskFullError(StateError):
    """No room left to write state."""


class StartError(ChoreoError):
    """A worker that must not start as things are."""


class DivergenceError(ChoreoError):
    """A replay that did not give what the live run gave."""


class GiveUp(ChoreoError):
    """Raised by a handler: no further attempt, go to give_up or the dead letters at once."""


class RetryAfter(ChoreoError):
    """Raised by a handler: the next attempt after this wait (seconds or a timedelta)."""

    def __init__(self, wait: float | timedelta) -> None:
        self.wait_s = wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
        super().__init__(f"retry after {self.wait_s:g} s")
        self.args = (self.wait_s,)  # a recorded error is made again from these


class BreakerOpen(RetryAfter):
    """Raised by a call, unmade: the breaker of its downstream is open. A handler that lets it pass is parked for
    `wait_s` seconds, and the attempt does not count.
    """

    def __init__(self, downstream: str, wait_s: float) -> None:
        super().__init__(wait_s)
        self.downstream = downstream
        self.message = f"{downstream}: its breaker is open for {self.wait_s:g} s more, the call was not made"
        self.args = (downstream, self.wait_s)
