"""The growing set of spans, against a plain set."""

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.util.index_set import IndexSet
from armonik_sdk.api.ranges import Ranges

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)).map(lambda at: (at[0], at[0] + at[1])))


@given(spans=SPANS, window=st.tuples(st.integers(0, 70), st.integers(0, 30)))
def test_it_holds_what_was_added(spans: list[tuple[int, int]], window: tuple[int, int]) -> None:
    grown = IndexSet()
    plain: set[int] = set()
    for start, end in spans:
        grown.add(start, end)
        plain |= set(range(start, end))
        assert len(grown) == len(plain)
        assert grown.ranges == Ranges.indexes(plain)
    start, length = window
    assert grown.count(start, start + length) == len(plain & set(range(start, start + length)))
    gaps = Ranges.of(grown.gaps(start, start + length))
    assert set(gaps) == set(range(start, start + length)) - plain
    assert all((index in grown) == (index in plain) for index in range(80))
