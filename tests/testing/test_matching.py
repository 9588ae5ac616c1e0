"""Matching: what was expected against what came, where `like` may mean several."""

import pytest

from choreo import Event
from choreo.errors import ConfigError
from choreo.testing import like
from choreo.testing.matching import difference, mismatch
from tests.testing.counters import Counted, Full


def counted(box: str, total: int) -> Counted:
    """An event of this box."""
    return Counted(box=box, total=total)


def test_a_loose_expectation_leaves_the_exact_one_its_event() -> None:
    """A `like` that could take another's event takes the one that is left for it, in whatever order they are named."""
    came = [[counted("a", 1)], [counted("b", 1)]]
    assert mismatch([like(Counted), counted("a", 1)], came) is None
    assert mismatch([counted("a", 1), like(Counted)], came) is None
    assert mismatch([counted("a", 1), like(Counted, box="a")], came) is not None


def test_the_same_event_twice_is_expected_twice() -> None:
    """One expectation fits one event only."""
    came = [[counted("a", 1), counted("a", 1)]]
    assert mismatch([counted("a", 1), counted("a", 1)], came) is None
    once = mismatch([counted("a", 1)], came)
    assert once is not None
    assert (once.missing, once.surplus) == ((), (counted("a", 1),))


def test_a_class_that_looks_alike_is_another() -> None:
    """The class counts, not the fields alone."""

    class Total(Event, namespace="boxes", topic="totals", key="box"):
        box: str
        total: int

    assert mismatch([Total(box="a", total=1)], [[counted("a", 1)]]) is not None
    assert mismatch([like(Total, box="a")], [[counted("a", 1)]]) is not None


def test_many_keys_are_matched_at_once() -> None:
    """A thousand events of hundreds of keys are no more than a moment's work when they fit."""
    came = [[counted(str(box), 1), Full(box=str(box))] for box in range(600)]
    expected = [like(Counted, box=str(box)) for box in range(600)] + [like(Full)] * 600
    assert mismatch(expected, came) is None


def test_what_can_mean_too_much_is_asked_back() -> None:
    """Where too many `like` could mean too many keys, the test must name the keys: nothing runs for ever."""
    came = [[counted(str(box), 1), Full(box=str(box))] for box in range(20)]
    with pytest.raises(ConfigError, match="give each like"):
        mismatch([like(Counted)] * 20 + [like(Full)] * 19 + [like(Full, label="no")], came)


def test_runs_are_compared_without_their_order() -> None:
    """Two runs differ by what only one of them has; how often counts, the order does not."""
    one, two, full = counted("a", 1), counted("a", 2), Full(box="a")
    assert difference([one, two, full], [full, two, one]) is None
    found = difference([one, one, two], [one, two, full])
    assert found is not None
    assert (found.missing, found.surplus) == ((one,), (full,))
