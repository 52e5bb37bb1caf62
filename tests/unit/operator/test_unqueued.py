"""Elements that nobody executes end in few records, however many they are."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from armonik_operator.cache.keys import JournalEntry
from armonik_operator.clients.servers import Clients
from armonik_operator.commits.record_applier import RecordApplier
from armonik_operator.journal.fold import LISTED, TaskFold, all_outcomes
from armonik_operator.journal.transitions import IN_WORDS, unqueued_runs
from armonik_operator.queueing.journal_writer import JournalWriter
from armonik_operator.results.store import merge
from armonik_sdk.api.bounds import MAX_ELEMENTS, MAX_FAILURES
from armonik_sdk.api.names import RunId
from armonik_sdk.api.ranges import Ranges, Span
from armonik_sdk.api.records import Outcome, OutcomeKind, Record, RecordKind, Unexecuted
from armonik_sdk.api.results import RunResults
from armonik_sdk.dataplane.errors import Conflict
from armonik_sdk.dataplane.head import Head
from armonik_sdk.dataplane.nats.requests import MAX_BATCH
from armonik_sdk.dataplane.result_lookup import outcome_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WHY = "DependencyAborted"


@st.composite
def aborted(draw: st.DrawFn) -> list[tuple[Span, str]]:
    """Disjoint elements, each with a reason; some gaps, some of them long."""
    found: list[tuple[Span, str]] = []
    at = 0
    for length, gap, reason in draw(
        st.lists(st.tuples(st.sampled_from([1, 2, 99, 100, 250]), st.integers(0, 1), st.integers(0, 1)))
    ):
        found.append(((at + gap, at + gap + length), f"reason {reason}"))
        at += gap + length
    return draw(st.permutations(found))


def ended(run: tuple[Span, tuple[Outcome, ...], Unexecuted | None]) -> Record:
    span, outcomes, rest = run
    record = Record(
        record_id="r", kind=RecordKind.DONE, start=span[0], end=span[1], n=1, outcomes=outcomes, rest=rest
    )
    return Record.model_validate_json(record.encode())


@given(aborted())
def test_each_element_ends_once_and_for_its_own_reason(spans: list[tuple[Span, str]]) -> None:
    wanted = {index: reason for span, reason in spans for index in range(*span)}
    found: dict[int, str] = {}
    for record in map(ended, unqueued_runs(spans)):
        results = RunResults(
            sequence=1, end=record.end, outcomes=record.outcomes, rest=record.rest, done=True
        )
        for index in range(record.start, record.end):
            outcome = outcome_of(results, index)
            assert outcome is not None
            assert (outcome.kind, outcome.reason, outcome.attempts) == (OutcomeKind.ERROR, WHY, 0)
            assert found.setdefault(index, outcome.message) is outcome.message, "it is in two runs"
        assert outcome_of(results, record.end) is None
    assert found == wanted


def test_a_task_of_any_size_that_falls_as_a_whole_takes_one_record() -> None:
    assert len(unqueued_runs([((0, MAX_ELEMENTS), "why")])) == 1
    each = [((index, index + 1), f"element {index}") for index in range(10 * IN_WORDS)]
    assert len(unqueued_runs(each)) == 10


@given(st.integers(1, 3 * LISTED), st.sets(st.integers(0, 3 * LISTED - 1), max_size=5))
def test_the_fold_is_as_if_each_had_an_outcome(total: int, before: set[int]) -> None:
    """Also of those that have ended before, as in an earlier life of the journal."""
    rest = Unexecuted(start=0, kind=OutcomeKind.ERROR, reason=WHY, message="why")
    short = Record(record_id="r", kind=RecordKind.DONE, start=0, end=total, n=1, rest=rest)
    long = short.model_copy(update={"rest": None, "outcomes": tuple(map(rest.outcome, range(total)))})
    folds = TaskFold(), TaskFold()
    for fold, record in zip(folds, (short, long), strict=True):
        fold.seed(OutcomeKind.COMPLETED, Ranges.indexes(index for index in before if index < total))
        fold.add(record, 1, NOW)
    assert folds[0].outcomes == folds[1].outcomes
    assert folds[0].failures == folds[1].failures
    assert len(folds[0].failures) <= MAX_FAILURES
    assert folds[0].counts(total) == folds[1].counts(total)
    assert folds[0].finished(total)
    assert all_outcomes(short) == (all_outcomes(long) if total <= LISTED else ())


def test_what_is_kept_of_a_run_keeps_first_outcomes() -> None:
    done = Outcome(index=1, kind=OutcomeKind.COMPLETED)
    rest = Unexecuted(start=0, kind=OutcomeKind.ERROR, reason=WHY, message="why")
    standing = RunResults(sequence=1, end=9, outcomes=(done,))
    new = RunResults(sequence=2, end=9, rest=rest, done=True)
    both = merge(standing, new)
    assert both is not None
    assert [outcome_of(both, index) for index in (0, 1, 8, 9)] == [
        rest.outcome(0),
        done,
        rest.outcome(8),
        None,
    ]
    late = RunResults(sequence=3, end=9, outcomes=(Outcome(index=0, kind=OutcomeKind.COMPLETED),), done=True)
    assert merge(both, late) is None


class Journal:
    """Stores batches whole or not at all; of some runs there is a record already."""

    def __init__(self, standing: set[int]) -> None:
        self.standing = standing
        self.stored: list[int] = []
        self.batches = 0

    async def submit_all(self, records: list[tuple[RunId, Record]]) -> int:
        self.batches += 1
        assert len(records) <= MAX_BATCH
        if any(run.start in self.standing for run, _ in records):
            raise Conflict("one of them is not the first")
        self.stored += [run.start for run, _ in records]
        return len(self.stored)

    async def submit(self, run: RunId, record: Record) -> int:
        if run.start in self.standing:
            raise Conflict("there is one", head=Head(record, 7, NOW))
        self.stored.append(run.start)
        return len(self.stored)

    async def head(self, run: RunId) -> Any:
        return None


class Applier:
    async def apply(self, entry: JournalEntry) -> None:
        """Nothing follows."""


async def test_gaps_of_a_task_are_ended_in_batches_and_none_is_left_out() -> None:
    """Every other element of a Task was submitted, and it is cancelled."""
    starts = range(0, 5 * MAX_BATCH, 2)
    standing = {40, 42, 3_000}
    journal = Journal(standing)
    servers = cast("Clients", SimpleNamespace(journal=journal, objects=None))
    records = [
        (
            RunId("n", "s", "t", at),
            Record(record_id="r", kind=RecordKind.CANCELLED, start=at, end=at + 1, n=1),
        )
        for at in starts
    ]
    await JournalWriter(servers, cast("RecordApplier", Applier())).append_unqueued(records)
    assert sorted(journal.stored) == [at for at in starts if at not in standing]
    assert journal.batches <= 6
