"""Ends runs whose head cannot be read or whose outcomes are lost. Pure."""

import json
import secrets

from armonik_operator.journal.fold import RunHead
from armonik_operator.journal.transitions import unexecuted_outcomes
from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.ranges import Span
from armonik_sdk.api.records import RECORD_VERSION, Outcome, OutcomeKind, Record, RecordKind
from armonik_sdk.api.results import RunResults


def newer(data: bytes) -> bool:
    """Whether a record is of a later version than this operator reads: the next one may read it."""
    try:
        version = json.loads(data).get("version", RECORD_VERSION)
    except (ValueError, AttributeError):
        return False
    return isinstance(version, int) and version > RECORD_VERSION


def ended(record: Record, why: str) -> Record:
    """A terminal record in which each element without an outcome ends as lost."""
    lost = unexecuted_outcomes(record.remaining, OutcomeKind.ERROR, FailureReason.DATA_LOST, why)
    outcomes = sorted((*record.outcomes, *lost), key=lambda outcome: outcome.index)
    return record.model_copy(update={"outcomes": tuple(outcomes)})


def last_word(span: Span, known: RunHead | None, kept: RunResults | None, why: str, task_name: str) -> Record:
    """The record that ends a run whose head cannot be read.

    Args:
        span: the run, as far as it is known.
        known: its last record that was read, if any was.
        kept: what RESULTS holds of it: those outcomes stay.
        why: what the outcomes of the others say.
        task_name: for people.
    """
    outcomes: tuple[Outcome, ...] = kept.outcomes if kept is not None else ()
    record = Record(
        record_id=secrets.token_hex(8),
        kind=RecordKind.DONE,
        start=span[0],
        end=span[1],
        n=known.n if known is not None else 1,
        epoch=known.epoch + 1 if known is not None else 0,
        partition=known.partition if known is not None else "",
        task_name=task_name,
        outcomes=tuple(outcome for outcome in outcomes if span[0] <= outcome.index < span[1]),
        objects=kept.objects if kept is not None else (),
    )
    return ended(record, why)
