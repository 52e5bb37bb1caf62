"""What a Session's status shall say. Pure."""

from collections.abc import Iterable
from datetime import datetime

from armonik_sdk.api.const import ConditionType, Reason, SessionPhase
from armonik_sdk.api.kinds import (
    ElementCounts,
    Session,
    SessionState,
    SessionStatus,
    condition,
    remove_condition,
    set_condition,
)

_FINISHED = {
    SessionState.CLOSED: Reason.CLOSED,
    SessionState.CANCELLED: Reason.CANCELLED,
    SessionState.PURGED: Reason.PURGED,
}


def session_status(session: Session, counts: Iterable[ElementCounts], now: datetime) -> SessionStatus:
    """Accepted at once; finished when it is closed or cancelled and every element has ended."""
    elements = sum(counts, ElementCounts())
    state = session.spec.desired_state
    over = elements.ended == elements.total
    generation = session.metadata.generation
    conditions = list(session.status.conditions) if session.status else []
    ready = condition(ConditionType.READY, True, Reason.ACCEPTED, "", generation=generation, now=now)
    conditions = set_condition(conditions, ready)
    if state in _FINISHED and over:
        done = condition(ConditionType.FINISHED, True, _FINISHED[state], "", generation=generation, now=now)
        conditions = set_condition(conditions, done)
    if state is SessionState.PAUSED:
        paused = condition(ConditionType.SUSPENDED, True, Reason.PAUSED, "", generation=generation, now=now)
        conditions = set_condition(conditions, paused)
    else:
        conditions = remove_condition(conditions, ConditionType.SUSPENDED)
    return SessionStatus(
        observed_generation=generation,
        phase=_phase(session, over),
        conditions=conditions,
        elements=elements,
        progress=elements.progress,
    )


def _phase(session: Session, over: bool) -> SessionPhase:
    if session.metadata.deletion_timestamp is not None:
        return SessionPhase.DELETING
    if session.spec.desired_state is SessionState.CANCELLED and not over:
        return SessionPhase.CANCELLING
    return SessionPhase(session.spec.desired_state)
