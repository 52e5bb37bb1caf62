"""What shall happen to a Task. Pure: nothing here does I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum

from armonik_operator.cut import cut, run_size, window
from armonik_operator.fold import TaskFold, pinned_to
from armonik_operator.reconcile.cancel import BY_REQUEST
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
from armonik_sdk.api.ranges import Ranges, Span
from armonik_sdk.api.records import RecordKind

PATIENCE = 2.0
"""Seconds that a missing reference is waited for before a condition says so."""


class DependencyState(StrEnum):
    """Whether everything that a Task or an element needs is there."""

    READY = "Ready"
    WAITING = "Waiting"
    MISSING = "Missing"
    INVALID = "Invalid"
    ABORTED = "Aborted"


@dataclass(frozen=True)
class Needs:
    """State of dependencies, and why."""

    state: DependencyState
    message: str = ""


READY = Needs(DependencyState.READY)
_REASONS = {
    DependencyState.MISSING: Reason.DEPENDENCY_NOT_FOUND,
    DependencyState.INVALID: Reason.DEPENDENCY_INVALID,
}


@dataclass(frozen=True)
class Readiness:
    """What a Task's elements that belong to no run wait for."""

    own: Needs = READY
    """What all of them wait for."""
    elements: Mapping[int, Needs] = field(default_factory=dict)
    """Elements that something of their own holds back: they wait, or it was aborted."""
    circle: str = ""
    """How they wait for themselves, by way of others."""


@dataclass(frozen=True)
class Refusal:
    """Why the Task, or some of its elements, is parked."""

    reason: Reason
    message: str


class Cancel(Enum):
    """How much of a Task shall be ended."""

    NOTHING = "nothing"
    QUEUED = "queued"
    """What no agent works on: running work is let end."""
    ALL = "all"


@dataclass(frozen=True)
class Plan:
    """What shall be done now, in this order."""

    options: TaskOptions
    session_uid: str
    refusal: Refusal | None = None
    """What has to be mended; what is planned beside it goes on all the same."""
    cancel: Cancel = Cancel.NOTHING
    """End open runs, and all elements that belong to none."""
    why: str = ""
    """Why it is cancelled, for dependents."""
    end: Ranges = field(default_factory=Ranges)
    """Elements that shall end Cancelled while the others go on."""
    abort: tuple[tuple[Span, str], ...] = ()
    """Elements whose dependencies were aborted, and the message they end with."""
    submit: tuple[Span, ...] = ()
    resume: bool = False
    """Paused runs shall be submitted again."""


def plan(
    task: Task,
    session: Session | None,
    partition: Partition | None,
    readiness: Readiness,
    fold: TaskFold,
    defaults: TaskOptions,
    hint: float | None = None,
) -> Plan:
    """Decide. Session and Partition are those of the names the Task resolves to, None when absent.

    `hint` is how many seconds elements of other Tasks took there; it counts while none of this one has ended.
    """
    options = task_options(task, session, defaults)
    pinned = pinned_to(task, fold)
    uid = pinned or (session.metadata.uid if session else "")
    total = task.spec.total
    if fold.finished(total) or (task.status and is_true(task.status.conditions, ConditionType.FINISHED)):
        return Plan(options, uid)
    if session is None or (pinned and session.metadata.uid != pinned):
        message = f"session {task.spec.session} does not exist in this namespace; create it"
        return Plan(options, uid, refusal=Refusal(Reason.SESSION_NOT_FOUND, message))
    cancel, why = _cancel(task, session, admitted=fold.admitted)
    if cancel is not Cancel.NOTHING:
        made = Plan(options, uid, cancel=cancel, why=why)
    else:
        made = _forward(task, session, partition, readiness, fold, Plan(options, uid), hint)
    return replace(made, end=task.spec.cancelled - fold.ended)


def _forward(
    task: Task,
    session: Session,
    partition: Partition | None,
    readiness: Readiness,
    fold: TaskFold,
    made: Plan,
    hint: float | None,
) -> Plan:
    """What brings the elements forward that nobody wants cancelled."""
    total = task.spec.total
    refusal = refuse(task, session, partition, made.options, admitted=fold.admitted)
    if refusal is not None:
        return replace(made, refusal=refusal)
    taken = fold.submitted | task.spec.cancelled
    if readiness.own.state is DependencyState.ABORTED:
        spans = taken.complement(total).spans
        return replace(made, abort=tuple((span, readiness.own.message) for span in spans))
    if session.spec.desired_state is SessionState.PAUSED:
        return made
    refusal = _refusal_of(readiness)
    resume = any(run.kind is RecordKind.PAUSED for run in fold.open_runs)
    if readiness.own.state is not DependencyState.READY:
        return replace(made, refusal=refusal, resume=resume)
    abort = tuple(
        ((index, index + 1), needs.message)
        for index, needs in readiness.elements.items()
        if needs.state is DependencyState.ABORTED and index not in taken
    )
    assert partition is not None
    slots = max(1, partition.spec.pod_max * partition.spec.slots_per_pod)
    pace = hint if fold.pace is None else fold.pace
    size = run_size(total, slots, pace)
    # With runs that wait for a retry slots may need more than their next one.
    hinted = fold.pace is None and hint is not None and not any(run.not_before for run in fold.open_runs)
    room = max(0, window(size, slots, pace, hinted=hinted) - len(fold.open_runs))
    held = taken | Ranges.indexes(readiness.elements)
    submit = tuple(cut(total, held, size, room)) if room else ()
    return replace(made, refusal=refusal, abort=abort, submit=submit, resume=resume)


def _refusal_of(readiness: Readiness) -> Refusal | None:
    if readiness.own.state in _REASONS:
        return Refusal(_REASONS[readiness.own.state], readiness.own.message)
    broken = ((i, needs) for i, needs in sorted(readiness.elements.items()) if needs.state in _REASONS)
    index, needs = next(broken, (0, READY))
    if needs is READY:
        return Refusal(Reason.DEPENDENCY_CYCLE, readiness.circle) if readiness.circle else None
    return Refusal(_REASONS[needs.state], f"element {index}: {needs.message}")


def task_options(task: Task, session: Session | None, defaults: TaskOptions) -> TaskOptions:
    """Options in force. A session with one partition needs not name it as default."""
    own = session.spec.task_defaults if session else None
    only = TaskOptions(partition=session.spec.partitions[0]) if session else None
    return merge_options(task.spec.options, own, only, defaults)


def is_child(task: Task) -> bool:
    """Whether a worker's commit made the Task."""
    return PARENT_LABEL in task.metadata.labels


def refuse(
    task: Task, session: Session, partition: Partition | None, options: TaskOptions, *, admitted: bool
) -> Refusal | None:
    """Why the Task cannot be admitted; None if it can."""
    if session.spec.submission.client is SubmissionState.CLOSED and not admitted and not is_child(task):
        return Refusal(
            Reason.SUBMISSION_CLOSED, f"session {session.metadata.name} accepts no more tasks; use another"
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


def _cancel(task: Task, session: Session, *, admitted: bool) -> tuple[Cancel, str]:
    name, state = session.metadata.name, session.spec.desired_state
    if task.spec.desired_state is TaskState.CANCELLED:
        return Cancel.ALL, BY_REQUEST
    if session.metadata.deletion_timestamp is not None:
        return Cancel.ALL, f"session {name} is being deleted"
    if state in (SessionState.CANCELLED, SessionState.PURGED):
        return Cancel.ALL, f"session {name} is cancelled"
    if state is SessionState.CLOSED:
        return Cancel.QUEUED, f"session {name} is closed"
    if is_child(task) and not admitted and session.spec.submission.worker is SubmissionState.CLOSED:
        # The gate never opens again, and a parent has reckoned with an end.
        return Cancel.ALL, f"session {name} accepts no more tasks of workers"
    return Cancel.NOTHING, ""
