"""What is remembered of how long elements took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.planning.run_sizing import MAX_RUN, RUN_SECONDS, run_size
from armonik_operator.util.durations import KEPT, LATELY, DurationStats, Timing

STEPS = st.lists(st.tuples(st.integers(1, 5_000), st.floats(1e-6, 1e3)), min_size=1, max_size=20)


@given(STEPS)
def test_the_pace_is_between_the_quickest_and_the_slowest(steps: list[tuple[int, float]]) -> None:
    paces, before = DurationStats(), Timing()
    for count, each in steps:
        after = Timing(before.number + count, before.seconds + count * each)
        paces.note("s", "p", before, after)
        before = after
    pace = paces.of("s", "p")
    assert pace is not None
    assert min(e for _, e in steps) * 0.99 - 1e-6 <= pace <= max(e for _, e in steps) * 1.01 + 1e-6


def test_what_ended_before_the_window_is_forgotten() -> None:
    paces = DurationStats()
    paces.note("s", "p", Timing(), Timing(100, 100.0))
    for _ in range(2):
        paces.note("s", "p", Timing(), Timing(LATELY, LATELY * 0.25))
    assert paces.of("s", "p") == pytest.approx(0.25)


def test_sessions_and_partitions_have_paces_of_their_own() -> None:
    paces = DurationStats()
    paces.note("s", "p", Timing(), Timing(2, 4.0))
    assert paces.of("s", "p") == 2.0
    assert paces.of("s", "q") is None
    assert paces.of("t", "p") is None


def test_the_pairs_used_last_are_kept() -> None:
    paces = DurationStats()
    for number in range(KEPT):
        paces.note(str(number), "p", Timing(), Timing(1, 1.0))
    assert paces.of("0", "p") == 1.0
    paces.note("new", "p", Timing(), Timing(1, 1.0))
    assert paces.of("0", "p") == 1.0
    assert paces.of("1", "p") is None


@given(total=st.integers(1, 100_000), slots=st.integers(1, 50), pace=st.floats(0.0, 100.0))
def test_where_the_pace_is_known_slots_still_end_together(total: int, slots: int, pace: float) -> None:
    size = run_size(total, slots, pace)
    assert 1 <= size <= MAX_RUN
    assert size == 1 or size * pace <= RUN_SECONDS * 1.001
    assert size <= -(-total // slots)


def test_the_first_runs_are_longer_where_others_were_quick() -> None:
    assert run_size(1_000, 2, None) == 20
    assert run_size(1_000, 2, 1e-5) == 500
    assert run_size(20, 2, 1e-3) == 10
    assert run_size(10_000, 2, 1e-5) == 500
    assert run_size(1_000, 2, 1e-3) == 500
    assert run_size(1_000, 2, 2e-3) == 167
    assert run_size(1_000, 2, 0.01) == 63
    assert run_size(1_000, 2, 0.5) == 2
