"""Which part of a long run is given away."""

from hypothesis import given
from hypothesis import strategies as st

from armonik_agent.execution.splitting import (
    FIRST_AHEAD,
    LONG_SECONDS,
    RUN_SECONDS,
    WRONG_SECONDS,
    elements_to_keep,
    prefetch_limit,
    tail_start,
)
from armonik_sdk.api.records import Attempt, Record, RecordKind


@given(left=st.integers(0, 1_000), each=st.floats(0, 1e4), rest=st.floats(0, 1e6), idle=st.integers(0, 1_000))
def test_a_run_is_shared_only_when_it_is_long_and_somebody_waits_or_very_long(
    left: int, each: float, rest: float, idle: int
) -> None:
    keep = elements_to_keep(left, each, rest, idle)
    assert 0 <= keep <= left
    if keep < left:
        assert rest > (LONG_SECONDS if idle >= 1 else WRONG_SECONDS)
        assert (keep + 1) * each > RUN_SECONDS * 0.999
        assert idle < 1 or keep >= left // (idle + 1)


def test_who_waits_gets_a_share_each() -> None:
    assert elements_to_keep(30, 1.0, 31.0, 2) == 10
    assert elements_to_keep(30, 0.2, 6.0, 29) == 5
    assert elements_to_keep(1, 30.0, 45.0, 1) == 0
    assert elements_to_keep(30, 0.3, 9.0, 0) == 30


def test_where_nobody_waits_only_what_was_cut_on_a_wrong_guess_goes_back() -> None:
    assert elements_to_keep(30, 1.0, 31.0, 0) == 1
    assert elements_to_keep(500, 0.1, 50.0, 0) == 10
    assert elements_to_keep(5, 6.0, 30.0, 0) == 0


@given(
    length=st.integers(1, 30),
    begun=st.sets(st.integers(0, 29)),
    tried=st.sets(st.integers(0, 29)),
    keep=st.integers(0, 30),
)
def test_what_is_given_away_is_whole_and_untouched(
    length: int, begun: set[int], tried: set[int], keep: int
) -> None:
    attempts = tuple(Attempt(index=index, executions=1) for index in sorted(tried))
    head = Record(record_id="r", kind=RecordKind.DISPATCHED, start=0, end=length, n=1, attempts=attempts)
    left = [index for index in range(length) if index not in begun]
    at = tail_start(head, left, keep)
    if at is not None:
        assert 0 < at < length
        assert set(range(at, length)) <= set(left[keep:]) - tried
    elif length > 1:
        assert length - 1 in tried or length - 1 not in left[keep:] or set(range(length)) <= set(left[keep:])


def test_a_worker_has_few_elements_until_it_is_known_to_be_quick() -> None:
    assert prefetch_limit(None, 256) == FIRST_AHEAD
    assert prefetch_limit(0.0, 256) == 256
    assert prefetch_limit(0.001, 256) == 256
    assert prefetch_limit(0.1, 256) == 10
    assert prefetch_limit(60.0, 256) == 2
