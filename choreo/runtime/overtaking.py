"""Who may go before others of its key: a request to undo, since a saga must not wait behind its own failure.

It goes before the very event that it undoes, and before one of its story that was given up: nobody would ever take that
out of its way. What it undoes and still waits, in however many copies, need not be done any more.

And what an operator puts on the log again: it takes the place of the event that was given up, at the head of the line.
"""

from collections.abc import Callable

from choreo.clock import NEVER
from choreo.runtime.intake import Input
from choreo.runtime.parking import Parking, Waiting


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


def takes_place(given: Input, head: Input) -> bool:
    """Whether `given`, which an operator put on the log again, stands for the first of its line, which was given up: it
    is the same event, or was made from it to replace it, or wakes or drops a timer. What only waits for its next
    attempt is woken, too.
    """
    again = given.ids.again
    if again is None or (head.waiting.until != NEVER and again.wish != "wake"):
        return False
    if head.waiting.record is None:
        return again.only_moves and given.ids.causation_id == head.ids.event_id
    stands_for = given.ids.causation_id if again.wish == "replace" else given.ids.event_id
    return stands_for == head.ids.event_id


class Precedence:
    """Who goes first in the lines of one task. `seen` reads what waits, None where it can't be read; `forget_timer`
    hears of what left its line unhandled.
    """

    def __init__(
        self, parking: Parking, seen: Callable[[Waiting], Input | None], forget_timer: Callable[[Input], None]
    ) -> None:
        self._parking, self._seen, self._forget_timer = parking, seen, forget_timer

    def put_in_place(self, given: Input) -> bool:
        """An operator put it on the log again: whether it has taken the place of the one that was given up, at the head
        of its line; or where that is to be dropped or woken, whether that was done.
        """
        again = given.ids.again
        head = self._seen(self._parking.head(given.key)) if again and given.key in self._parking else None
        if again is None or head is None or not takes_place(given, head):
            return False
        if again.wish == "wake":
            begun = 0 if head.waiting.until == NEVER else head.waiting.attempts
            self._parking.hold(given.key, head.waiting._replace(attempts=begun, until=0))
        elif again.wish == "drop":
            self._forget_timer(head)
            self._parking.pop(given.key)
        else:  # calls that ended well are not made again, unless for what is another event
            kept = head.waiting.kept if head.ids.event_id == given.ids.event_id else ()
            self._parking.hold(given.key, given.waiting._replace(kept=kept))
        return True

    def overtakes(self, given: Input) -> bool:
        """Whether it may go before the line of its key."""
        head = self._seen(self._parking.head(given.key)) if asks_to_undo(given) else None
        return head is not None and overtakes(given, head)

    def withdraw(self, given: Input, before: int | None = None) -> None:
        """What came before it (of the first `before` of its line, None: of all) and is to be undone anyway leaves, each
        copy of it.
        """
        for place, waiting in self._parking.line(given.key)[:before]:
            other = self._seen(waiting)
            if other is not None and takes_back(given, other):
                self._parking.leave(given.key, place)

    def pulled(self, key: bytes) -> bool:
        """The head was given up: whether a request to undo waits behind it, which has come to the front now."""
        line = [(place, self._seen(waiting)) for place, waiting in self._parking.line(key)]
        head = line[0][1]
        for number, (place, given) in enumerate(line):
            if head is not None and given is not None and asks_to_undo(given) and overtakes(given, head):
                self._parking.leave(key, place)
                self.withdraw(given, number)
                self._parking.put_first(key, given.waiting)
                return True
        return False
