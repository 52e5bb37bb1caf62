"""The budget of writes: never more than its rate, and everybody has a turn."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.writing import Budget


@given(pauses=st.lists(st.floats(0, 0.2), max_size=60), rate=st.sampled_from([5.0, 20.0]))
def test_turns_keep_the_rate_and_come_for_all(pauses: list[float], rate: float) -> None:
    budget, now, turns = Budget(rate), 0.0, []
    for who, pause in enumerate(pauses):
        now += pause
        delay = budget.wait(str(who), now)
        assert 0.0 <= delay <= (who + 1) / rate
        if delay > 1e-6:  # half of a smaller one may vanish in the sum
            assert budget.wait(str(who), now + delay / 2) > 0.0
            assert budget.wait(str(who), now + delay + 1e-9) == 0.0
        turns.append(now + delay)
    assert all(later - earlier >= 1 / rate - 1e-6 for earlier, later in pairwise(turns))


def test_who_needs_no_turn_any_more_gives_up_its_place() -> None:
    budget = Budget(1.0)
    assert budget.wait("a", 0.0) == 0.0
    assert budget.wait("b", 0.0) == 1.0
    budget.forget("b")
    assert budget.wait("b", 5.0) == 0.0
