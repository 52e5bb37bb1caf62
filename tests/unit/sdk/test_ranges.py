from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.api.errors import InvalidIntervals
from armonik_sdk.api.ranges import Ranges

sets = st.sets(st.integers(0, 60))
ends = st.integers(0, 70)


@given(sets)
def test_a_set_survives_text_and_spans(indexes: set[int]) -> None:
    ranges = Ranges.indexes(indexes)
    assert set(ranges) == indexes
    assert len(ranges) == len(indexes)
    assert bool(ranges) == bool(indexes)
    assert Ranges.parse(str(ranges)) == ranges
    assert Ranges.of(ranges.spans) == ranges


@given(sets)
def test_spans_are_sorted_disjoint_and_do_not_touch(indexes: set[int]) -> None:
    edges = [edge for span in Ranges.indexes(indexes).spans for edge in span]
    assert all(before < after for before, after in pairwise(edges))


@given(sets, sets)
def test_the_operators_are_those_of_sets(left: set[int], right: set[int]) -> None:
    a, b = Ranges.indexes(left), Ranges.indexes(right)
    assert a | b == Ranges.indexes(left | right)
    assert a & b == Ranges.indexes(left & right)
    assert a - b == Ranges.indexes(left - right)
    assert a.issubset(b) == (left <= right)
    assert (a == b) == (left == right)


@given(sets, ends)
def test_complement_and_membership(indexes: set[int], end: int) -> None:
    ranges = Ranges.indexes(indexes)
    assert set(ranges.complement(end)) == set(range(end)) - indexes
    assert all((index in ranges) == (index in indexes) for index in range(-1, 70))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5))))
def test_any_spans_in_any_order_make_their_union(pieces: list[tuple[int, int]]) -> None:
    ranges = Ranges.of((start, start + length) for start, length in pieces)
    assert set(ranges) == {i for start, length in pieces for i in range(start, start + length)}


@pytest.mark.parametrize(
    ("text", "spans"),
    [("", ()), ("0", ((0, 1),)), ("0-497,500", ((0, 498), (500, 501))), ("3-4,5-6", ((3, 7),))],
)
def test_parse(text: str, spans: tuple[tuple[int, int], ...]) -> None:
    assert Ranges.parse(text).spans == spans


@pytest.mark.parametrize(
    "text", ["a", "1-", "-1", "2-1", "1,", ",1", "5,3", "1-3,2", "1,1", "01", "1 ,2", "١"]
)
def test_parse_refuses_and_quotes_what_it_refuses(text: str) -> None:
    with pytest.raises(InvalidIntervals, match=r"is neither an index nor an interval|is out of order"):
        Ranges.parse(text)


@pytest.mark.parametrize("span", [(-1, 2), (3, 2)])
def test_of_refuses_what_is_no_span(span: tuple[int, int]) -> None:
    with pytest.raises(InvalidIntervals, match="is not a span"):
        Ranges.of([span])


def test_a_million_elements_cost_one_span() -> None:
    million = Ranges.of([(0, 1_000_000)])
    assert str(million - Ranges.single(500)) == "0-499,501-999999"
    assert len((million - Ranges.single(500)).spans) == 2
