from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.records import Outcome, OutcomeKind
from armonik_sdk.api.results import RunResults
from armonik_sdk.client.results.location import Found, Undecided
from armonik_sdk.client.results.stream import SeenElements, chunks, in_line


def ended(*indexes: int) -> tuple[Outcome, ...]:
    return tuple(Outcome(index=index, kind=OutcomeKind.COMPLETED) for index in indexes)


@given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 9))), max_size=12))
def test_each_element_is_taken_once(commits: list[tuple[int, set[int]]]) -> None:
    tally, taken = SeenElements(40), list[int]()
    for number, within in commits:
        start = 10 * number
        run = RunResults(sequence=1, end=start + 10, outcomes=ended(*(start + i for i in sorted(within))))
        taken += [outcome.index for outcome in tally.take(start, run)]
    named = {10 * number + i for number, within in commits for i in within}
    assert sorted(taken) == sorted(named)
    assert tally.left == 40 - len(named)
    assert tally.missing == next((i for i in range(40) if i not in named), -1)


def test_a_run_that_is_done_is_not_read_again() -> None:
    tally = SeenElements(4)
    tally.take(0, RunResults(sequence=1, end=2, outcomes=ended(0, 1), done=True))
    tally.take(2, RunResults(sequence=2, end=4, outcomes=ended(2)))
    assert tally.unfinished({0: None, 2: b"told"}) == {2: b"told"}


@given(st.sets(st.integers(0, 12)), st.integers(0, 12))
def test_a_line_has_no_gap(indexes: set[int], first: int) -> None:
    line = [outcome.index for outcome in in_line(ended(*indexes), first)]
    assert line == list(range(first, first + len(line)))
    assert first + len(line) not in indexes


@given(st.lists(st.integers(0, 50)), st.integers(1, 60))
def test_chunks_keep_the_order_and_the_bound(lengths: list[int], most: int) -> None:
    found = [Found(ObjectRef(key="k", offset=0, length=length)) for length in lengths]
    located = [*enumerate(found), (len(found), Undecided.DELEGATED)]
    parts = list(chunks(located, most))
    assert [entry for part in parts for entry in part] == located
    for part in parts:
        sizes = [place.length for _, place in part if isinstance(place, Found)]
        assert sum(sizes) <= most or len(part) == 1
