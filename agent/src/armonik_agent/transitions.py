"""The records an agent appends: pure functions from the head to its successor.

Whatever they are given, an outcome that stands is never changed or lost, the epoch never goes back, and a
record is terminal exactly when every element of the run has ended.
"""

import uuid
from collections.abc import Iterable, Sequence

from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import (
    MAX_ERROR_BYTES,
    Attempt,
    ChildGroup,
    Outcome,
    OutcomeKind,
    Owner,
    Piece,
    Record,
    RecordKind,
)

MAX_TAKEOVERS = 10
"""Takeovers without a known cause until the rest of a run ends as LeaseLost (protocol rule 1)."""


def dispatched(head: Record, me: Owner, *, owner_gone: bool, max_retries: int) -> Record:
    """Take the run under the next epoch.

    When the process of the former owner is gone, one execution is charged to the element it was running, or
    to the only one left; with several left and none named nobody is charged (protocol rule 5). A takeover
    without a known cause charges nobody either, but is counted and bounded.
    """
    unexplained = head.kind.owned and head.owner != me and not owner_gone
    attempts = {attempt.index: attempt for attempt in head.attempts}
    charged = _charged(head) if head.kind.owned and owner_gone else None
    if charged is not None:
        done = attempts[charged].executions if charged in attempts else 0
        message = f"the agent of pod {head.owner.name or head.owner.pod} ended" if head.owner else ""
        attempts[charged] = Attempt(index=charged, executions=done + 1, message=message)
    takeovers = head.takeovers + 1 if unexplained else head.takeovers
    failed = [
        Outcome(
            index=attempt.index,
            kind=OutcomeKind.ERROR,
            attempts=attempt.executions,
            reason=FailureReason.ATTEMPTS_EXHAUSTED,
            message=attempt.message,
        )
        for attempt in attempts.values()
        if attempt.executions > max_retries
    ]
    if takeovers > MAX_TAKEOVERS:
        failed += [
            Outcome(
                index=index,
                kind=OutcomeKind.ERROR,
                attempts=attempts[index].executions if index in attempts else 1,
                reason=FailureReason.LEASE_LOST,
                message=f"taken over {takeovers} times without a known cause",
            )
            for index in head.remaining
            if index not in {outcome.index for outcome in failed}
        ]
    return _successor(
        head,
        RecordKind.DISPATCHED,
        owner=me,
        epoch=head.epoch + 1,
        takeovers=takeovers,
        outcomes=failed,
        attempts=attempts.values(),
    )


def progress(
    head: Record,
    *,
    outcomes: Sequence[Outcome] = (),
    objects: Sequence[str] = (),
    attempts: Sequence[Attempt] = (),
    children: Sequence[ChildGroup] = (),
    running: int | None = None,
) -> Record:
    """Commit outcomes and failed executions and go on; Done when nothing remains.

    `outcomes` point into `objects` by index; the record keeps the objects that stand before them.
    """
    return _successor(
        head,
        RecordKind.PROGRESS,
        outcomes=outcomes,
        objects=objects,
        attempts=attempts,
        children=children,
        running=running,
    )


def released(
    head: Record,
    *,
    outcomes: Sequence[Outcome] = (),
    objects: Sequence[str] = (),
    attempts: Sequence[Attempt] = (),
    children: Sequence[ChildGroup] = (),
    not_before: float = 0.0,
) -> Record:
    """Commit what has ended and give the rest back; not a failure. Done when nothing remains."""
    return _successor(
        head,
        RecordKind.RELEASED,
        outcomes=outcomes,
        objects=objects,
        attempts=attempts,
        children=children,
        not_before=not_before,
    )


def paused(head: Record) -> Record:
    """Park an unowned run; resuming submits it anew."""
    return _successor(head, RecordKind.PAUSED)


def cancelled(head: Record, message: str) -> Record:
    """End everything that remains as Cancelled."""
    return _successor(head, RecordKind.CANCELLED, outcomes=cancel(head.remaining, message))


def cancel(indexes: Iterable[int], message: str) -> list[Outcome]:
    """Outcomes of elements that end by request."""
    return [
        Outcome(index=i, kind=OutcomeKind.CANCELLED, reason=FailureReason.CANCELLED, message=clip(message))
        for i in indexes
    ]


def asked_to_cancel(head: Record) -> tuple[int, ...]:
    """Elements that the operator's note on the head wants ended and that have not ended."""
    wanted = {i for start, end in Ranges.parse(head.cancel).spans for i in range(start, end)}
    return tuple(index for index in head.remaining if index in wanted)


def clip(text: str) -> str:
    """At most 4 KiB of UTF-8 (protocol rule 15)."""
    raw = text.encode()
    return text if len(raw) <= MAX_ERROR_BYTES else raw[: MAX_ERROR_BYTES - 3].decode(errors="ignore") + "…"


def _charged(head: Record) -> int | None:
    if head.running is not None and head.running not in head.ended:
        return head.running
    return head.remaining[0] if len(head.remaining) == 1 else None


def _successor(
    head: Record,
    kind: RecordKind,
    *,
    owner: Owner | None = None,
    epoch: int | None = None,
    takeovers: int | None = None,
    outcomes: Iterable[Outcome] = (),
    objects: Sequence[str] = (),
    attempts: Iterable[Attempt] = (),
    children: Sequence[ChildGroup] = (),
    running: int | None = None,
    not_before: float = 0.0,
) -> Record:
    """The one place that builds a following record: cumulative over the head."""
    standing = {outcome.index: outcome for outcome in head.outcomes}
    fresh = {o.index: _behind(o, len(head.objects)) for o in outcomes if head.start <= o.index < head.end}
    merged = fresh | standing
    failed = {a.index: a for a in head.attempts} | {a.index: a for a in attempts}
    names = {child.name for child in head.children}
    done = len(merged) == head.end - head.start
    keeps_owner = kind.owned and not done
    if done and kind is not RecordKind.CANCELLED:
        kind = RecordKind.DONE
    return head.model_copy(
        update={
            "record_id": uuid.uuid4().hex,
            "kind": kind,
            "owner": (owner or head.owner) if keeps_owner or done else None,
            "epoch": head.epoch if epoch is None else epoch,
            "takeovers": head.takeovers if takeovers is None else takeovers,
            "running": running if keeps_owner else None,
            "not_before": not_before,
            "outcomes": tuple(merged[index] for index in sorted(merged)),
            "objects": (*head.objects, *objects),
            "attempts": tuple(failed[index] for index in sorted(failed) if index not in merged),
            "children": (*head.children, *(child for child in children if child.name not in names)),
        }
    )


def _behind(outcome: Outcome, objects: int) -> Outcome:
    """The outcome with its pieces pointing behind the objects that stand already."""

    def moved(pieces: dict[str, Piece]) -> dict[str, Piece]:
        return {
            name: piece.model_copy(update={"object": piece.object + objects})
            for name, piece in pieces.items()
        }

    if not objects or not (outcome.outputs or outcome.made):
        return outcome
    return outcome.model_copy(update={"outputs": moved(outcome.outputs), "made": moved(outcome.made)})
