"""The status of a Task, from its fold. Pure."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

from armonik_operator.fold import TaskFold
from armonik_operator.reconcile.task import Refusal
from armonik_operator.resources.child import parent_of
from armonik_operator.waiting import Waiting
from armonik_sdk.api.const import (
    MAX_INTERVALS,
    ConditionType,
    Reason,
    TaskPhase,
)
from armonik_sdk.api.kinds import (
    Condition,
    Task,
    TaskOptions,
    TaskResult,
    TaskStatus,
    TaskTimes,
    condition,
    set_condition,
)
from armonik_sdk.api.names import result_id
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import OutcomeKind, Piece, RecordKind

_INTERVAL_FIELDS = {
    OutcomeKind.COMPLETED: "succeeded_indexes",
    OutcomeKind.ERROR: "failed_indexes",
    OutcomeKind.TIMEOUT: "timed_out_indexes",
    OutcomeKind.CANCELLED: "cancelled_indexes",
}
_FINAL = (
    (OutcomeKind.ERROR, TaskPhase.ERROR, Reason.FAILED),
    (OutcomeKind.TIMEOUT, TaskPhase.TIMEOUT, Reason.TIMED_OUT),
    (OutcomeKind.CANCELLED, TaskPhase.CANCELLED, Reason.CANCELLED),
)


def intervals(fold: TaskFold) -> dict[str, str]:
    """The four interval texts, by field of TaskStatus."""
    return {name: str(fold.outcomes.get(kind, Ranges())) for kind, name in _INTERVAL_FIELDS.items()}


def spills(fold: TaskFold) -> bool:
    """Whether the intervals are too long for the status, and belong into the object of `detailRef`."""
    return sum(len(text) for text in intervals(fold).values()) > MAX_INTERVALS


def verdict(fold: TaskFold) -> tuple[TaskPhase, Reason]:
    """How a finished Task ended: Failed wins over TimedOut over Cancelled."""
    for kind, phase, reason in _FINAL:
        if fold.outcomes.get(kind):
            return phase, reason
    return TaskPhase.COMPLETED, Reason.SUCCEEDED


@dataclass(frozen=True)
class Shown:
    """What a status says beside the fold."""

    refusal: Refusal | None = None
    """What has to be mended: condition Ready=False."""
    blocked: str = ""
    """Why children cannot be created; the Task does not finish meanwhile."""
    full: str = ""
    """Why runs cannot be queued: NATS has no room."""
    cancelling: bool = False
    paused: bool = False
    """The Session is paused."""
    waiting: Waiting | None = None
    """Why elements do not run yet."""

    @property
    def back_off(self) -> Waiting | None:
        """Until when elements wait to be tried again, where that is why they do not run."""
        return self.waiting if self.waiting is not None and self.waiting.reason is Reason.BACK_OFF else None

    def phase(self, fold: TaskFold, total: int) -> TaskPhase:
        """The summary in one word."""
        if fold.finished(total) and not self.blocked:
            return verdict(fold)[0]
        if self.cancelling:
            return TaskPhase.CANCELLING
        kinds = {run.kind for run in fold.open_runs}
        if any(kind.owned for kind in kinds):
            return TaskPhase.PROCESSING
        if self.paused or kinds == {RecordKind.PAUSED}:
            return TaskPhase.PAUSED
        if kinds or fold.ended:
            return TaskPhase.SUBMITTED
        if self.refusal is not None and self.refusal.reason not in _DATA:
            return TaskPhase.CREATING
        return TaskPhase.PENDING


_DATA = (Reason.DEPENDENCY_NOT_FOUND, Reason.DEPENDENCY_INVALID, Reason.DEPENDENCY_CYCLE)


def task_status(
    task: Task,
    fold: TaskFold,
    *,
    options: TaskOptions,
    session_uid: str,
    journal_epoch: int,
    shown: Shown,
    finished: bool,
    now: datetime,
    detail_ref: str = "",
) -> TaskStatus:
    """What `status` shall say."""
    total = task.spec.total
    counts = fold.counts(total)
    status = TaskStatus(
        observed_generation=task.metadata.generation,
        phase=shown.phase(fold, total),
        partition=options.partition or "",
        session_uid=session_uid,
        options=options,
        journal_epoch=journal_epoch,
        journal_sequence=fold.sequence,
        elements=counts,
        progress=counts.progress,
        failures=list(fold.failures.values()),
        detail_ref=detail_ref,
        conditions=_conditions(task, fold, shown, finished, now),
    )
    if not detail_ref:
        status = status.model_copy(update=intervals(fold))
    status.parent = parent_of(task)
    if total == 1 and task.spec.items_ref is None:
        _add_single(status, task, fold)
    return status


def same(status: TaskStatus, old: TaskStatus | None) -> bool:
    """Whether a write would change nothing but the words about the place in the queue."""
    return old is not None and _body(status) == _body(old)


def _body(status: TaskStatus) -> dict[str, object]:
    body = status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"conditions"})
    said = [c.model_dump(mode="json", exclude={"message"} if _passes(c) else None) for c in status.conditions]
    return body | {"conditions": said}


def _passes(said: Condition) -> bool:
    """Whether its words change by themselves; those about a back-off hold until its end."""
    return said.type == ConditionType.WAITING and said.reason != Reason.BACK_OFF


_PASSING = (
    ConditionType.READY,
    ConditionType.QUEUE_FULL,
    ConditionType.CHILDREN_BLOCKED,
    ConditionType.WAITING,
)


def _conditions(task: Task, fold: TaskFold, shown: Shown, finished: bool, now: datetime) -> list[Condition]:
    conditions = [c for c in task.status.conditions if c.type not in _PASSING] if task.status else []
    old = {c.type: c for c in task.status.conditions} if task.status else {}
    generation = task.metadata.generation

    def put(kind: ConditionType, value: bool, reason: Reason, message: str) -> list[Condition]:
        new = condition(kind, value, reason, message, generation=generation, now=now)
        return set_condition([*conditions, *([old[kind]] if kind in old else [])], new)

    if shown.refusal is not None and not finished:
        conditions = put(ConditionType.READY, False, shown.refusal.reason, shown.refusal.message)
    if shown.blocked:
        conditions = put(ConditionType.CHILDREN_BLOCKED, True, Reason.QUOTA_EXCEEDED, shown.blocked)
    if shown.full and not finished:
        conditions = put(ConditionType.QUEUE_FULL, True, Reason.QUEUE_FULL, shown.full)
    if shown.waiting is not None and shown.refusal is None and not finished:
        conditions = put(ConditionType.WAITING, True, shown.waiting.reason, shown.waiting.message)
    if finished:
        reason = verdict(fold)[1]
        first = next(iter(fold.failures.values()), None)
        message = f"element {first.index}: {first.message or first.reason}" if first else ""
        done = condition(
            ConditionType.FINISHED,
            True,
            reason,
            message,
            generation=task.metadata.generation,
            now=fold.single.ended or now,
        )
        conditions = set_condition(conditions, done)
    return conditions


def _add_single(status: TaskStatus, task: Task, fold: TaskFold) -> None:
    single = fold.single
    status.worker, status.attempts = single.worker, single.attempts
    status.times = TaskTimes(
        created=task.metadata.creation_timestamp,
        submitted=single.submitted,
        dispatched=single.dispatched,
        started=single.dispatched,
        ended=single.ended,
    )
    item = task.spec.item(0)
    done = single.outcome.outputs if single.outcome else {}
    status.results = [_result(task.metadata.uid, name, done.get(name)) for name in item.outputs or []]


def _result(uid: str, name: str, piece: Piece | None) -> TaskResult:
    if piece is None:
        return TaskResult(name=name, id=result_id(uid, 0, name))
    shown: dict[str, str] = {}
    if piece.inline is not None:
        try:
            shown = {"inline": base64.b64decode(piece.inline, validate=True).decode()}
        except (UnicodeDecodeError, binascii.Error):
            shown = {"data": piece.inline}
    return TaskResult(name=name, id=result_id(uid, 0, name), size=piece.length, sha256=piece.sha256, **shown)
