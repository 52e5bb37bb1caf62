"""Plans what to do for a Session, and computes its status. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from armonik_sdk.api.const import ConditionType, Reason, SessionPhase
from armonik_sdk.api.kinds import (
    Condition,
    ElementCounts,
    Session,
    SessionState,
    SessionStatus,
    Task,
    condition,
    find_condition,
    is_true,
    remove_condition,
    set_condition,
)

_FINISHED = {
    SessionState.CLOSED: Reason.CLOSED,
    SessionState.CANCELLED: Reason.CANCELLED,
    SessionState.PURGED: Reason.PURGED,
}
GIVE_UP = 600.0
"""Seconds after which a deletion no longer waits for NATS and the object store; what is left belongs to no
Session then, and goes with the next collection of such data."""


@dataclass(frozen=True)
class SessionPlan:
    """Actions for a Session."""

    purge: bool = False
    """Remove the data: everything ended, and the data is still stored."""
    expire: bool = False
    """Delete the Session: its time after the end is over."""
    again: float | None = None
    """Seconds after which something is due."""


def session_plan(session: Session, elements: ElementCounts, now: datetime) -> SessionPlan:
    """The state is looked at before data is touched: only a Session whose elements all ended is purged."""
    status, state = session.status, session.spec.desired_state
    done = find_condition(status.conditions, ConditionType.FINISHED) if status else None
    over = elements.ended == elements.total
    if state is SessionState.PURGED and over and (done is None or done.reason != Reason.PURGED):
        return SessionPlan(purge=True)
    ttl = session.spec.ttl_seconds_after_finished
    if ttl is None or done is None or not over or state not in _FINISHED:
        return SessionPlan()
    left = ttl - (now - done.last_transition_time).total_seconds()
    return SessionPlan(again=left) if left > 0 else SessionPlan(expire=True)


def session_status(
    session: Session,
    elements: ElementCounts,
    now: datetime,
    *,
    missing: Collection[str] = (),
    store: str = "",
    purged: bool = False,
) -> SessionStatus:
    """Accepted when its Partitions are there; finished when it is closed or cancelled and everything ended.

    `missing` are Partitions that do not exist; `store` says why the object store cannot be used, if so;
    `purged` says that the data is gone.
    """
    state = session.spec.desired_state
    over = elements.ended == elements.total
    generation = session.metadata.generation
    conditions = list(session.status.conditions) if session.status else []

    def say(type_: ConditionType, status: bool, reason: Reason, message: str = "") -> list[Condition]:
        new = condition(type_, status, reason, message, generation=generation, now=now)
        return set_condition(conditions, new)

    if store:
        conditions = say(ConditionType.READY, False, Reason.STORE_UNAVAILABLE, store)
    elif missing:
        which = ", ".join(sorted(missing))
        text = f"partition {which} does not exist in this namespace; create it"
        conditions = say(ConditionType.READY, False, Reason.PARTITION_NOT_FOUND, text)
    else:
        conditions = say(ConditionType.READY, True, Reason.ACCEPTED)
    was_purged = any(c.type == ConditionType.FINISHED and c.reason == Reason.PURGED for c in conditions)
    purged = purged or was_purged
    if state in _FINISHED and over and (state is not SessionState.PURGED or purged):
        conditions = say(ConditionType.FINISHED, True, _FINISHED[state])
    if state is SessionState.PAUSED:
        conditions = say(ConditionType.SUSPENDED, True, Reason.PAUSED)
    else:
        conditions = remove_condition(conditions, ConditionType.SUSPENDED)
    return SessionStatus(
        observed_generation=generation,
        phase=_phase(session, over, purged, bool(missing)),
        conditions=conditions,
        elements=elements,
        progress=elements.progress,
    )


def deleting_status(session: Session, reason: Reason, now: datetime) -> SessionStatus:
    """The status of a Session that is being deleted; `reason` names the step."""
    old = session.status or SessionStatus()
    deleting = condition(
        ConditionType.DELETING, True, reason, "", generation=session.metadata.generation, now=now
    )
    changes = {
        "observed_generation": session.metadata.generation,
        "phase": SessionPhase.DELETING,
        "conditions": set_condition(old.conditions, deleting),
    }
    return old.model_copy(update=changes)


def came_before_end(task: Task, session: Session) -> bool:
    """Whether a Task that no Session admitted came for this one, and not for a later one of its name."""
    end, came = session.metadata.deletion_timestamp, task.metadata.creation_timestamp
    return end is not None and came is not None and came < end


def gives_up(session: Session, now: datetime) -> bool:
    """Whether a deletion has waited long enough for servers that do not answer."""
    since = session.metadata.deletion_timestamp
    return since is not None and (now - since).total_seconds() > GIVE_UP


def _phase(session: Session, over: bool, purged: bool, waiting: bool) -> SessionPhase:
    state = session.spec.desired_state
    if state is SessionState.CANCELLED and not over:
        return SessionPhase.CANCELLING
    if state is SessionState.PURGED and not purged:
        ended = session.status is not None and is_true(session.status.conditions, ConditionType.FINISHED)
        return SessionPhase(session.status.phase) if ended and session.status else SessionPhase.CANCELLED
    if state is SessionState.RUNNING and waiting:
        return SessionPhase.PENDING
    return SessionPhase(state)
