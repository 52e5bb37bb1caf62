"""The fold: records of the journal into the state of each Task, as ranges.

Pure. Records are cumulative and ordered by sequence within a run, so folding is idempotent: a record that is
not newer than what is known is ignored, and an element keeps its first outcome (protocol step F1).
"""

from dataclasses import dataclass, field
from datetime import datetime

from armonik_sdk.api.const import MAX_FAILURES, MAX_MESSAGE, FailureReason
from armonik_sdk.api.kinds import ElementCounts, Failure
from armonik_sdk.api.ranges import Ranges
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


@dataclass
class Single:
    """What the status of a Task of one element shows beside the counters."""

    worker: str = ""
    attempts: int = 0
    submitted: datetime | None = None
    dispatched: datetime | None = None
    ended: datetime | None = None
    outcome: Outcome | None = None


@dataclass
class TaskFold:
    """State of one Task, from its records alone."""

    runs: dict[int, RunHead] = field(default_factory=dict)
    outcomes: dict[OutcomeKind, Ranges] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    """The failures with the lowest indexes."""
    sequence: int = 0
    single: Single = field(default_factory=Single)
    session: str = ""
    """UID of the Session; in the records' subjects."""

    @property
    def ended(self) -> Ranges:
        """Elements that have an outcome."""
        return Ranges.of(span for ranges in self.outcomes.values() for span in ranges.spans)

    @property
    def submitted(self) -> Ranges:
        """Elements that belong to a run, or ended in an earlier life of the journal."""
        return Ranges.of((run.start, run.end) for run in self.runs.values()) | self.ended

    @property
    def open_runs(self) -> list[RunHead]:
        """Runs whose head is not terminal."""
        return [run for run in self.runs.values() if not run.kind.terminal]

    def finished(self, total: int) -> bool:
        """Whether every element has an outcome and every run a terminal head."""
        return len(self.ended) >= total and not self.open_runs

    def kind_of(self, index: int) -> OutcomeKind | None:
        """How the element ended; None while it has not."""
        return next((kind for kind, ranges in self.outcomes.items() if index in ranges), None)

    def run_of(self, index: int) -> RunHead | None:
        """The run that the element belongs to."""
        return next((run for run in self.runs.values() if run.start <= index < run.end), None)

    def seed(self, kind: OutcomeKind, indexes: Ranges) -> None:
        """Take outcomes from a status that an earlier life of the journal stands behind."""
        self.outcomes[kind] = self.outcomes.get(kind, Ranges()) | (indexes - self.ended)

    def add(self, record: Record, sequence: int, time: datetime) -> bool:
        """Fold one record; False when a newer one of its run is known already."""
        known = self.runs.get(record.start)
        if known is not None and sequence <= known.sequence:
            return False
        ended = self.ended
        fresh = {o.index: o for o in all_outcomes(record) if o.index not in ended}
        for kind in OutcomeKind:
            new = Ranges.indexes(i for i, o in fresh.items() if o.kind is kind)
            if new:
                self.outcomes[kind] = self.outcomes.get(kind, Ranges()) | new
        bare = _implied_cancelled(record) - ended - Ranges.indexes(fresh)
        if bare:
            self.outcomes[OutcomeKind.CANCELLED] = self.outcomes.get(OutcomeKind.CANCELLED, Ranges()) | bare
        self._keep_failures(fresh)
        run = Ranges.of([(record.start, record.end)])
        owned = record.owner.pod if record.owner and record.kind.owned else ""
        self.runs[record.start] = RunHead(
            start=record.start,
            end=record.end,
            n=record.n,
            epoch=record.epoch,
            kind=record.kind,
            sequence=sequence,
            time=time,
            partition=record.partition,
            owner_pod=owned,
            remaining=len(run - self.ended),
        )
        if record.start == 0:
            self._keep_single(record, fresh.get(0), time)
        self.sequence = max(self.sequence, sequence)
        return True

    def counts(self, total: int) -> ElementCounts:
        """Elements by state; an agent works on one element of a run at a time."""
        running = sum(1 for run in self.open_runs if run.kind.owned and run.remaining)
        waiting = sum(run.remaining for run in self.open_runs) - running
        sizes = {kind: len(self.outcomes.get(kind, ())) for kind in OutcomeKind}
        ended = sum(sizes.values())
        return ElementCounts(
            total=total,
            pending=max(0, total - ended - running - waiting),
            queued=waiting,
            running=running,
            succeeded=sizes[OutcomeKind.COMPLETED],
            failed=sizes[OutcomeKind.ERROR],
            timed_out=sizes[OutcomeKind.TIMEOUT],
            cancelled=sizes[OutcomeKind.CANCELLED],
        )

    def _keep_failures(self, fresh: dict[int, Outcome]) -> None:
        for index, outcome in fresh.items():
            if outcome.kind is OutcomeKind.COMPLETED:
                continue
            self.failures[index] = Failure(
                index=index,
                reason=outcome.reason or FailureReason.WORKER_ERROR,
                message=outcome.message[:MAX_MESSAGE],
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
