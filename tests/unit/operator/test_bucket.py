"""The token bucket: a burst, then a rate, never more."""

from fanout_operator.bucket import Bucket


def test_a_burst_goes_at_once_and_then_one_has_to_wait() -> None:
    bucket = Bucket(rate=10, burst=3)

    assert [bucket.take(0.0) for _ in range(4)] == [0, 0, 0, 0.1]


def test_over_any_time_no_more_goes_than_the_burst_and_the_rate() -> None:
    bucket = Bucket(rate=10, burst=5)
    taken = sum(bucket.take(step / 100) == 0 for step in range(1000))

    assert 104 <= taken <= 105


def test_a_clock_that_stands_still_or_goes_back_gives_nothing_away() -> None:
    bucket = Bucket(rate=1, burst=1)
    bucket.take(10.0)

    assert bucket.take(5.0) == 1.0
    assert bucket.take(10.0) == 1.0
