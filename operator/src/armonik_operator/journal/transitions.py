"""Successors of a run's head by which the operator ends elements (protocol rule 10). Pure."""

import secrets
from collections.abc import Iterable
from itertools import chain
from typing import Final

from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.ranges import Ranges, Span
from armonik_sdk.api.records import Outcome, OutcomeKind, Record, RecordKind, Unexecuted

IN_WORDS: Final = 100
"""Elements without an execution whose ends a record names one by one."""
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
    outcomes = (*record.outcomes, *cancel_record(asked, why))
    changes["outcomes"] = tuple(sorted(outcomes, key=lambda outcome: outcome.index))
    changes["attempts"] = tuple(a for a in record.attempts if a.index not in asked)
    if len(asked) == len(record.remaining):
        changes["kind"] = RecordKind.CANCELLED
    return record.model_copy(update=changes)


def unqueued_runs(
    aborted: Iterable[tuple[Span, str]],
) -> list[tuple[Span, tuple[Outcome, ...], Unexecuted | None]]:
    """Runs of elements that end because of what they depend on: as few as can be.

    Neighbours that end for one reason are one run, however many they are. Of others, as many share a run
    as the words of a record can hold.
    """
    runs: list[list[tuple[Span, str]]] = []
    for span, message in sorted(aborted):
        last = runs[-1][-1] if runs else None
        if last is not None and last[0][1] == span[0] and last[1] == message:
            runs[-1][-1] = ((last[0][0], span[1]), message)
        elif last is not None and last[0][1] == span[0] and span[1] - runs[-1][0][0][0] <= IN_WORDS:
            runs[-1].append((span, message))
        else:
            runs.append([(span, message)])
    return [_unqueued(run) for run in runs]


def _unqueued(run: list[tuple[Span, str]]) -> tuple[Span, tuple[Outcome, ...], Unexecuted | None]:
    start, end, message = run[0][0][0], run[-1][0][1], run[0][1]
    kind, reason = OutcomeKind.ERROR, FailureReason.DEPENDENCY_ABORTED
    if len(run) == 1 and end - start > IN_WORDS:
        return (start, end), (), Unexecuted(start=start, kind=kind, reason=reason, message=message)
    outcomes = (unexecuted_outcomes(range(*span), kind, reason, why) for span, why in run)
    return (start, end), tuple(chain.from_iterable(outcomes)), None


def cancel_record(indexes: Iterable[int], why: str) -> tuple[Outcome, ...]:
    """Outcomes of cancelled elements."""
    return unexecuted_outcomes(indexes, OutcomeKind.CANCELLED, FailureReason.CANCELLED, why)


def unexecuted_outcomes(
    indexes: Iterable[int], kind: OutcomeKind, reason: FailureReason, why: str
) -> tuple[Outcome, ...]:
    """Outcomes of elements that no agent has ended."""
    return tuple(Outcome(index=index, kind=kind, attempts=0, reason=reason, message=why) for index in indexes)
