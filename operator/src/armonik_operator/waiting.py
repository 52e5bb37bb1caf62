"""Why elements do not run yet: one reason for programs, one sentence for people. Pure but for a clock."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate

from armonik_operator.fold import TaskFold
from armonik_operator.load import Place
from armonik_operator.reconcile.task import DependencyState, Readiness
from armonik_sdk.api.const import ConditionType, Reason
from armonik_sdk.api.kinds import Partition, Session, SessionState, Task, find_condition
from armonik_sdk.api.records import RecordKind

FRESH = 1.0
"""Seconds for which the order of a Partition's Tasks is kept."""


@dataclass(frozen=True)
class Waiting:
    """Why: the reason of most elements that do not run."""

    reason: Reason
    message: str
    until: float = 0.0
    """When it ends, in seconds since the epoch; 0 where nobody knows."""


def why(
    task: Task,
    fold: TaskFold,
    readiness: Readiness,
    session: Session,
    partition: Partition | None,
    ahead: Callable[[], int],
    now: float,
) -> Waiting | None:
    """Why elements of the Task do not run; None when all that are left do.

    Args:
        task: the Task.
        fold: its fold.
        readiness: what its elements without a run wait for.
        session: its Session.
        partition: the Partition that shall run it.
        ahead: how many elements of other Tasks were queued in it before.
        now: seconds since the epoch.
    """
    counts = fold.counts(task.spec.total)
    if not counts.pending and not counts.queued:
        return _tried_again(fold, now)
    if session.spec.desired_state is SessionState.PAUSED:
        left = counts.pending + counts.queued
        name = session.metadata.name
        return Waiting(Reason.PAUSED, f"{_elements(left)} until session {name} goes on: it is paused")
    if readiness.own.state is DependencyState.WAITING:
        return Waiting(
            Reason.WAITING_FOR_DATA, f"{_elements(counts.pending)} for data: {readiness.own.message}"
        )
    if counts.queued:
        return _queued(fold, counts.queued, partition, ahead, now)
    held = [
        (index, needs)
        for index, needs in readiness.elements.items()
        if needs.state is DependencyState.WAITING
    ]
    if held:
        index, needs = min(held, key=lambda each: each[0])
        message = f"{_elements(len(held))} for data, the first of them, element {index}: {needs.message}"
        return Waiting(Reason.WAITING_FOR_DATA, message)
    return Waiting(
        Reason.WAITING_FOR_ROOM, f"{_elements(counts.pending)} for earlier ones: so many are queued at a time"
    )


def _tried_again(fold: TaskFold, now: float) -> Waiting | None:
    """Of elements whose agents hold them while their back-off passes; those that run are not among them."""
    until = [run.not_before for run in fold.open_runs if run.kind.owned and run.remaining == 1]
    held = [at for at in until if at > now]
    return _back_off(len(held), min(held)) if held else None


def _back_off(count: int, until: float) -> Waiting:
    at = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = f"{_elements(count)} until {at}: executions failed and are tried again"
    return Waiting(Reason.BACK_OFF, message, until)


def _queued(
    fold: TaskFold, queued: int, partition: Partition | None, ahead: Callable[[], int], now: float
) -> Waiting:
    idle = [run for run in fold.open_runs if not run.kind.owned and run.kind is not RecordKind.PAUSED]
    until = min((run.not_before for run in idle), default=0.0)
    if idle and until > now:
        return _back_off(queued, until)
    name = partition.metadata.name if partition is not None else ""
    status = partition.status if partition is not None else None
    if status is None or not status.ready_replicas:
        ready = find_condition(status.conditions, ConditionType.READY) if status is not None else None
        because = f": {ready.reason}" + (f", {ready.message}" if ready.message else "") if ready else ""
        return Waiting(
            Reason.NO_PODS, f"{_elements(queued)} for a pod: partition {name} has none ready{because}"
        )
    before = ahead()
    return Waiting(
        Reason.QUEUED,
        f"{_elements(queued)} for a free worker in partition {name}, {before} of other tasks before them;"
        f" {status.busy_replicas} of {status.ready_replicas} pods work",
    )


def _elements(count: int) -> str:
    return f"{count} element{' waits' if count == 1 else 's wait'}"


class Order:
    """Which Tasks of a Partition were queued before which; made anew at most once a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._made: dict[Place, tuple[float, list[tuple[int, int]], list[int]]] = {}

    def ahead(self, place: Place, mine: TaskFold, others: Iterable[TaskFold]) -> int:
        """Queued elements of the Tasks of higher bands of priority, and of older ones of the same band."""
        now = self._clock()
        made = self._made.get(place)
        if made is None or now - made[0] > FRESH:
            rows = sorted((-fold.band, fold.first, fold.queued) for fold in others if fold.queued)
            queued = (row[2] for row in rows)
            made = (now, [(band, first) for band, first, _ in rows], [0, *accumulate(queued)])
            self._made[place] = made
        return made[2][bisect_left(made[1], (-mine.band, mine.first))]
