"""Decides when to pull, and what to do with a message that was pulled (protocol rules 1, 3, 13, 14); pure."""

from dataclasses import dataclass
from enum import Enum

from armonik_sdk.api.records import Control, DesiredState, Owner, Record, RecordKind
from armonik_sdk.backoff import doubled

UNKNOWN_DELAY = 5.0
"""Most seconds until a message comes back that nobody can judge yet."""
_FIRST_UNKNOWN_DELAY = 0.1
"""The same at its first delivery: what is missing is often just being written, as of a new Session."""


def until_free(left: int, mean: float | None, elapsed: float) -> float:
    """Expected seconds until a run that is executed leaves its slot.

    Nothing is known about an element whose like has not ended here, or that takes longer than usual: then it
    is expected to take as long again as it has taken so far.

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
    """What to do with a message, and why."""

    action: Action
    why: str = ""
    delay: float = 0.0
    """Seconds, of LATER."""


@dataclass(frozen=True)
class RunView:
    """What was read of a run after its message was pulled, in this order: head, session, task."""

    head: Record | None
    """The run's last record, with its outcomes."""
    n: int
    """Submission number of the message that was pulled."""
    session: Control | None
    """Entry of CONTROL of the session; None means that it is not known here."""
    task: Control | None
    """Entry of CONTROL of the task; None means active."""
    deliveries: int = 1
    """How often the message was delivered, this time included."""


@dataclass(frozen=True)
class Me:
    """The process that judges, and when."""

    owner: Owner
    held: bool
    """This process holds the run."""
    now: float
    """The server's time, in seconds since the epoch."""


def decide(run: RunView, me: Me, *, owner_lost: bool = False) -> Decision:
    """Judge a message by what was read of its run.

    An owned run is never paused or cancelled over its living owner's head: the owner is asked first, and
    running work keeps its message (protocol rules 1 and 13).

    Args:
        run: what was read.
        me: who judges.
        owner_lost: the owner was asked and does not hold the run.
    """
    head, n, session, task = run.head, run.n, run.session, run.task
    if head is None or n < head.n:
        return Decision(Action.DROP, "void")
    if head.kind.terminal or head.kind is RecordKind.PAUSED:
        return Decision(Action.DROP, f"{head.kind}")
    if n > head.n:
        return _later("the journal is behind the queue", run)
    owner = head.owner if head.kind.owned else None
    mine = owner is not None and owner.same_process(me.owner)
    if mine and me.held:
        return Decision(Action.KEEP, "held")
    if owner is not None and not mine and not owner_lost:
        return Decision(Action.ASK, f"owned by {owner.name or owner.pod}")
    if session is None:
        return _later("the session is not known here", run)
    if session.state.stops_work or (task is not None and task.state.stops_work):
        return Decision(Action.CANCEL, "cancelled, closed or deleted")
    if DesiredState.PAUSED in (session.state, task.state if task else None):
        return Decision(Action.PAUSE, "paused")
    if owner is None and head.not_before > me.now:
        return Decision(Action.LATER, "back-off", head.not_before - me.now)
    return Decision(Action.DISPATCH)


def _later(why: str, run: RunView) -> Decision:
    return Decision(Action.LATER, why, doubled(_FIRST_UNKNOWN_DELAY, UNKNOWN_DELAY, run.deliveries))
