"""Who may go before others of its key: a request to undo, since a saga must not wait behind its own failure.

It goes before the very event that it undoes, and before one of its story that was given up: nobody would ever take that
out of its way. What it undoes and still waits, in however many copies, need not be done any more.
"""

from choreo.clock import NEVER
from choreo.runtime.intake import Input


def asks_to_undo(given: Input) -> bool:
    """Whether a handler's `compensate` answers it."""
    return any(invocation.undoes for invocation in given.invocations)


def overtakes(given: Input, head: Input) -> bool:
    """Whether a request to undo may go before `head`, the first of the line."""
    given_up = head.waiting.until == NEVER and not asks_to_undo(head)
    return takes_back(given, head) or (given_up and _same_story(given, head))


def takes_back(given: Input, other: Input) -> bool:
    """Whether `given` asks to undo what `other` wants done. What nobody has tried yet stays for its other handlers."""
    undone = {invocation.signature.name for invocation in given.invocations if invocation.undoes}
    wanted = [i.signature.name in undone and not i.undoes for i in other.invocations]
    return _same_story(given, other) and (any(wanted) if other.waiting.attempts else all(wanted))


def _same_story(given: Input, other: Input) -> bool:
    return other.waiting.record is not None and other.ids.correlation_id == given.ids.correlation_id
