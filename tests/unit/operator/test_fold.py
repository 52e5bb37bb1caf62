"""The fold, by property: any delivery of a run's records leads to the same state."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.journal.fold import COUNTED, TaskFold
from armonik_operator.planning.run_sizing import (
    MAX_RUN,
    MAX_WINDOW,
    RUN_SECONDS,
    WINDOW_RUNS,
    WINDOW_SECONDS,
    max_open_runs,
    run_size,
    split_into_runs,
)
from armonik_operator.util.durations import DurationStats
from armonik_sdk.api.kinds import ElementCounts
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Outcome, OutcomeKind, Owner, Record, RecordKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
END = 6


def history(kinds: list[OutcomeKind], start: int = 0) -> list[Record]:
    """Records of a run in which one element ends after the other."""
    common = {"start": start, "end": start + len(kinds), "n": 1, "partition": "p"}
    records = [Record(record_id="s", kind=RecordKind.SUBMITTED, **common)]
    owner = Owner(pod="u", process="x", name="pod")
    records.append(Record(record_id="d", kind=RecordKind.DISPATCHED, epoch=1, owner=owner, **common))
    for at in range(1, len(kinds) + 1):
        done = tuple(Outcome(index=start + i, kind=kinds[i]) for i in range(at))
        kind = RecordKind.DONE if at == len(kinds) else RecordKind.PROGRESS
        records.append(Record(record_id=str(at), kind=kind, epoch=1, owner=owner, outcomes=done, **common))
    return records


OUTCOMES = st.lists(st.sampled_from(list(OutcomeKind)), min_size=1, max_size=END)


@given(kinds=OUTCOMES, data=st.data())
def test_any_order_and_repetition_ends_in_the_state_of_the_head(
    kinds: list[OutcomeKind], data: st.DataObject
) -> None:
    records = list(enumerate(history(kinds), start=1))
    delivered = [*data.draw(st.lists(st.sampled_from(records), max_size=12)), records[-1]]
    fold, straight = TaskFold(), TaskFold()
    for sequence, record in delivered:
        fold.add(record, sequence, NOW)
    for sequence, record in records:
        straight.add(record, sequence, NOW)
    assert fold.outcomes == straight.outcomes
    assert fold.runs == straight.runs
    assert fold.failures == straight.failures
    assert fold.finished(len(kinds))


@given(kinds=OUTCOMES, total=st.integers(END, 20), upto=st.integers(1, END + 2))
def test_the_counters_always_sum_up(kinds: list[OutcomeKind], total: int, upto: int) -> None:
    fold = TaskFold()
    for sequence, record in enumerate(history(kinds)[:upto], start=1):
        fold.add(record, sequence, NOW)
    counts = fold.counts(total)
    assert counts.pending + counts.queued + counts.running + counts.ended == total


@given(kinds=OUTCOMES, data=st.data())
def test_each_element_is_reported_once_whatever_is_delivered(
    kinds: list[OutcomeKind], data: st.DataObject
) -> None:
    records = list(enumerate(history(kinds), start=1))
    delivered = [*data.draw(st.lists(st.sampled_from(records), max_size=12)), records[-1]]
    fold, reported = TaskFold(), list[int]()
    for sequence, record in delivered:
        before = fold.ended
        fresh = fold.add(record, sequence, NOW)
        reported += fresh or ()
        assert fold.ended == before | (fresh or Ranges())
    assert sorted(reported) == list(range(len(kinds)))


def test_counts_are_the_fields_of_the_model() -> None:
    assert tuple(ElementCounts.model_fields) == COUNTED


def test_an_element_keeps_its_first_outcome() -> None:
    fold = TaskFold()
    first = history([OutcomeKind.COMPLETED, OutcomeKind.ERROR])[-1]
    fold.add(first, 5, NOW)
    fold.add(history([OutcomeKind.ERROR, OutcomeKind.ERROR])[-1], 6, NOW)
    assert fold.outcomes == {OutcomeKind.COMPLETED: Ranges.single(0), OutcomeKind.ERROR: Ranges.single(1)}


def test_a_cancelled_run_cancels_what_had_not_ended() -> None:
    fold = TaskFold()
    done = (Outcome(index=1, kind=OutcomeKind.COMPLETED),)
    record = Record(record_id="c", kind=RecordKind.CANCELLED, start=0, end=5000, n=1, outcomes=done)
    fold.add(record, 1, NOW)
    assert str(fold.outcomes[OutcomeKind.CANCELLED]) == "0,2-4999"
    assert fold.finished(5000)


PACES = st.none() | st.just(0.0) | st.floats(1e-7, 1e5)
"""Seconds that an element takes, as far as they are known."""


@given(total=st.integers(1, 1_000_000), slots=st.integers(1, 1000), pace=PACES)
def test_runs_are_cut_to_the_work_that_can_be_foreseen(total: int, slots: int, pace: float | None) -> None:
    size = run_size(total, slots, pace)
    runs = max_open_runs(size, slots, pace)
    assert 1 <= runs <= MAX_WINDOW
    if pace:
        assert size == 1 or size * pace <= RUN_SECONDS * 1.001
        ahead = runs * size * pace / slots
        assert ahead <= max(WINDOW_SECONDS, size * pace * WINDOW_RUNS) * 1.001
        assert runs == MAX_WINDOW or runs >= slots * WINDOW_RUNS


@given(total=st.integers(1, 1_000_000), slots=st.integers(1, 1000), pace=PACES)
def test_on_a_hint_every_slot_gets_its_next_run_and_no_more(
    total: int, slots: int, pace: float | None
) -> None:
    assert max_open_runs(run_size(total, slots, pace), slots, pace, hinted=True) == min(MAX_WINDOW, 2 * slots)


def test_the_pace_is_that_of_what_completed() -> None:
    fold = TaskFold()
    assert fold.pace is None
    outcomes = (
        Outcome(index=0, kind=OutcomeKind.COMPLETED, seconds=1.0),
        Outcome(index=1, kind=OutcomeKind.COMPLETED, seconds=3.0),
        Outcome(index=2, kind=OutcomeKind.TIMEOUT, seconds=60.0),
    )
    record = Record(record_id="p", kind=RecordKind.PROGRESS, start=0, end=5, n=1, outcomes=outcomes)
    fold.add(record, 1, NOW)
    fold.add(record, 2, NOW)
    assert fold.pace == 2.0


@given(
    total=st.integers(1, 3000),
    taken=st.lists(st.tuples(st.integers(0, 2999), st.integers(1, 50))),
    slots=st.integers(1, 100),
    pace=PACES,
)
def test_runs_cover_exactly_what_belongs_to_none(
    total: int, taken: list[tuple[int, int]], slots: int, pace: float | None
) -> None:
    submitted = Ranges.of((a, min(a + n, total)) for a, n in taken if a < total)
    size = run_size(total, slots, pace)
    runs = split_into_runs(total, submitted, size, 10_000)
    assert 1 <= size <= MAX_RUN
    assert all(0 < end - start <= size for start, end in runs)
    assert sum(end - start for start, end in runs) + len(submitted) == total
    assert Ranges.of(runs) == submitted.complement(total)


@st.composite
def deliveries(draw: st.DrawFn) -> list[tuple[int, Record]]:
    """Records of several runs, in an order in which a journal may hand them out."""
    numbered: list[list[Record]] = []
    start = 0
    for _ in range(draw(st.integers(1, 4))):
        kinds = draw(OUTCOMES)
        numbered.append(history(kinds, start)[: draw(st.integers(1, len(kinds) + 2))])
        start += len(kinds) + draw(st.integers(0, 2))
    order = draw(st.permutations([at for at, run in enumerate(numbered) for _ in run]))
    streams = [iter(run) for run in numbered]
    return [(sequence, next(streams[at])) for sequence, at in enumerate(order, start=1)]


@given(records=deliveries(), seeded=st.lists(st.integers(0, 30), max_size=5))
def test_what_is_kept_is_what_the_runs_and_outcomes_say(
    records: list[tuple[int, Record]], seeded: list[int]
) -> None:
    fold = TaskFold()
    fold.seed(OutcomeKind.COMPLETED, Ranges.indexes(seeded))
    total = 40
    for sequence, record in records:
        fold.add(record, sequence, NOW)
        ended = Ranges.of(span for ranges in fold.outcomes.values() for span in ranges.spans)
        open_runs = [run for run in fold.runs.values() if not run.kind.terminal]
        assert fold.ended == ended
        assert fold.submitted == Ranges.of((r.start, r.end) for r in fold.runs.values()) | ended
        assert sorted(fold.open_runs, key=lambda r: r.start) == sorted(open_runs, key=lambda r: r.start)
        assert fold.finished(len(ended)) == (not open_runs)
        counts = fold.counts(total)
        assert counts.running == sum(1 for r in open_runs if r.kind.owned and r.remaining)
        assert counts.queued + counts.running == sum(r.remaining for r in open_runs)
        assert counts.ended == len(ended)
        for index in range(total):
            assert fold.has_ended(index) == (index in ended) == (fold.kind_of(index) is not None)
            holding = [r for r in fold.runs.values() if r.start <= index < r.end]
            assert fold.run_of(index) == next(iter(holding), None)
    for start in list(fold.runs):
        fold.forget_run(start)
    assert fold.submitted == fold.ended
    assert not fold.open_runs
    assert fold.counts(total).queued == 0


@given(st.lists(st.floats(0, 1.8e308, allow_infinity=False), min_size=2, max_size=6))
def test_what_a_worker_says_of_its_elements_never_keeps_others_from_being_queued(said: list[float]) -> None:
    """Two numbers near the largest one had an infinite sum, of which no length of a run can be made."""
    fold, paces = TaskFold(), DurationStats()
    for index, seconds in enumerate(said):
        outcome = Outcome(index=index, kind=OutcomeKind.COMPLETED, seconds=seconds)
        record = Record(
            record_id="d", kind=RecordKind.DONE, start=index, end=index + 1, n=1, outcomes=(outcome,)
        )
        before = fold.timed
        fold.add(record, index + 1, NOW)
        paces.note("s", "p", before, fold.timed)
    for pace in (fold.pace, paces.of("s", "p")):
        assert pace is not None
        size = run_size(100, 2, pace)
        assert 1 <= size <= MAX_RUN
        assert 1 <= max_open_runs(size, 2, pace) <= MAX_WINDOW
