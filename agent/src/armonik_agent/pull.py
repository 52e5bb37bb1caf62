"""When to pull, and what to do with a message that was pulled (the protocol's table D3); pure."""

from dataclasses import dataclass
from enum import Enum

from armonik_sdk.api.records import Control, DesiredState, Owner, Record, RecordKind

UNKNOWN_DELAY = 5.0
"""Seconds until a message comes back that nobody can judge yet."""


def until_free(left: int, mean: float | None, elapsed: float) -> float:
    """Expected seconds until a run that is executed leaves its slot.

    Nothing is known about an element whose like has not ended here, or that takes longer than usual: then it
    is expected to go on for as long as it has gone on already.

    Args:
        left: elements that have not ended, the one that runs included.
        mean: seconds that the run's elements took so far; None before the first has ended.
        elapsed: seconds since the one that runs began.
    """
    if left <= 0:
        return 0.0
    if mean is None:
        return left * elapsed
    return (left - 1) * mean + abs(mean - elapsed)


class Action(Enum):
    """What the agent does with the message."""

    DROP = "acknowledge: it is void"
    LATER = "nak with a delay"
    PAUSE = "append Paused, acknowledge"
    CANCEL = "append Cancelled, acknowledge"
    KEEP = "nothing: this process holds the run already"
    ASK = "ask the owner whether it holds the run"
    DISPATCH = "append Dispatched, run it"


@dataclass(frozen=True)
class Decision:
    """The action, and why."""

    action: Action
    why: str = ""
    delay: float = 0.0
    """Seconds, of LATER."""


def decide(
    head: Record | None,
    n: int,
    session: Control | None,
    task: Control | None,
    me: Owner,
    held: bool,
    now: float,
    *,
    owner_lost: bool = False,
) -> Decision:
    """Judge a message by what was read after it was pulled, in this order: head, session, task.

    An owned run is never paused or cancelled over its living owner's head: the owner is asked first, and
    running work keeps its message (protocol rules 1 and 13).

    Args:
        head: the run's last record, with its outcomes.
        n: submission number of the message that was pulled.
        session: entry of CONTROL of the session; None means that it is not known here.
        task: entry of CONTROL of the task; None means active.
        me: this process.
        held: this process holds the run.
        now: the server's time, in seconds since the epoch.
        owner_lost: the owner was asked and does not hold the run.
    """
    if head is None or n < head.n:
        return Decision(Action.DROP, "void")
    if head.kind.terminal or head.kind is RecordKind.PAUSED:
        return Decision(Action.DROP, f"{head.kind}")
    if n > head.n:
        return Decision(Action.LATER, "the journal is behind the queue", UNKNOWN_DELAY)
    owner = head.owner if head.kind.owned else None
    mine = owner is not None and owner.same_process(me)
    if mine and held:
        return Decision(Action.KEEP, "held")
    if owner is not None and not mine and not owner_lost:
        return Decision(Action.ASK, f"owned by {owner.name or owner.pod}")
    if session is None:
        return Decision(Action.LATER, "the session is not known here", UNKNOWN_DELAY)
    if session.state.stops_work or (task is not None and task.state.stops_work):
        return Decision(Action.CANCEL, "cancelled, closed or deleted")
    if DesiredState.PAUSED in (session.state, task.state if task else None):
        return Decision(Action.PAUSE, "paused")
    if owner is None and head.not_before > now:
        return Decision(Action.LATER, "back-off", head.not_before - now)
    return Decision(Action.DISPATCH)
