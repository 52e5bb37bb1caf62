"""Delays grow from attempt to attempt, and not without end."""

from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.backoff import Backoff, doubled


def test_each_delay_is_twice_the_one_before_up_to_a_bound() -> None:
    assert [doubled(0.5, 3.0, failures) for failures in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@given(st.integers(min_value=0, max_value=10**9))
def test_a_delay_is_bounded_after_however_many_failures(failures: int) -> None:
    assert 0.2 <= doubled(0.2, 5.0, failures) <= 5.0


def test_a_success_begins_anew() -> None:
    backoff = Backoff(0.2, 5.0)
    assert [backoff.failed(), backoff.failed()] == [0.2, 0.4]
    assert backoff.seconds == 0.8
    backoff.reset()
    assert backoff.failed() == 0.2
