"""The token bucket: never more than its rate, in the order of asking."""

from choreo.resilience.limiter import TokenBucket

SECOND = 1_000_000


def test_tokens_go_out_evenly() -> None:
    """Four a second: the first at once, each later one a quarter of a second after the one before."""
    bucket = TokenBucket(4)
    assert [bucket.take(0) for _ in range(4)] == [0, 250_000, 500_000, 750_000]
    assert bucket.take(2 * SECOND) == 0


def test_after_a_pause_a_tenth_of_a_second_goes_at_once() -> None:
    """A hundred a second: ten at once, then one every ten milliseconds; no pause saves up more."""
    bucket = TokenBucket(100)
    waits = [bucket.take(3600 * SECOND) for _ in range(13)]
    assert waits == [0] * 10 + [10_000, 20_000, 30_000]


def test_no_second_sees_more_than_the_rate_and_its_burst() -> None:
    """Whoever asks, however often."""
    bucket = TokenBucket(50)
    began = sorted(now + bucket.take(now) for now in range(0, 5 * SECOND, 7_000))
    assert max(sum(start <= at < start + SECOND for at in began) for start in began) <= 50 + 5
