"""Computes the status of a Task from its fold. Pure."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

from armonik_operator.journal.fold import TaskFold
from armonik_operator.manifests.child_task import parent_of
from armonik_operator.planning.task import Refusal, TaskView
from armonik_operator.status.pending_reason import Waiting
from armonik_sdk.api.const import (
    MAX_INTERVALS,
    ConditionType,
    Reason,
    TaskPhase,
)
from armonik_sdk.api.kinds import (
    Condition,
    Task,
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


def intervals_too_long(fold: TaskFold) -> bool:
    """Whether the intervals are too long for the status, and belong into the object of `detailRef`."""
    return sum(len(text) for text in intervals(fold).values()) > MAX_INTERVALS


def final_phase(fold: TaskFold) -> tuple[TaskPhase, Reason]:
    """How a finished Task ended: Failed wins over TimedOut over Cancelled."""
    for kind, phase, reason in _FINAL:
        if fold.outcomes.get(kind):
            return phase, reason
    return TaskPhase.COMPLETED, Reason.SUCCEEDED


@dataclass(frozen=True)
class StatusInputs:
    """What a status says in addition to the fold."""

    refusal: Refusal | None = None
    """What the user has to fix: condition Ready=False."""
    blocked: str = ""
    """Why children cannot be created; the Task does not finish meanwhile."""
    full: str = ""
    """Why runs cannot be queued: NATS has no room."""
    cancelling: bool = False
    paused: bool = False
    """The Session is paused."""
    waiting: Waiting | None = None
    """Why elements do not run yet."""
    refused: str = ""
    """Why a child can never be created."""

    def finished(self, view: TaskView) -> bool:
        """Whether all elements have ended, and nothing is left to be brought about."""
        return view.fold.finished(view.total) and not self.blocked

    @property
    def back_off(self) -> Waiting | None:
        """The pending reason, if it is a back-off."""
        return self.waiting if self.waiting is not None and self.waiting.reason is Reason.BACK_OFF else None

    def phase(self, fold: TaskFold, total: int) -> TaskPhase:
        """The phase."""
        if fold.finished(total) and not self.blocked:
            return final_phase(fold)[0]
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
    view: TaskView,
    inputs: StatusInputs,
    *,
    session_uid: str,
    journal_epoch: int,
    now: datetime,
    detail_ref: str = "",
) -> TaskStatus:
    """Compute `status` of a Task.

    Args:
        view: the Task and what belongs to it.
        inputs: what the status says beside the fold.
        session_uid: UID of the Session; empty while the Task belongs to none.
        journal_epoch: epoch of the journal that the fold is of.
        now: time of new conditions.
        detail_ref: key of the object with the intervals, where they are too long for the status.
    """
    task, fold, options, total = view.task, view.fold, view.options, view.total
    counts = fold.counts(total)
    status = TaskStatus(
        observed_generation=task.metadata.generation,
        phase=inputs.phase(fold, total),
        partition=options.partition or "",
        session_uid=session_uid,
        options=options,
        journal_epoch=journal_epoch,
        journal_sequence=fold.sequence,
        elements=counts,
        progress=counts.progress,
        failures=list(fold.failures.values()),
        detail_ref=detail_ref,
        conditions=_conditions(view, inputs, now),
    )
    if not detail_ref:
        status = status.model_copy(update=intervals(fold))
    status.parent = parent_of(task)
    if total == 1 and task.spec.items_ref is None:
        _add_single(status, task, fold)
    return status


def same(status: TaskStatus, old: TaskStatus | None) -> bool:
    """Whether a write would change only messages that change by themselves, such as queue positions."""
    return old is not None and _body(status) == _body(old)


def _body(status: TaskStatus) -> dict[str, object]:
    body = status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"conditions"})
    conditions = [
        c.model_dump(mode="json", exclude={"message"} if _passes(c) else None) for c in status.conditions
    ]
    return body | {"conditions": conditions}


def _passes(condition: Condition) -> bool:
    """Whether its message changes by itself. Those about a back-off or missing pods do not."""
    return condition.type == ConditionType.WAITING and condition.reason not in (
        Reason.BACK_OFF,
        Reason.NO_PODS,
    )


_PASSING = (
    ConditionType.READY,
    ConditionType.QUEUE_FULL,
    ConditionType.CHILDREN_BLOCKED,
    ConditionType.WAITING,
)


def _conditions(view: TaskView, inputs: StatusInputs, now: datetime) -> list[Condition]:
    task, fold, finished = view.task, view.fold, inputs.finished(view)
    conditions = [c for c in task.status.conditions if c.type not in _PASSING] if task.status else []
    old = {c.type: c for c in task.status.conditions} if task.status else {}
    generation = task.metadata.generation

    def put(kind: ConditionType, value: bool, reason: Reason, message: str) -> list[Condition]:
        new = condition(kind, value, reason, message, generation=generation, now=now)
        return set_condition([*conditions, *([old[kind]] if kind in old else [])], new)

    if inputs.refusal is not None and not finished:
        conditions = put(ConditionType.READY, False, inputs.refusal.reason, inputs.refusal.message)
    if inputs.blocked:
        conditions = put(ConditionType.CHILDREN_BLOCKED, True, Reason.QUOTA_EXCEEDED, inputs.blocked)
    if inputs.refused:
        conditions = put(ConditionType.CHILDREN_REFUSED, True, Reason.SUB_TASK_INVALID, inputs.refused)
    if inputs.full and not finished:
        conditions = put(ConditionType.QUEUE_FULL, True, Reason.QUEUE_FULL, inputs.full)
    if inputs.waiting is not None and inputs.refusal is None and not finished:
        conditions = put(ConditionType.WAITING, True, inputs.waiting.reason, inputs.waiting.message)
    if finished:
        reason = final_phase(fold)[1]
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
