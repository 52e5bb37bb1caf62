"""The fold: records of the journal into the state of each Task, as ranges.

Pure. Records are cumulative and ordered by sequence within a run, so folding is idempotent: a record that is
not newer than what is known is ignored, and an element keeps its first outcome (protocol rule 8).
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from armonik_operator.journal.backlog import Before
from armonik_operator.journal.run_heads import RunHead as RunHead
from armonik_operator.journal.run_heads import RunHeads
from armonik_operator.util.durations import Timing
from armonik_operator.util.index_set import IndexSet
from armonik_operator.util.text import shorten
from armonik_sdk.api.const import MAX_FAILURES, FailureReason
from armonik_sdk.api.kinds import ElementCounts, Failure, Task, TaskStatus
from armonik_sdk.api.ranges import Ranges, Span
from armonik_sdk.api.records import Outcome, OutcomeKind, Record, RecordKind, Unexecuted

COUNTED: Final = ("total", "pending", "queued", "running", "succeeded", "failed", "timed_out", "cancelled")
"""Fields of `ElementCounts`."""
_ENDS: Final = (OutcomeKind.COMPLETED, OutcomeKind.ERROR, OutcomeKind.TIMEOUT, OutcomeKind.CANCELLED)
MAX_SECONDS = 10.0 * 365 * 24 * 3600
"""Most that one element counts for how long elements take: sums of what agents say stay finite."""
MAX_TROUBLE = 300
"""Characters that are kept of the error of a run's last failed execution."""


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
        self.runs = RunHeads()
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
        self._outcomes: dict[OutcomeKind, IndexSet] = {}
        self._ended = IndexSet()
        self._covered = IndexSet()
        self._running = 0
        self._queued = 0
        self._timed = 0
        self._seconds = 0.0

    @property
    def pace(self) -> float | None:
        """Seconds that an element took on average, of those that completed; None while none has."""
        return self._seconds / self._timed if self._timed else None

    @property
    def timed(self) -> Timing:
        """Elements that completed, and how long they took together."""
        return Timing(self._timed, self._seconds)

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
        return self.runs.open

    @property
    def queued(self) -> int:
        """Elements of runs without an owner, and those of owned runs that have not begun."""
        return self._queued

    def covers(self, total: int) -> bool:
        """Whether every element belongs to a run or has ended."""
        return len(self._covered) >= total

    def finished(self, total: int) -> bool:
        """Whether every element has an outcome and every run a terminal head."""
        return len(self._ended) >= total and not self.runs.open

    def has_ended(self, index: int) -> bool:
        """Whether the element has an outcome."""
        return index in self._ended

    def kind_of(self, index: int) -> OutcomeKind | None:
        """How the element ended; None while it has not."""
        return next((kind for kind, spans in self._outcomes.items() if index in spans), None)

    def run_of(self, index: int) -> RunHead | None:
        """The run that the element belongs to."""
        run = self.runs.before(index)
        return run if run is not None and index < run.end else None

    def seed(self, kind: OutcomeKind, indexes: Ranges) -> None:
        """Take outcomes from a status that was written in an earlier life of the journal."""
        for span in indexes.spans:
            self._end(kind, self._ended.gaps(*span))

    def take_back(self, span: Span) -> None:
        """Elements that were given away belong to no run: its record was lost."""
        self.given -= Ranges.of([span])
        self._cover_anew()

    def forget_run(self, start: int) -> None:
        """Drop a run whose records are gone; what ended in it stays ended."""
        if (known := self.runs.get(start)) is not None and not known.kind.terminal:
            self._count(known, -1)
        self.runs.drop(start)
        self._cover_anew()

    def add(
        self, record: Record, sequence: int, time: datetime, before: Before | None = None
    ) -> Ranges | None:
        """Fold one record: the elements that ended with it; None when a newer one of its run is known.

        `before` is what earlier records of the run said that were never folded.
        """
        before = before or Before()
        if before.submitted is not None:
            self.retime(record.start, *before.submitted)
        known = self.runs.get(record.start)
        if known is not None and sequence <= known.sequence:
            return None
        fresh = {o.index: o for o in all_outcomes(record) if o.index not in self._ended}
        spans = list(_together(fresh.values()))
        for kind, span in spans:
            self._end(kind, [span])
        for outcome in fresh.values():
            if outcome.delegated:
                self.delegated.update(outcome.delegated)
            if outcome.kind is OutcomeKind.COMPLETED:
                self._timed += 1
                self._seconds += min(outcome.seconds, MAX_SECONDS)
        implied, rest = unnamed(record)
        for gap in [gap for span in implied.spans for gap in self._ended.gaps(*span)]:
            few = range(gap[0], min(gap[1], gap[0] + MAX_FAILURES)) if record.rest is not None else ()
            fresh |= {index: rest.outcome(index) for index in few}
            spans.append((rest.kind, gap))
            self._end(rest.kind, [gap])
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
            trouble=trouble_of(record),
        )
        self._give(head, max(known.end if known is not None else 0, before.end))
        if known is None and self.given:
            self.given -= Ranges.of([(head.start, head.end)])
        self._replace(known, head)
        if record.start == 0:
            self._keep_single(record, fresh.get(0), time, before)
        self.admitted = self.admitted or bool(record.partition)
        self.sequence = max(self.sequence, sequence)
        self.first = self.first or before.first or sequence
        return Ranges.of([span for _, span in spans])

    def _give(self, head: RunHead, end: int) -> None:
        """The run went up to `end` before: its owner has given away what is not known as another run's."""
        if head.end >= end:
            return
        self.given |= Ranges.of([(head.end, end)]) - Ranges.of(self.runs.between(head.start, end))

    def retime(self, start: int, sequence: int, time: datetime) -> None:
        """The stream's own time of a record that was folded when it was appended."""
        known = self.runs.get(start)
        if known is None or known.sequence != sequence or known.kind.terminal or known.time == time:
            return
        self._replace(known, replace(known, time=time))
        if start == 0 and self.single.submitted == known.time:
            self.single.submitted = time

    def counts(self, total: int) -> ElementCounts:
        """Elements by state; an agent works on one element of a run at a time."""
        return ElementCounts(**dict(zip(COUNTED, self.numbers(total), strict=True)))

    def numbers(self, total: int) -> tuple[int, ...]:
        """The same as numbers in the order of `COUNTED`: a model takes longer, and few ask for one."""
        pending = max(0, total - len(self._ended) - self._running - self._queued)
        outcomes = self._outcomes
        ended = [len(outcomes[kind]) if kind in outcomes else 0 for kind in _ENDS]
        return (total, pending, self._queued, self._running, *ended)

    def _end(self, kind: OutcomeKind, spans: Iterable[Span]) -> None:
        for start, end in spans:
            self._outcomes.setdefault(kind, IndexSet()).add(start, end)
            self._ended.add(start, end)
            self._covered.add(start, end)

    def _replace(self, known: RunHead | None, head: RunHead) -> None:
        if known is not None and not known.kind.terminal:
            self._count(known, -1)
        self.runs.put(head)
        self._covered.add(head.start, head.end)
        if not head.kind.terminal:
            self._count(head, 1)

    def _cover_anew(self) -> None:
        self._covered = IndexSet(self.runs.spans())
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

    def _keep_single(self, record: Record, outcome: Outcome | None, time: datetime, before: Before) -> None:
        single = self.single
        if before.submitted is not None:
            single.submitted = single.submitted or before.submitted[1]
        single.dispatched = before.dispatched or single.dispatched
        if record.kind is RecordKind.SUBMITTED:
            single.submitted = single.submitted or time
        if record.kind is RecordKind.DISPATCHED:
            single.dispatched = time
        if record.owner is not None:
            single.worker = record.owner.name
        if record.end == 1 and record.attempts:
            single.attempts = record.attempts[0].executions + record.attempts[0].broken_off
        if outcome is not None:
            single.outcome, single.ended, single.attempts = outcome, time, outcome.attempts


def trouble_of(record: Record) -> str:
    """The most failed executions of an element of a run: how many, and the last reason."""
    if not record.attempts:
        return shorten(record.lost.why, MAX_TROUBLE) if record.lost is not None else ""
    worst = max(record.attempts, key=lambda attempt: attempt.executions + attempt.broken_off)
    failed = f"{worst.executions} failed" if worst.executions else ""
    lost = f"{worst.broken_off} were broken off" if worst.broken_off else ""
    counted = " and ".join(part for part in (failed, lost) if part)
    return shorten(f"of element {worst.index} {counted}, the last: {worst.message}", MAX_TROUBLE)


def pinned_to(task: Task, fold: TaskFold | None) -> str:
    """UID of the Session that a Task permanently belongs to; empty while it has none."""
    return (fold.session if fold else "") or (task.status.session_uid if task.status else "")


LISTED = 1_000
"""Most outcomes that a record of the operator spells out; more are implied by its kind, or by `rest`."""


def _together(outcomes: Iterable[Outcome]) -> Iterator[tuple[OutcomeKind, Span]]:
    """Spans of elements that follow each other and ended alike: most of a record's do."""
    kind, start, end = OutcomeKind.COMPLETED, 0, 0
    for outcome in outcomes:
        if outcome.index != end or outcome.kind is not kind or start == end:
            if start < end:
                yield kind, (start, end)
            kind, start = outcome.kind, outcome.index
        end = outcome.index + 1
    if start < end:
        yield kind, (start, end)


def all_outcomes(record: Record) -> tuple[Outcome, ...]:
    """Outcomes of a record; those of a cancelled run that it leaves out are added while they are few."""
    implied, rest = unnamed(record)
    if not implied or len(implied) > LISTED:
        return record.outcomes
    added = map(rest.outcome, implied)
    return tuple(sorted((*record.outcomes, *added), key=lambda outcome: outcome.index))


_NONE: Final = Ranges()
_NOBODY: Final = Unexecuted(start=0, kind=OutcomeKind.CANCELLED, reason=FailureReason.CANCELLED)


def unnamed(record: Record) -> tuple[Ranges, Unexecuted]:
    """Elements that ended with a record and that its outcomes do not name, and how."""
    if record.kind is not RecordKind.CANCELLED and record.rest is None:
        return _NONE, _NOBODY
    cancelled = Unexecuted(start=record.start, kind=OutcomeKind.CANCELLED, reason=FailureReason.CANCELLED)
    left = Ranges.of([(record.start, record.end)]) - Ranges.indexes(record.ended)
    return left, record.rest or cancelled


def seed(fold: TaskFold, status: TaskStatus, total: int) -> None:
    """Take in what a status of an earlier life of the journal says of a Task's elements."""
    there = Ranges.of([(0, total)])
    fold.session = status.session_uid
    fold.seed(OutcomeKind.COMPLETED, Ranges.parse(status.succeeded_indexes) & there)
    fold.seed(OutcomeKind.ERROR, Ranges.parse(status.failed_indexes) & there)
    fold.seed(OutcomeKind.TIMEOUT, Ranges.parse(status.timed_out_indexes) & there)
    fold.seed(OutcomeKind.CANCELLED, Ranges.parse(status.cancelled_indexes) & there)
