"""Plans what is done for a Task. Pure: nothing here does I/O."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import Self

from armonik_operator.journal.fold import TaskFold, pinned_to
from armonik_operator.journal.transitions import BY_REQUEST
from armonik_operator.planning.run_sizing import max_open_runs, run_size, split_into_runs
from armonik_operator.util.text import shorten
from armonik_sdk.api.const import PARENT_LABEL, ConditionType, Reason
from armonik_sdk.api.keys import misplaced_in
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
from armonik_sdk.api.kinds.options import too_many_settings
from armonik_sdk.api.names import TaskRef
from armonik_sdk.api.ranges import Ranges, Span
from armonik_sdk.api.records import RecordKind

POLL = 300.0
"""Seconds until a Task is looked at again that would be deleted if others did not need it. It is woken when
nobody needs it any more, so that thousands of them cost nothing."""
PATIENCE = 2.0
"""Seconds that a missing reference is waited for before a condition says so."""


class DependencyState(StrEnum):
    """Whether all dependencies of a Task or an element are available."""

    READY = "Ready"
    WAITING = "Waiting"
    MISSING = "Missing"
    INVALID = "Invalid"
    ABORTED = "Aborted"


@dataclass(frozen=True)
class DependencyStatus:
    """State of dependencies, and why."""

    state: DependencyState
    message: str = ""


READY = DependencyStatus(DependencyState.READY)
_ORDER = list(DependencyState)
"""From the best to the worst: what was aborted decides, whatever else is missing."""


def worse(one: DependencyStatus, other: DependencyStatus) -> DependencyStatus:
    """The state of both together."""
    return max(one, other, key=lambda needs: _ORDER.index(needs.state))


_REASONS = {
    DependencyState.MISSING: Reason.DEPENDENCY_NOT_FOUND,
    DependencyState.INVALID: Reason.DEPENDENCY_INVALID,
}


@dataclass(frozen=True)
class Readiness:
    """Dependency state of a Task's elements without a run."""

    own: DependencyStatus = READY
    """What all of them wait for."""
    held: Ranges = field(default_factory=Ranges)
    """Elements that something of their own holds back: they wait, or it was aborted."""
    waiting: int = 0
    """How many of them wait."""
    first: tuple[int, DependencyStatus] | None = None
    """The first one that waits."""
    broken: tuple[int, DependencyStatus] | None = None
    """The first one of which something is missing, or wrong."""
    aborted: tuple[tuple[Span, str], ...] = ()
    """The first ones of which something was aborted, and how they end therefore."""
    more: bool = False
    """Whether there is more to be looked at, at once."""
    circle: str = ""
    """How they wait for themselves, by way of others."""


@dataclass(frozen=True)
class TaskView:
    """What one pass over a Task decides by, gathered once."""

    task: Task
    session: Session | None
    """The one of the name that the Task gives; None when there is none."""
    partition: Partition | None
    """The one that the options name; None when there is none."""
    options: TaskOptions
    """In force for the Task: its own over those of its Session over the defaults."""
    fold: TaskFold

    @classmethod
    def of(
        cls,
        task: Task,
        session: Session | None,
        fold: TaskFold,
        defaults: TaskOptions,
        partition: Callable[[str], Partition | None],
    ) -> Self:
        """Merge the options, once, and find the Partition that they name."""
        options = task_options(task, session, defaults)
        return cls(task, session, partition(options.partition or ""), options, fold)

    @property
    def uid(self) -> str:
        """UID of the Task."""
        return self.task.metadata.uid

    @property
    def namespace(self) -> str:
        """Namespace of the Task."""
        return self.task.namespace

    @property
    def total(self) -> int:
        """How many elements the Task has."""
        return self.task.spec.total

    @property
    def pinned(self) -> str:
        """UID of the Session that the Task permanently belongs to; empty while it has none."""
        return pinned_to(self.task, self.fold)


@dataclass(frozen=True)
class Refusal:
    """Why the Task, or some of its elements, is parked."""

    reason: Reason
    message: str


class Cancel(Enum):
    """Which part of a Task is cancelled."""

    NOTHING = "nothing"
    QUEUED = "queued"
    """What no agent works on: running work is let end."""
    ALL = "all"


@dataclass(frozen=True)
class Plan:
    """Actions for a Task, in this order."""

    options: TaskOptions
    session_uid: str
    refusal: Refusal | None = None
    """What the user has to fix; the rest of the plan is carried out nevertheless."""
    cancel: Cancel = Cancel.NOTHING
    """End open runs, and all elements that belong to none."""
    why: str = ""
    """Why it is cancelled, for dependents."""
    end: Ranges = field(default_factory=Ranges)
    """Elements that shall end Cancelled, unlike the others."""
    abort: tuple[tuple[Span, str], ...] = ()
    """Elements whose dependencies were aborted, and the message they end with."""
    submit: tuple[Span, ...] = ()
    resume: bool = False
    """Paused runs shall be submitted again."""

    def ref(self, task: Task) -> TaskRef:
        """Identity of the Task's data."""
        return TaskRef(task.namespace, self.session_uid, task.metadata.uid)


def plan(view: TaskView, readiness: Readiness, defaults: TaskOptions, hint: float | None = None) -> Plan:
    """Decide what is done for a Task now.

    Args:
        view: the Task and what belongs to it.
        readiness: what its elements without a run wait for.
        defaults: options of the installation.
        hint: seconds that elements of other Tasks took; it counts while no element of this one has ended.
    """
    task, session, fold, options, pinned = view.task, view.session, view.fold, view.options, view.pinned
    uid = pinned or (session.metadata.uid if session else "")
    if fold.finished(view.total) or (task.status and is_true(task.status.conditions, ConditionType.FINISHED)):
        return Plan(options, uid)
    wanted = task.spec.session_uid
    if wanted and not pinned and (session is None or session.metadata.uid != wanted):
        message = (
            f"session {task.spec.session} with the UID {wanted} does not exist any more;"
            " delete the task and submit it to one that does"
        )
        return Plan(options, uid, refusal=Refusal(Reason.SESSION_NOT_FOUND, message))
    if session is None or (pinned and session.metadata.uid != pinned):
        message = f"session {task.spec.session} does not exist in this namespace; create it"
        return Plan(options, uid, refusal=Refusal(Reason.SESSION_NOT_FOUND, message))
    cancel, why = _cancel(task, session, admitted=fold.admitted)
    if cancel is not Cancel.NOTHING:
        draft = Plan(options, uid, cancel=cancel, why=why)
    elif fault := too_many_settings(task.spec.options, session.spec.task_defaults, defaults):
        draft = Plan(options, uid, refusal=Refusal(Reason.MANIFEST_INVALID, f"spec.options.options: {fault}"))
    else:
        draft = _forward(view, session, readiness, Plan(options, uid), hint)
    return replace(draft, end=task.spec.cancelled - fold.ended)


def _forward(view: TaskView, session: Session, readiness: Readiness, draft: Plan, hint: float | None) -> Plan:
    """Plan for the elements that nobody wants cancelled."""
    task, partition, fold, total = view.task, view.partition, view.fold, view.total
    refusal = refuse(task, session, partition, draft.options, admitted=fold.admitted)
    if refusal is None and not fold.admitted and (wrong := misplaced_in(task, draft.session_uid)):
        refusal = Refusal(Reason.PAYLOAD_NOT_FOUND, shorten(wrong))
    if refusal is not None:
        return replace(draft, refusal=refusal)
    taken = fold.submitted | task.spec.cancelled
    if readiness.own.state is DependencyState.ABORTED:
        spans = taken.complement(total).spans
        return replace(draft, abort=tuple((span, readiness.own.message) for span in spans))
    if session.spec.desired_state is SessionState.PAUSED:
        return draft
    refusal = _refusal_of(readiness)
    resume = any(run.kind is RecordKind.PAUSED for run in fold.open_runs)
    if readiness.own.state is not DependencyState.READY:
        return replace(draft, refusal=refusal, resume=resume)
    abort = tuple((span, message) for span, message in readiness.aborted if span[0] not in taken)
    assert partition is not None
    slots = max(1, partition.spec.pod_max * partition.spec.slots_per_pod)
    pace = hint if fold.pace is None else fold.pace
    size = run_size(total, slots, pace)
    # With runs that wait for a retry slots may need more than their next one.
    hinted = fold.pace is None and hint is not None and not any(run.not_before for run in fold.open_runs)
    room = max(0, max_open_runs(size, slots, pace, hinted=hinted) - len(fold.open_runs))
    held = taken | readiness.held
    submit = tuple(split_into_runs(total, held, size, room)) if room else ()
    return replace(draft, refusal=refusal, abort=abort, submit=submit, resume=resume)


def _refusal_of(readiness: Readiness) -> Refusal | None:
    if readiness.own.state in _REASONS:
        return Refusal(_REASONS[readiness.own.state], readiness.own.message)
    if readiness.broken is None:
        return Refusal(Reason.DEPENDENCY_CYCLE, readiness.circle) if readiness.circle else None
    index, needs = readiness.broken
    return Refusal(_REASONS[needs.state], f"element {index}: {needs.message}")


def task_options(task: Task, session: Session | None, defaults: TaskOptions) -> TaskOptions:
    """Options in force. A session with one partition need not name it as default.

    Where the free settings cannot be merged they are the Task's own, and the plan refuses it.
    """
    own = session.spec.task_defaults if session else None
    only = TaskOptions(partition=session.spec.partitions[0]) if session else None
    if own is not None and too_many_settings(task.spec.options, own, defaults):
        own, defaults = own.model_copy(update={"options": None}), TaskOptions()
    return merge_options(task.spec.options, own, only, defaults)


def seconds_until_deletion(
    ttl: int | None, ended: float, now: float, *, orphaned: bool, needed: bool
) -> float | None:
    """Seconds until a Task is looked at again for its deletion; 0: delete it now; None: it is kept.

    Args:
        ttl: seconds for which it is kept after its end; None also while it has not ended.
        ended: when it ended, in seconds since the epoch.
        now: seconds since the epoch.
        orphaned: whether its Session is gone.
        needed: whether others still need it.
    """
    if orphaned:
        return 0.0
    if ttl is None:
        return None
    left = ended + ttl - now
    if left > 0:
        return left
    return POLL if needed else 0.0


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
        # Submission is never opened again, and a parent may wait for the end of its child.
        return Cancel.ALL, f"session {name} accepts no more tasks of workers"
    return Cancel.NOTHING, ""
