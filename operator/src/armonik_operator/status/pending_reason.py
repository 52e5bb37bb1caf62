"""Why elements do not run yet, as a reason and a message. Pure but for a clock."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate

from armonik_operator.journal.fold import RunHead, TaskFold
from armonik_operator.planning.task import DependencyState, Readiness, TaskView
from armonik_sdk.api.const import ConditionType, Reason
from armonik_sdk.api.kinds import Partition, SessionState, find_condition
from armonik_sdk.api.names import NamespacedName
from armonik_sdk.api.records import RecordKind

FRESH = 1.0
"""Seconds for which the order of a Partition's Tasks is kept."""


@dataclass(frozen=True)
class Waiting:
    """The reason of most elements that do not run."""

    reason: Reason
    message: str
    until: float = 0.0
    """When it ends, in seconds since the epoch; 0 where nobody knows."""
    gist: str = ""
    """What the message begins with, where it is news when that changes: up to the Partition's reason."""


def pending_reason(
    view: TaskView, readiness: Readiness, ahead: Callable[[], int], now: float
) -> Waiting | None:
    """Why elements of the Task do not run; None when all that are left do, or it has no Session.

    Args:
        view: the Task and what belongs to it.
        readiness: what its elements without a run wait for.
        ahead: how many elements of other Tasks were queued in its Partition before.
        now: seconds since the epoch.
    """
    fold, session, partition = view.fold, view.session, view.partition
    if session is None:
        return None
    _, pending, queued, *_ = fold.numbers(view.total)
    if not pending and not queued:
        return _tried_again(fold, now)
    if session.spec.desired_state is SessionState.PAUSED:
        left = pending + queued
        name = session.metadata.name
        return Waiting(Reason.PAUSED, f"{_elements(left)} until session {name} is resumed: it is paused")
    if readiness.own.state is DependencyState.WAITING:
        return Waiting(Reason.WAITING_FOR_DATA, f"{_elements(pending)} for data: {readiness.own.message}")
    if queued:
        return _queued(fold, queued, partition, ahead, now)
    if readiness.first is not None:
        index, needs = readiness.first
        many = _elements(readiness.waiting)
        message = f"{many} for data, the first of them, element {index}: {needs.message}"
        return Waiting(Reason.WAITING_FOR_DATA, message)
    return Waiting(
        Reason.WAITING_FOR_ROOM, f"{_elements(pending)} for earlier ones: few are queued at a time"
    )


def _tried_again(fold: TaskFold, now: float) -> Waiting | None:
    """Back-off of elements that agents hold; running elements do not count."""
    runs = (run for run in fold.open_runs if run.kind.owned and run.remaining == 1)
    held = [run for run in runs if run.not_before > now]
    return _back_off(len(held), min(held, key=lambda run: run.not_before)) if held else None


def _back_off(count: int, run: RunHead) -> Waiting:
    at = datetime.fromtimestamp(run.not_before, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    why = f" ({run.trouble})" if run.trouble else ""
    message = f"{_elements(count)} until {at}: executions failed or were broken off, and are tried again{why}"
    return Waiting(Reason.BACK_OFF, message, run.not_before)


def _queued(
    fold: TaskFold, queued: int, partition: Partition | None, ahead: Callable[[], int], now: float
) -> Waiting:
    idle = [run for run in fold.open_runs if not run.kind.owned and run.kind is not RecordKind.PAUSED]
    first = min(idle, key=lambda run: run.not_before, default=None)
    if first is not None and first.not_before > now:
        return _back_off(queued, first)
    name = partition.metadata.name if partition is not None else ""
    status = partition.status if partition is not None else None
    if status is None or not status.ready_replicas:
        ready = find_condition(status.conditions, ConditionType.READY) if status is not None else None
        gist = f"{_elements(queued)} for a pod: partition {name} has none ready"
        gist += f": {ready.reason}" if ready is not None else ""
        words = f", {ready.message}" if ready is not None and ready.message else ""
        return Waiting(Reason.NO_PODS, gist + words, gist=gist)
    before = ahead()
    return Waiting(
        Reason.QUEUED,
        f"{_elements(queued)} for a free worker in partition {name}, {before} of other tasks before them;"
        f" {status.busy_replicas} of {status.ready_replicas} pods work",
    )


def pods_said(partition: Partition) -> str:
    """What `NoPods` of its Tasks reports about a Partition; empty when it has ready pods."""
    status = partition.status
    if status is None or status.ready_replicas:
        return ""
    ready = find_condition(status.conditions, ConditionType.READY)
    return f"{ready.reason}, {ready.message}" if ready is not None else "none"


def _elements(count: int) -> str:
    return f"{count} element{' waits' if count == 1 else 's wait'}"


class QueuePosition:
    """Queue positions of the Tasks of a Partition; computed at most once a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rankings: dict[NamespacedName, tuple[float, list[tuple[int, int]], list[int]]] = {}

    def ahead(self, place: NamespacedName, mine: TaskFold, others: Iterable[TaskFold]) -> int:
        """Queued elements of the Tasks of higher bands of priority, and of older ones of the same band."""
        now = self._clock()
        ranking = self._rankings.get(place)
        if ranking is None or now - ranking[0] > FRESH:
            rows = sorted((-fold.band, fold.first, fold.queued) for fold in others if fold.queued)
            queued = (row[2] for row in rows)
            ranking = (now, [(band, first) for band, first, _ in rows], [0, *accumulate(queued)])
            self._rankings[place] = ranking
        return ranking[2][bisect_left(ranking[1], (-mine.band, mine.first))]
