"""Successors of a run's head by which the operator ends elements (protocol rule 10). Pure."""

import secrets
from collections.abc import Iterable

from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Outcome, OutcomeKind, Record, RecordKind

BY_REQUEST = "cancelled by request"
"""What an outcome says whose end a user has asked for."""


def without(record: Record, indexes: Ranges, why: str, *, overdue: bool) -> Record | None:
    """The record that brings elements of an open run nearer to their end.

    What nobody holds ends at once, and the rest of the run stays what it was. An owner gets a note first, and
    keeps the run also when it had its time: then its later outcomes of these elements do not count.

    Args:
        record: the run's head, with its outcomes.
        indexes: elements to be ended; those of other runs, and those that have ended, do not matter.
        why: what their outcomes say.
        overdue: the owner knows of all of them, and had its time.

    Returns:
        The successor; None when there is nothing to do, or the owner still has time.
    """
    asked = Ranges.indexes(record.remaining) & indexes
    noted = Ranges.parse(record.cancel)
    changes: dict[str, object] = {"record_id": secrets.token_hex(8)}
    if not asked:
        return None
    if record.kind.owned and not overdue:
        if record.kind is RecordKind.CANCEL_REQUESTED and asked.issubset(noted):
            return None
        changes |= {"kind": RecordKind.CANCEL_REQUESTED, "cancel": str(noted | asked)}
        return record.model_copy(update=changes)
    outcomes = (*record.outcomes, *cancelled(asked, why))
    changes["outcomes"] = tuple(sorted(outcomes, key=lambda outcome: outcome.index))
    changes["attempts"] = tuple(a for a in record.attempts if a.index not in asked)
    if len(asked) == len(record.remaining):
        changes["kind"] = RecordKind.CANCELLED
    return record.model_copy(update=changes)


def cancelled(indexes: Iterable[int], why: str) -> tuple[Outcome, ...]:
    """Outcomes of elements that nobody wants any more."""
    return unrun(indexes, OutcomeKind.CANCELLED, FailureReason.CANCELLED, why)


def unrun(indexes: Iterable[int], kind: OutcomeKind, reason: FailureReason, why: str) -> tuple[Outcome, ...]:
    """Outcomes of elements that no agent has ended."""
    return tuple(Outcome(index=index, kind=kind, attempts=0, reason=reason, message=why) for index in indexes)
