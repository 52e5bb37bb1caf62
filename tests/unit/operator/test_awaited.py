"""Waits of items for elements, against a plain set of pairs."""

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.dependencies.item_ranges import SHIFTS, AwaitedRanges
from armonik_operator.util.index_set import IndexSet

PAIRS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=60)
ENDED = st.lists(st.tuples(st.integers(0, 45), st.integers(1, 8)), max_size=12)


@given(pairs=PAIRS, ended=ENDED)
def test_who_waited_for_what_has_ended_is_found_once(
    pairs: list[tuple[int, int]], ended: list[tuple[int, int]]
) -> None:
    awaited, plain = AwaitedRanges(), set[tuple[int, int]]()
    for item, element in pairs:
        assert awaited.add(item, element) == ((item, element) not in plain)
        plain.add((item, element))
    assert set(awaited.edges()) == plain
    assert len(awaited) == len(plain)
    for start, length in ended:
        found = {i for span in awaited.ended(start, start + length) for i in range(*span)}
        gone = {(item, element) for item, element in plain if start <= element < start + length}
        assert found == {item for item, _ in gone}
        plain -= gone
        assert set(awaited.edges()) == plain
        assert bool(awaited) == bool(plain)
        assert all(awaited.waits(*pair) for pair in plain)
        assert awaited.loose >= 0
    assert plain or awaited.loose == 0


def test_a_rule_costs_the_same_for_any_number_of_items() -> None:
    awaited = AwaitedRanges()
    for item in range(100_000):
        awaited.add(item, item + 7)
    assert awaited.loose == 0
    assert awaited.ended(10, 50_000) == [(3, 49_993)]
    for item in range(2 * SHIFTS):
        awaited.add(item, 3 * item)
    assert SHIFTS <= awaited.loose <= 2 * SHIFTS


@given(
    added=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8))),
    removed=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8))),
    window=st.tuples(st.integers(0, 40), st.integers(0, 20)),
)
def test_spans_are_taken_out(
    added: list[tuple[int, int]], removed: list[tuple[int, int]], window: tuple[int, int]
) -> None:
    spans, plain = IndexSet(), set[int]()
    for start, length in added:
        spans.add(start, start + length)
        plain |= set(range(start, start + length))
    for start, length in removed:
        spans.discard(start, start + length)
        plain -= set(range(start, start + length))
        assert (len(spans), set(spans.ranges)) == (len(plain), plain)
    assert spans.first() == min(plain, default=None)
    start, end = window[0], sum(window)
    assert {i for span in spans.common(start, end) for i in range(*span)} == plain & set(range(start, end))
