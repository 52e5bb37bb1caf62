"""The fold: records of the journal into the state of each Task, as ranges.

Pure. Records are cumulative and ordered by sequence within a run, so folding is idempotent: a record that is
not newer than what is known is ignored, and an element keeps its first outcome (protocol step F1).
"""

from bisect import bisect_right, insort
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from armonik_operator.paces import Timed
from armonik_operator.spans import SpanSet
from armonik_operator.texts import shorten
from armonik_sdk.api.const import MAX_FAILURES, FailureReason
from armonik_sdk.api.kinds import ElementCounts, Failure, Task
from armonik_sdk.api.ranges import Ranges, Span
from armonik_sdk.api.records import Outcome, OutcomeKind, Record, RecordKind


@dataclass(frozen=True)
class RunHead:
    """What the fold keeps of a run's last record."""

    start: int
    end: int
    n: int
    epoch: int
    kind: RecordKind
    sequence: int
    time: datetime
    partition: str
    owner_pod: str
    remaining: int
    """Elements that have not ended."""
    not_before: float = 0.0
    """Earliest next execution of any of them, in seconds since the epoch."""


@dataclass
class Single:
    """What the status of a Task of one element shows beside the counters."""

    worker: str = ""
    attempts: int = 0
    submitted: datetime | None = None
    dispatched: datetime | None = None
    ended: datetime | None = None
    outcome: Outcome | None = None


class TaskFold:
    """State of one Task, from its records alone.

    Everything that is asked for after each record (what ended, what is covered, which runs are open, the
    counters) is kept as records come, so that folding N runs costs about N searches.
    """

    def __init__(self) -> None:
        self.runs: dict[int, RunHead] = {}
        """By first index. Changed by `add` and `forget_run` only."""
        self.failures: dict[int, Failure] = {}
        """The failures with the lowest indexes."""
        self.delegated: set[str] = set()
        """Ids of outputs that ended elements have handed to children."""
        self.children: set[str] = set()
        """Names of the children that the records name."""
        self.sequence = 0
        self.band = 0
        """Band of priority that it is queued in. The one thing here that its options say, not its records."""
        self.first = 0
        """Sequence of the first record: the order in which Tasks were queued."""
        self.single = Single()
        self.given = Ranges()
        """Elements that owners gave away, of whose run no record is known yet."""
        self.session = ""
        """UID of the Session; in the records' subjects."""
        self.admitted = False
        """Whether a run was queued once. One that ended before that names no Partition."""
        self._outcomes: dict[OutcomeKind, SpanSet] = {}
        self._ended = SpanSet()
        self._covered = SpanSet()
        self._open: dict[int, RunHead] = {}
        self._starts: list[int] = []
        self._running = 0
        self._queued = 0
        self._timed = 0
        self._seconds = 0.0

    @property
    def pace(self) -> float | None:
        """Seconds that an element took on average, of those that completed; None while none has."""
        return self._seconds / self._timed if self._timed else None

    @property
    def timed(self) -> Timed:
        """Elements that completed, and how long they took together."""
        return Timed(self._timed, self._seconds)

    @property
    def outcomes(self) -> dict[OutcomeKind, Ranges]:
        """Elements by how they ended; only what occurred."""
        return {kind: spans.ranges for kind, spans in self._outcomes.items()}

    @property
    def ended(self) -> Ranges:
        """Elements that have an outcome."""
        return self._ended.ranges

    @property
    def submitted(self) -> Ranges:
        """Elements that belong to a run, or ended in an earlier life of the journal."""
        return self._covered.ranges

    @property
    def open_runs(self) -> Collection[RunHead]:
        """Runs whose head is not terminal; a view that follows the fold."""
        return self._open.values()

    @property
    def queued(self) -> int:
        """Elements of runs that nobody works on, and those of others that wait for their turn."""
        return self._queued

    def covers(self, total: int) -> bool:
        """Whether every element belongs to a run or has ended."""
        return len(self._covered) >= total

    def finished(self, total: int) -> bool:
        """Whether every element has an outcome and every run a terminal head."""
        return len(self._ended) >= total and not self._open

    def has_ended(self, index: int) -> bool:
        """Whether the element has an outcome."""
        return index in self._ended

    def kind_of(self, index: int) -> OutcomeKind | None:
        """How the element ended; None while it has not."""
        return next((kind for kind, spans in self._outcomes.items() if index in spans), None)

    def run_of(self, index: int) -> RunHead | None:
        """The run that the element belongs to."""
        at = bisect_right(self._starts, index) - 1
        run = self.runs[self._starts[at]] if at >= 0 else None
        return run if run is not None and index < run.end else None

    def seed(self, kind: OutcomeKind, indexes: Ranges) -> None:
        """Take outcomes from a status that an earlier life of the journal stands behind."""
        for span in indexes.spans:
            self._end(kind, self._ended.gaps(*span))

    def take_back(self, span: Span) -> None:
        """Elements that were given away belong to no run: its record was lost."""
        self.given -= Ranges.of([span])
        self._cover_anew()

    def forget_run(self, start: int) -> None:
        """Drop a run whose records are gone; what ended in it stays ended."""
        self._replace(self.runs.pop(start, None), None)
        self._starts.remove(start)
        self._cover_anew()

    def add(self, record: Record, sequence: int, time: datetime) -> bool:
        """Fold one record; False when a newer one of its run is known already."""
        known = self.runs.get(record.start)
        if known is not None and sequence <= known.sequence:
            return False
        fresh = {o.index: o for o in all_outcomes(record) if o.index not in self._ended}
        for outcome in fresh.values():
            self._end(outcome.kind, [(outcome.index, outcome.index + 1)])
            self.delegated.update(outcome.delegated)
            if outcome.kind is OutcomeKind.COMPLETED:
                self._timed += 1
                self._seconds += outcome.seconds
        for span in _implied_cancelled(record).spans:
            self._end(OutcomeKind.CANCELLED, self._ended.gaps(*span))
        self._keep_failures(fresh)
        self.children.update(child.name for child in record.children)
        head = RunHead(
            start=record.start,
            end=record.end,
            n=record.n,
            epoch=record.epoch,
            kind=record.kind,
            sequence=sequence,
            time=time,
            partition=record.partition,
            owner_pod=record.owner.pod if record.owner and record.kind.owned else "",
            not_before=max(record.not_before, min((a.not_before for a in record.attempts), default=0.0)),
            remaining=record.end - record.start - self._ended.count(record.start, record.end),
        )
        if known is not None and head.end < known.end:
            self.given |= Ranges.of([(head.end, known.end)])
        if known is None and self.given:
            self.given -= Ranges.of([(head.start, head.end)])
        self._replace(known, head)
        if record.start == 0:
            self._keep_single(record, fresh.get(0), time)
        self.admitted = self.admitted or bool(record.partition)
        self.sequence = max(self.sequence, sequence)
        self.first = self.first or sequence
        return True

    def retime(self, start: int, sequence: int, time: datetime) -> None:
        """The stream's own time of a record that was folded when it was appended."""
        known = self.runs.get(start)
        if known is None or known.sequence != sequence or known.time == time:
            return
        self._replace(known, replace(known, time=time))
        if start == 0 and self.single.submitted == known.time:
            self.single.submitted = time

    def counts(self, total: int) -> ElementCounts:
        """Elements by state; an agent works on one element of a run at a time."""
        sizes = {kind: len(self._outcomes.get(kind, ())) for kind in OutcomeKind}
        return ElementCounts(
            total=total,
            pending=max(0, total - len(self._ended) - self._running - self._queued),
            queued=self._queued,
            running=self._running,
            succeeded=sizes[OutcomeKind.COMPLETED],
            failed=sizes[OutcomeKind.ERROR],
            timed_out=sizes[OutcomeKind.TIMEOUT],
            cancelled=sizes[OutcomeKind.CANCELLED],
        )

    def _end(self, kind: OutcomeKind, spans: Iterable[Span]) -> None:
        for start, end in spans:
            self._outcomes.setdefault(kind, SpanSet()).add(start, end)
            self._ended.add(start, end)
            self._covered.add(start, end)

    def _replace(self, known: RunHead | None, head: RunHead | None) -> None:
        if known is not None and self._open.pop(known.start, None) is not None:
            self._count(known, -1)
        if head is None:
            return
        if known is None:
            insort(self._starts, head.start)
        self.runs[head.start] = head
        self._covered.add(head.start, head.end)
        if not head.kind.terminal:
            self._open[head.start] = head
            self._count(head, 1)

    def _cover_anew(self) -> None:
        self._covered = SpanSet((run.start, run.end) for run in self.runs.values())
        for span in (*self.ended.spans, *self.given.spans):
            self._covered.add(*span)

    def _count(self, run: RunHead, sign: int) -> None:
        running = int(run.kind.owned and run.remaining > 0)
        self._running += sign * running
        self._queued += sign * (run.remaining - running)

    def _keep_failures(self, fresh: dict[int, Outcome]) -> None:
        failed = {i: o for i, o in fresh.items() if o.kind is not OutcomeKind.COMPLETED}
        if not failed:
            return
        for index, outcome in failed.items():
            self.failures[index] = Failure(
                index=index,
                reason=outcome.reason or FailureReason.WORKER_ERROR,
                message=shorten(outcome.message),
                attempt=outcome.attempts,
            )
        self.failures = {index: self.failures[index] for index in sorted(self.failures)[:MAX_FAILURES]}

    def _keep_single(self, record: Record, outcome: Outcome | None, time: datetime) -> None:
        single = self.single
        if record.kind is RecordKind.SUBMITTED:
            single.submitted = single.submitted or time
        if record.kind is RecordKind.DISPATCHED:
            single.dispatched = time
        if record.owner is not None:
            single.worker = record.owner.name
        if outcome is not None:
            single.outcome, single.ended, single.attempts = outcome, time, outcome.attempts


def pinned_to(task: Task, fold: TaskFold | None) -> str:
    """UID of the Session that a Task belongs to for good; empty while it has none."""
    return (fold.session if fold else "") or (task.status.session_uid if task.status else "")


LISTED = 1_000
"""Most outcomes that a record of the operator spells out; more are implied by its kind."""


def all_outcomes(record: Record) -> tuple[Outcome, ...]:
    """Outcomes of a record; those of a cancelled run that it leaves out are added while they are few."""
    implied = _implied_cancelled(record)
    if not implied or len(implied) > LISTED:
        return record.outcomes
    added = (
        Outcome(index=index, kind=OutcomeKind.CANCELLED, attempts=0, reason=FailureReason.CANCELLED)
        for index in implied
    )
    return tuple(sorted((*record.outcomes, *added), key=lambda outcome: outcome.index))


def _implied_cancelled(record: Record) -> Ranges:
    if record.kind is not RecordKind.CANCELLED:
        return Ranges()
    return Ranges.of([(record.start, record.end)]) - Ranges.indexes(record.ended)
