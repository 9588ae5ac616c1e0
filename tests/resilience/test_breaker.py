"""The circuit breaker as a pure machine: when a call may begin, and what its ending does."""

import pytest

from choreo import Breaker
from choreo.errors import DeclarationError
from choreo.resilience.breaker import Circuit

SECOND = 1_000_000


def failed(circuit: Circuit, at: int, error: Exception | None = None) -> None:
    circuit.ended(circuit.period, at, error or OSError("down"))


def opened(at: int = 0) -> Circuit:
    circuit = Circuit(Breaker(failures=2, within_s=10, open_s=30))
    failed(circuit, at)
    failed(circuit, at)
    return circuit


def test_it_opens_after_so_many_failures_and_says_for_how_long() -> None:
    """The second failure within ten seconds opens it for thirty."""
    circuit = Circuit(Breaker(failures=2, within_s=10, open_s=30))
    failed(circuit, 0)
    assert circuit.wait(SECOND) == 0
    failed(circuit, 5 * SECOND)
    assert circuit.wait(6 * SECOND) == 29 * SECOND


def test_failures_that_lie_far_apart_do_not_open_it() -> None:
    """Only those within `within_s` count together."""
    circuit = Circuit(Breaker(failures=2, within_s=10, open_s=30))
    failed(circuit, 0)
    failed(circuit, 11 * SECOND)
    assert circuit.wait(12 * SECOND) == 0
    failed(circuit, 20 * SECOND)
    assert circuit.wait(20 * SECOND) == 30 * SECOND


def test_after_a_while_one_call_is_let_through_and_decides() -> None:
    """The others go on waiting; a good end closes it, a failure opens it for as long again."""
    circuit = opened()
    assert circuit.wait(30 * SECOND) == 0
    assert circuit.wait(30 * SECOND) > 0
    failed(circuit, 31 * SECOND)
    assert circuit.wait(31 * SECOND) == 30 * SECOND
    assert circuit.wait(61 * SECOND) == 0
    circuit.ended(circuit.period, 62 * SECOND, None)
    assert circuit.wait(62 * SECOND) == circuit.wait(62 * SECOND) == 0


def test_a_call_from_before_it_opened_decides_nothing() -> None:
    """Stragglers say how the downstream was, not how it is."""
    circuit = Circuit(Breaker(failures=1, open_s=30))
    straggler = circuit.period
    failed(circuit, 0)
    assert circuit.wait(30 * SECOND) == 0
    circuit.ended(straggler, 30 * SECOND, None)
    assert circuit.wait(30 * SECOND) > 0


def test_an_error_that_is_none_of_its_own_is_no_failure() -> None:
    """A declined card is an answer."""
    circuit = Circuit(Breaker(failures=1, on=OSError))
    failed(circuit, 0, ValueError("declined"))
    assert circuit.wait(0) == 0


def test_a_breaker_that_can_never_work_is_refused() -> None:
    """At import, with the values."""
    with pytest.raises(DeclarationError, match="failures=0"):
        Breaker(failures=0)
