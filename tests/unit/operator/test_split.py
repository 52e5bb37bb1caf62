"""Runs that give their tails away, as the operator sees them."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.journal.fold import TaskFold
from armonik_operator.planning.run_sizing import split_into_runs
from armonik_operator.results.store import merge
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Outcome, OutcomeKind, Owner, Record, RecordKind
from armonik_sdk.api.results import RunResults

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOTAL = 40
OWNER = Owner(pod="pod", process="1")


def record(kind: RecordKind, start: int, end: int) -> Record:
    owner = OWNER if kind.owned else None
    return Record(record_id="r", kind=kind, start=start, end=end, n=1, owner=owner, partition="p")


@st.composite
def journals(draw: st.DrawFn) -> list[Record]:
    """Of a Task that is one run at first, which is split again and again, and its parts too."""
    runs = {0: TOTAL}
    records = [record(RecordKind.SUBMITTED, 0, TOTAL), record(RecordKind.DISPATCHED, 0, TOTAL)]
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.sampled_from(sorted(runs)))
        if runs[start] - start < 2:
            continue
        at = draw(st.integers(start + 1, runs[start] - 1))
        runs[at], runs[start] = runs[start], at
        records += [record(RecordKind.SPLIT, start, at), record(RecordKind.SUBMITTED, at, runs[at])]
    return records


@given(journals(), st.data())
def test_every_element_is_in_one_run_and_none_is_cut_again(
    records: list[Record], data: st.DataObject
) -> None:
    fold = TaskFold()
    for sequence, each in enumerate(records, start=1):
        fold.add(each, sequence, NOW)
        assert fold.covers(TOTAL)
        assert split_into_runs(TOTAL, fold.submitted, 5, 100) == []
        counts = fold.counts(TOTAL)
        assert counts.pending + counts.queued + counts.running == TOTAL
        assert counts.pending == len(fold.given)
    assert not fold.given
    spans = sorted((run.start, run.end) for run in fold.runs.values())
    assert Ranges.of(spans).spans == ((0, TOTAL),)
    assert sum(end - start for start, end in spans) == TOTAL
    index = data.draw(st.integers(0, TOTAL - 1))
    run = fold.run_of(index)
    assert run is not None
    assert run.start <= index < run.end


def test_what_was_given_away_and_lost_is_cut_again() -> None:
    fold = TaskFold()
    fold.add(record(RecordKind.SUBMITTED, 0, TOTAL), 1, NOW)
    fold.add(record(RecordKind.SPLIT, 0, 10), 2, NOW)
    assert fold.given.spans == ((10, TOTAL),)
    assert fold.run_of(10) is None
    fold.take_back((10, TOTAL))
    assert not fold.given
    assert split_into_runs(TOTAL, fold.submitted, 100, 10) == [(10, TOTAL)]


@given(journals(), st.integers(0, 17))
def test_a_head_read_ahead_of_the_fold_gives_the_same(records: list[Record], skipped: int) -> None:
    fold = TaskFold()
    fold.add(records[0], 1, NOW)
    last = {each.start: sequence for sequence, each in enumerate(records, start=1)}
    fold.add(records[last[0] - 1], last[0], NOW)
    assert fold.covers(TOTAL)
    for sequence, each in enumerate(records, start=1):
        fold.add(each, sequence, NOW)
    assert not fold.given
    assert fold.covers(TOTAL)


def results(end: int, *indexes: int, done: bool = False, sequence: int = 1) -> RunResults:
    outcomes = tuple(Outcome(index=index, kind=OutcomeKind.COMPLETED) for index in indexes)
    return RunResults(sequence=sequence, end=end, outcomes=outcomes, done=done)


def test_results_follow_a_run_that_becomes_shorter() -> None:
    before = results(10, 0, 1)
    shorter = merge(before, results(5, 0, 1, 2, sequence=2))
    assert shorter is not None
    assert shorter.end == 5
    late = merge(shorter, before)  # of an operator that is behind
    assert late is None
    ended = merge(shorter, results(5, 0, 1, 2, 3, 4, done=True, sequence=3))
    assert ended is not None
    assert (ended.end, ended.done) == (5, True)


def test_results_of_a_run_whose_split_was_lost_are_those_of_all_of_it() -> None:
    ended = merge(results(5, *range(5), done=True), results(8, *range(8), done=True, sequence=9))
    assert ended is not None
    assert (ended.end, len(ended.outcomes)) == (8, 8)
