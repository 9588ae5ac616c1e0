"""A flight: one input from its first attempt until it is settled or must wait. It may stop for recorded calls."""

from collections.abc import Generator, Sequence
from typing import NamedTuple

from choreo.errors import BreakerOpen, ChoreoError, DivergenceError, HandlingError, PublishError, RetryAfter, because
from choreo.resilience.dead_letter import Door
from choreo.runtime.calls import Recorded
from choreo.runtime.handling import Failed, Handlings
from choreo.runtime.intake import Input
from choreo.runtime.journal import PageWriter
from choreo.runtime.ledger import Ledger
from choreo.runtime.parking import FLYING, Waiting, place_of, tried
from choreo.runtime.plan import Invocation
from choreo.service.calls import Call, PlainCall

Work = Generator[Call[object], object, Waiting | None]
State = tuple[int, tuple[tuple[str, bytes], ...]]
"""Attempts that ended, and the results that are kept."""


class Landing(NamedTuple):
    """How a flight ended: what must wait, or None when it is settled."""

    held: Waiting | None


class Flight:
    """Drives the handlers of one input: `start`, then `answer` for each call that it asked for, until it has landed.

    `failed` is how a first attempt ended that has been made already; `crew` was entered with this input.
    """

    def __init__(
        self, given: Input, crew: Handlings, ledger: Ledger, page: PageWriter, failed: Failed | None = None
    ) -> None:
        self.given = given
        self.crew = crew
        self.saved = False
        """Whether it stands at the head of its key's line, so that a restart finds it."""
        self.halted: str | None = None
        self.asked: list[PlainCall] = []
        """Calls that nobody has begun to make."""
        self.book = crew.calls.book()
        self._attempts = given.waiting.attempts + (failed is not None)
        self._ledger = ledger
        self._page = page
        self._work = self._tried(failed)
        self._awaited: Call[object] | None = None
        self._saved_state: State | None = None
        self._open: dict[tuple[str, int], PlainCall] = {}

    def start(self) -> Landing | None:
        """Run to the first call that has to be made; None while it is on its way."""
        return self._go(None, None)

    def answer(self, recorded: Recorded) -> Landing | None:
        """The outcome of one call that was asked for. Raises DivergenceError where it was not."""
        call = self._open.pop((recorded.name, recorded.use), None)
        if call is None:
            raise DivergenceError(f"call {recorded.name!r} (use {recorded.use}) was answered but not asked for")
        self.book.settle(call, recorded)
        return None if self._open else self._resume()

    def news(self) -> Waiting | None:
        """What a restart needs to go on, the input and the results so far; None where that is saved already."""
        kept = tuple(self.book.kept.items())
        state = (self._attempts - 1, kept)
        if self._saved_state == state:
            return None
        self._saved_state = state
        record, timer, due, _, error, _, _ = self.given.waiting
        return Waiting(record, timer, due, self._attempts - 1, error, kept, FLYING)

    def close(self) -> None:
        """Forget it: it will be begun again."""
        self._work.close()
        self.crew.lane.drop()

    def _go(self, answer: object, error: Exception | None) -> Landing | None:
        """To the next call that has to be made, with what the last one came to."""
        try:
            self._awaited = awaited = self._work.send(answer) if error is None else self._work.throw(error)
        except StopIteration as end:
            return Landing(end.value)
        finally:
            if made := self.crew.calls.made():
                self._page.called(made)
        self.asked = [call for call in awaited.parts() if not call.settled]
        self._open = {(call.asked.name, call.use): call for call in self.asked}
        return None if self.asked else self._resume()

    def _resume(self) -> Landing | None:
        awaited = self._awaited
        assert awaited is not None, "it waits for a call"
        error = awaited.error()
        return self._go(awaited.value() if error is None else None, error)

    def _tried(self, failed: Failed | None) -> Work:
        """Attempt after attempt, in place at first."""
        given = self.given
        while True:
            if failed is None:
                self._attempts += 1
                failed = yield from self._attempt(given.invocations, given.arguments, self._attempts)
                if failed is None:
                    return None
            failure, failed = failed, None
            self.crew.lane.drop()
            if isinstance(failure.error, DivergenceError):
                raise because(failure.error, failure)
            if isinstance(failure.error, BreakerOpen):
                self._attempts -= 1  # a call that was not made is no attempt
                until = self._ledger.now + round(failure.error.wait_s * 1_000_000)
                return tried(given.waiting, self._attempts, failure.error, self.book.kept, until)
            wait_s = next_wait_s(failure, self._attempts)
            self._ledger.failed(given, failure.invocation, self._attempts, failure.error, wait_s)
            if wait_s is None:
                return (yield from self._exhausted(failure))
            if wait_s > 0:
                until = self._ledger.now + round(wait_s * 1_000_000)
                return tried(given.waiting, self._attempts, failure.error, self.book.kept, until)

    def _attempt(
        self, invocations: Sequence[Invocation], arguments: tuple[object, ...], number: int
    ) -> Generator[Call[object], object, Failed | None]:
        """One attempt; answers how it failed. What an attempt that ended well wrote down is settled."""
        given, crew = self.given, self.crew
        crew.lane.enter(given.key, self._ledger.now, given.waiting)
        self.book.begin_attempt()
        try:
            outcome = yield from crew.drive(invocations, arguments, given, number)
        except Failed as failure:
            return failure
        self._ledger.settle(given, crew.lane, outcome)
        return None

    def _exhausted(self, failure: Failed) -> Work:
        """After the last attempt: what the handler gives up with, else a dead letter and what the policy says."""
        given, invocation, error = self.given, failure.invocation, failure.error
        give_up = invocation.signature.give_up
        hopeless = isinstance(error, HandlingError | PublishError)
        if give_up is not None and invocation.method.name == "handle" and not hopeless:
            last = (Invocation(invocation.number, invocation.signature, give_up),)
            failed = yield from self._attempt(last, (*given.arguments, error), self._attempts)
            if failed is None:
                return None
            self.crew.lane.drop()
            error = failed.error
        door: Door = "publish" if isinstance(error, PublishError) else "handle"
        self._ledger.bury_input(given, door, error, self._attempts, invocation.signature.name)
        then = invocation.signature.handler.retry.then
        if then == "skip" or isinstance(error, HandlingError | PublishError):
            self._ledger.forget_timer(given)
            return None
        if then == "stop":
            place = place_of(given.waiting)
            self.halted = f"{invocation.signature.name} failed {self._attempts} times on {place}: {error}"
        return tried(given.waiting, self._attempts, error, self.book.kept)


def next_wait_s(failure: Failed, attempts: int) -> float | None:
    """Seconds to the next attempt, 0 for at once, None for no further one. An undo has no last attempt."""
    error, undoes = failure.error, failure.invocation.undoes
    retry = failure.invocation.signature.handler.retry
    if isinstance(error, RetryAfter) and (undoes or attempts < retry.attempts):
        return error.wait_s
    if undoes:
        return retry.next_wait_s(attempts, error, endless=True) if isinstance(error, retry.on) else retry.max_wait_s
    if isinstance(error, ChoreoError):
        return None
    return retry.next_wait_s(attempts, error)
