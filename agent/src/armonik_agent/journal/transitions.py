"""Successors of a run's head: the records that an agent may append, as pure functions.

All keep what the head says: an outcome is set once, attempts only grow, the run's boundaries stay, but for
what an owner gives away.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum

from armonik_agent.util.text import shorten
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import (
    Attempt,
    ChildGroup,
    Lost,
    Outcome,
    OutcomeKind,
    Owner,
    Record,
    RecordKind,
)
from armonik_sdk.backoff import doubled

MAX_TAKEOVERS = 10
"""Takeovers and losses without a known cause until the run ends as LeaseLost (protocol rules 1 and 5)."""
MAX_BROKEN_OFF = 10
"""Executions of an element that may be broken off with a pod that has to end (protocol rule 5)."""
BACK_OFF = 1.0
"""Seconds before the second execution; doubled for each further one."""
MAX_BACK_OFF = 60.0


class Cause(Enum):
    """Why a run is dispatched."""

    FRESH = "fresh"
    """Nobody holds it, and nothing was lost."""
    OWNER_GONE = "owner gone"
    """The owner's process is known to have ended: one execution failed."""
    UNEXPLAINED = "unexplained"
    """The owner does not hold it or does not answer, but its process may live; or it is this process."""
    EVICTED = "evicted"
    """The kubelet has evicted the pod that gave it up: one execution failed."""
    BROKEN_OFF = "broken off"
    """It was given up while something was executed, or with what had ended: no fault, but bounded."""


@dataclass(frozen=True)
class Loss:
    """Why a run is dispatched, with a text for people."""

    cause: Cause = Cause.FRESH
    text: str = ""


@dataclass(frozen=True)
class Change:
    """What an owner adds to its run. Pieces count into `objects` of this change."""

    outcomes: tuple[Outcome, ...] = ()
    objects: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    children: tuple[ChildGroup, ...] = ()
    running: int | None = None


def merged(first: Change, second: Change) -> Change:
    """Both changes as one; of two about the same element the first counts, as in two records."""
    objects = list(first.objects)
    place = _places(objects, second.objects)
    known = {outcome.index for outcome in first.outcomes}
    new = [_moved(outcome, place) for outcome in second.outcomes if outcome.index not in known]
    return Change(
        outcomes=(*first.outcomes, *new),
        objects=tuple(objects),
        attempts=(*first.attempts, *second.attempts),
        children=(*first.children, *(c for c in second.children if c.element not in known)),
        running=first.running if second.running is None else second.running,
    )


def too_long(change: Change, why: str) -> Change:
    """The same where elements that made results of their own are errors: they make a record long."""
    outcomes, children = [], list(change.children)
    for outcome in change.outcomes:
        count = len(outcome.made) + len(outcome.delegated)
        if not count:
            outcomes.append(outcome)
            continue
        message = f"it made or handed over {count} results: {why}; make fewer, or let sub-tasks make the rest"
        fields = {
            "kind": OutcomeKind.ERROR,
            "reason": FailureReason.WORKER_ERROR,
            "message": shorten(message),
        }
        outcomes.append(outcome.model_copy(update={**fields, "outputs": {}, "made": {}, "delegated": ()}))
        children = [child for child in children if child.element != outcome.index]
    return replace(change, outcomes=tuple(outcomes), children=tuple(children))


def back_off(executions: int) -> float:
    """Seconds to wait after that number of failed executions."""
    return doubled(BACK_OFF, MAX_BACK_OFF, executions)


def dispatched(head: Record, me: Owner, loss: Loss, retries: Callable[[int], int], now: float) -> Record:
    """The run becomes this agent's, under the next epoch; a loss is charged by protocol rules 1 and 5.

    Args:
        head: the run's last record.
        me: the new owner.
        loss: why it is dispatched.
        retries: `maxRetries` of an element.
        now: the server's time, in seconds since the epoch.

    Returns:
        `Dispatched`, or `Done` when nothing is left to be run.
    """
    base = _without(head, asked_to_cancel(head))
    cause, charged, takeovers = loss.cause, _charged(base), head.takeovers
    if cause in (Cause.OWNER_GONE, Cause.EVICTED) and charged is not None:
        base = _with(base, charge(base, charged, loss.text, retries(charged), now))
    elif cause is Cause.BROKEN_OFF and charged is not None:
        base = _with(base, broken_off(base, charged, loss.text, now))
    elif cause is not Cause.FRESH and base.remaining:
        takeovers += 1
        if takeovers > MAX_TAKEOVERS:
            text = shorten(f"lost {takeovers} times without a known cause; the last: {loss.text}")
            lost = (_failed(base, i, FailureReason.LEASE_LOST, text) for i in base.remaining)
            base = _with(base, Change(outcomes=tuple(lost)))
    kind = RecordKind.DISPATCHED if base.remaining else RecordKind.DONE
    return _next(
        base,
        kind,
        owner=me,
        epoch=head.epoch + 1,
        running=None,
        takeovers=takeovers,
        not_before=0.0,
        lost=None,
    )


def charge(head: Record, index: int, text: str, max_retries: int, now: float) -> Change:
    """One more failed execution of an element: an attempt, or its end when none is left."""
    executions = executions_of(head, index) + 1
    if executions > max_retries:
        message = shorten(f"{executions} of {max_retries + 1} executions failed; the last: {text}")
        ended = Outcome(
            index=index,
            kind=OutcomeKind.ERROR,
            attempts=executions + broken_off_of(head, index),
            reason=FailureReason.ATTEMPTS_EXHAUSTED,
            message=message,
        )
        return Change(outcomes=(ended,))
    attempt = Attempt(
        index=index,
        executions=executions,
        broken_off=broken_off_of(head, index),
        message=shorten(text),
        not_before=now + back_off(executions),
    )
    return Change(attempts=(attempt,))


def broken_off(head: Record, index: int, text: str, now: float) -> Change:
    """One more execution of an element that was broken off; its end when there were too many."""
    executions, times = executions_of(head, index), broken_off_of(head, index) + 1
    if times > MAX_BROKEN_OFF:
        message = shorten(f"{times} executions were broken off; the last: {text}")
        return Change(outcomes=(_failed(head, index, FailureReason.ATTEMPTS_EXHAUSTED, message),))
    not_before = now + back_off(times)
    attempt = Attempt(
        index=index, executions=executions, broken_off=times, message=shorten(text), not_before=not_before
    )
    return Change(attempts=(attempt,))


def progressed(head: Record, change: Change) -> Record:
    """The owner's commit: `Done` when every element has ended, else `Progress`.

    An operator's `CancelRequested` precedes it in the journal, so the elements it names end Cancelled.
    """
    base = _with(_without(head, asked_to_cancel(head)), change)
    if not base.remaining:
        return _next(base, RecordKind.DONE, running=None)
    return _next(base, RecordKind.PROGRESS, running=change.running)


def released(
    head: Record,
    change: Change,
    not_before: float = 0.0,
    lost: Lost | None = None,
    running: int | None = None,
) -> Record:
    """The owner gives up what is left; `Done` when nothing is.

    Args:
        head: the run's last record.
        change: what has ended or failed since then.
        not_before: earliest next dispatch.
        lost: that executions were broken off that nobody was charged for.
        running: the element of that execution, if it is known.
    """
    after = progressed(head, change)
    if after.kind is RecordKind.DONE:
        return after
    return _next(
        after,
        RecordKind.RELEASED,
        owner=None,
        running=running if lost is not None and running in after.remaining else None,
        not_before=not_before,
        lost=lost,
    )


def cancelled(head: Record, change: Change | None = None) -> Record:
    """All that has not ended ends Cancelled."""
    base = _with(_without(head, asked_to_cancel(head)), change or Change())
    return _next(_without(base, base.remaining), RecordKind.CANCELLED, running=None)


def split(head: Record, at: int) -> tuple[Record, Record] | None:
    """The owner gives `[at, end)` away as a run of its own; None when that cannot be (protocol rule 6).

    What is given away is untouched: it has neither ended nor been tried, and no note names it.

    Returns:
        What is kept, and the first record of what is given away.
    """
    touched = head.ended | {attempt.index for attempt in head.attempts} | set(asked_to_cancel(head))
    kept = _without(head, asked_to_cancel(head)).model_copy(update={"end": at})
    if not head.start < at < head.end or any(index >= at for index in touched) or not kept.remaining:
        return None
    given = Record(
        record_id=uuid.uuid4().hex,
        kind=RecordKind.SUBMITTED,
        start=at,
        end=head.end,
        n=head.n,
        epoch=head.epoch,
        partition=head.partition,
        task_name=head.task_name,
    )
    return _next(kept, RecordKind.SPLIT), given


def paused(head: Record) -> Record:
    """The run waits for its session to be resumed."""
    return _next(head, RecordKind.PAUSED, owner=None, running=None)


def executions_of(head: Record, index: int) -> int:
    """Failed executions of an element so far."""
    return next((a.executions for a in head.attempts if a.index == index), 0)


def broken_off_of(head: Record, index: int) -> int:
    """Executions of an element that were broken off so far."""
    return next((a.broken_off for a in head.attempts if a.index == index), 0)


def begun_of(head: Record, index: int) -> int:
    """Executions of an element so far, however they ended."""
    return executions_of(head, index) + broken_off_of(head, index)


def _next(head: Record, kind: RecordKind, **fields: object) -> Record:
    return head.model_copy(update={**fields, "kind": kind, "record_id": uuid.uuid4().hex})


def _charged(head: Record) -> int | None:
    remaining = head.remaining
    if head.running in remaining:
        return head.running
    return remaining[0] if len(remaining) == 1 else None


def asked_to_cancel(head: Record) -> tuple[int, ...]:
    """Elements that have not ended and that an operator's note names."""
    named = Ranges.parse(head.cancel)
    return tuple(index for index in head.remaining if index in named)


def _without(head: Record, indexes: Iterable[int]) -> Record:
    ended = tuple(
        Outcome(
            index=i,
            kind=OutcomeKind.CANCELLED,
            attempts=begun_of(head, i),
            reason=FailureReason.CANCELLED,
        )
        for i in indexes
    )
    return _with(head, Change(outcomes=ended)) if ended else head


def _failed(head: Record, index: int, reason: FailureReason, text: str) -> Outcome:
    executions = begun_of(head, index)
    return Outcome(index=index, kind=OutcomeKind.ERROR, attempts=executions, reason=reason, message=text)


def _with(head: Record, change: Change) -> Record:
    """Add a change; elements that have ended keep their first outcome.

    What it says of elements that were given away does not count: a split may have been stored
    although it seemed refused.
    """
    objects = list(head.objects)
    place = _places(objects, change.objects)
    before, here = head.ended, range(head.start, head.end)
    new = {o.index: _moved(o, place) for o in change.outcomes if o.index in here and o.index not in before}
    outcomes = sorted((*head.outcomes, *new.values()), key=lambda o: o.index)
    attempts = {a.index: a for a in head.attempts}
    for attempt in change.attempts:
        known = attempts.get(attempt.index)
        before_it = (known.executions, known.broken_off) if known is not None else (0, 0)
        if attempt.index in here and (attempt.executions, attempt.broken_off) > before_it:
            attempts[attempt.index] = attempt
    ended = before | new.keys()
    named = {child.name for child in head.children}
    children = [c for c in change.children if c.name not in named and c.element in new]
    return head.model_copy(
        update={
            "outcomes": tuple(outcomes),
            "objects": tuple(objects),
            "attempts": tuple(attempts[i] for i in sorted(attempts) if i not in ended),
            "children": (*head.children, *children),
        }
    )


def _places(objects: list[str], more: Iterable[str]) -> dict[int, int]:
    """Add keys to a list of objects; the place of each one in it then."""
    known = {key: number for number, key in enumerate(objects)}
    place: dict[int, int] = {}
    for number, key in enumerate(more):
        if key not in known:
            known[key] = len(objects)
            objects.append(key)
        place[number] = known[key]
    return place


def _moved(outcome: Outcome, place: dict[int, int]) -> Outcome:
    if all(old == new for old, new in place.items()):
        return outcome
    return outcome.moved(place.__getitem__)
