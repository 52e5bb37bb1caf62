"""What shall happen to a Task. Pure: nothing here does I/O."""

from dataclasses import dataclass
from enum import StrEnum

from armonik_operator.cut import cut, run_size
from armonik_operator.fold import TaskFold
from armonik_sdk.api.const import PARENT_LABEL, ConditionType, Reason
from armonik_sdk.api.kinds import (
    Partition,
    Session,
    SessionState,
    SubmissionState,
    Task,
    TaskOptions,
    TaskState,
    is_true,
    merge_options,
)
from armonik_sdk.api.ranges import Span

PATIENCE = 2.0
"""Seconds that a missing reference is waited for before a condition says so."""
WINDOW = 1_000
"""Most open runs of one Task."""


class DependencyState(StrEnum):
    """Whether everything that a Task needs is there."""

    READY = "Ready"
    WAITING = "Waiting"
    MISSING = "Missing"
    ABORTED = "Aborted"


@dataclass(frozen=True)
class Needs:
    """State of the dependencies, and why."""

    state: DependencyState
    message: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why the Task is parked."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Plan:
    """What shall be done now, in this order."""

    options: TaskOptions
    session_uid: str
    refusal: Refusal | None = None
    cancel: bool = False
    """End every open run, and all elements that belong to none."""
    abort: str = ""
    """A dependency was aborted: end the elements with this message."""
    submit: tuple[Span, ...] = ()


def plan(
    task: Task,
    session: Session | None,
    partition: Partition | None,
    needs: Needs,
    fold: TaskFold,
    defaults: TaskOptions,
) -> Plan:
    """Decide. Session and Partition are those of the names the Task resolves to, None when absent."""
    options = task_options(task, session, defaults)
    pinned = fold.session or (task.status.session_uid if task.status else "")
    uid = pinned or (session.metadata.uid if session else "")
    total = task.spec.total
    if fold.finished(total) or (task.status and is_true(task.status.conditions, ConditionType.FINISHED)):
        return Plan(options, uid)
    if session is None or (pinned and session.metadata.uid != pinned):
        message = f"session {task.spec.session} does not exist in this namespace; create it"
        return Plan(options, uid, refusal=Refusal(Reason.SESSION_NOT_FOUND, message))
    if task.spec.desired_state is TaskState.CANCELLED or _stopped(session, fold):
        return Plan(options, uid, cancel=True)
    refusal = refuse(task, session, partition, options, admitted=bool(fold.runs))
    if refusal is not None:
        return Plan(options, uid, refusal=refusal)
    match needs.state:
        case DependencyState.MISSING:
            return Plan(options, uid, refusal=Refusal(Reason.DEPENDENCY_NOT_FOUND, needs.message))
        case DependencyState.ABORTED:
            return Plan(options, uid, abort=needs.message)
        case DependencyState.WAITING:
            return Plan(options, uid)
    assert partition is not None
    size = run_size(total, partition.spec.pod_max, partition.spec.slots_per_pod)
    room = max(0, WINDOW - len(fold.open_runs))
    return Plan(options, uid, submit=tuple(cut(total, fold.submitted, size, room)))


def task_options(task: Task, session: Session | None, defaults: TaskOptions) -> TaskOptions:
    """Options in force. A session with one partition needs not name it as default."""
    own = session.spec.task_defaults if session else None
    only = TaskOptions(partition=session.spec.partitions[0]) if session else None
    return merge_options(task.spec.options, own, only, defaults)


def refuse(
    task: Task, session: Session, partition: Partition | None, options: TaskOptions, *, admitted: bool
) -> Refusal | None:
    """Why the Task cannot be admitted; None if it can."""
    child = PARENT_LABEL in task.metadata.labels
    gate = session.spec.submission.worker if child else session.spec.submission.client
    if gate is SubmissionState.CLOSED and not admitted:
        who = "workers" if child else "clients"
        return Refusal(
            Reason.SUBMISSION_CLOSED, f"session {session.metadata.name} accepts no more tasks of {who}"
        )
    if options.partition not in session.spec.partitions:
        return Refusal(
            Reason.PARTITION_NOT_IN_SESSION,
            f"partition {options.partition} is not one of session {session.metadata.name}'s:"
            f" {', '.join(session.spec.partitions)}",
        )
    if partition is None:
        return Refusal(
            Reason.PARTITION_NOT_FOUND,
            f"partition {options.partition} does not exist in this namespace; create it",
        )
    return None


def _stopped(session: Session, fold: TaskFold) -> bool:
    state = session.spec.desired_state
    if session.metadata.deletion_timestamp is not None:
        return True
    if state is SessionState.CLOSED:  # closing ends what is queued and lets running work end
        return not any(run.kind.owned for run in fold.open_runs)
    return state in (SessionState.CANCELLED, SessionState.PURGED)
