"""What to do with a message from the queue: a pure decision over what was read, in the order it was read.

Redeliveries, acknowledgements and watches are hints; the head of the journal decides. The caller must
have read the head first and the desired states after it, all from the leader (protocol rule 14): in any other
order a stale operator could revive cancelled work.
"""

from dataclasses import dataclass
from enum import StrEnum

from armonik_sdk.api.records import Control, DesiredState, Owner, Record, RecordKind

UNKNOWN_SESSION_DELAY = 5.0
"""Seconds until a message of a session that CONTROL does not know yet is looked at again."""
AHEAD_DELAY = 1.0
"""Seconds until a message that is ahead of its journal is looked at again."""


class Action(StrEnum):
    """What to do with the message and the run."""

    DROP = "Drop"
    """Acknowledge: nothing is left to do."""
    LATER = "Later"
    """Give it back with a delay."""
    KEEP = "Keep"
    """This agent holds the run already: renew, and go on."""
    ASK = "Ask"
    """Another agent owns it: ask that one first (protocol rule 1)."""
    PAUSE = "Pause"
    """Append Paused, then acknowledge."""
    CANCEL = "Cancel"
    """Append Cancelled for what remains, then acknowledge."""
    DISPATCH = "Dispatch"
    """Append Dispatched under the next epoch and run what remains."""


@dataclass(frozen=True)
class Decision:
    """An action and, for LATER, the delay in seconds."""

    action: Action
    delay: float = 0.0
    because: str = ""


def decide(
    *,
    head: Record | None,
    n: int,
    session: Control | None,
    task: Control | None,
    me: Owner,
    holding: bool,
    owner_lost: bool,
    now: float,
) -> Decision:
    """The decision for submission `n` of a run.

    Args:
        head: Last record of the run, None when the journal has none.
        n: Submission number of the message.
        session: Desired state of the session, None when CONTROL has no entry.
        task: Desired state of the task, None when CONTROL has no entry (active).
        me: This agent process.
        holding: This process runs the run now.
        owner_lost: The owner named by the head was asked and does not hold the run, or did not answer.
        now: Seconds since the epoch, on the server's clock.
    """
    if head is None:
        return Decision(Action.DROP, because="no record: purged, or never submitted")
    if n < head.n:
        return Decision(Action.DROP, because=f"void: submission {head.n} came after it")
    if head.kind.terminal:
        return Decision(Action.DROP, because="ended")
    if n > head.n:
        return Decision(Action.LATER, AHEAD_DELAY, because="the journal does not know this submission yet")
    if head.kind is RecordKind.PAUSED:
        return Decision(Action.DROP, because="paused; resuming submits it anew")
    if head.kind.owned and head.owner == me and holding:
        return Decision(Action.KEEP, because="held by this process")
    if head.kind.owned and head.owner != me and not owner_lost:
        return Decision(Action.ASK, because="owned by another agent")
    return _start_or_not(head, session, task, now)


def _start_or_not(head: Record, session: Control | None, task: Control | None, now: float) -> Decision:
    """The run has no living owner: what its session and task want, and when."""
    if session is None:
        return Decision(Action.LATER, UNKNOWN_SESSION_DELAY, because="the session is not known yet")
    if session.state.stops_work:
        return Decision(Action.CANCEL, because=f"the session is {session.state}")
    if task is not None and task.state.stops_work:
        return Decision(Action.CANCEL, because=f"the task is {task.state}")
    if session.state is DesiredState.PAUSED:
        return Decision(Action.PAUSE, because="the session is paused")
    if head.not_before > now:
        return Decision(Action.LATER, head.not_before - now, because="backing off after a failure")
    return Decision(Action.DISPATCH)
