"""Losses that only a status tells of: the journal holds other records where it knows those of its Task. Pure.

The newest records may be lost while no operator runs, and agents may fill their places before one does; the
journal then ends where it should (protocol rule 12).
"""

from collections.abc import Iterable

from armonik_operator.fold import TaskFold
from armonik_operator.life import Life, created
from armonik_operator.state import Received
from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.kinds import Task, TaskStatus, is_true
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import OutcomeKind


def belied(task: Task, records: Iterable[Received], life: Life, read: int) -> bool:
    """Whether the status of a Task says what its records do not.

    Args:
        task: a living Task. Of one that has ended the records may have been purged.
        records: all of it that stand in the journal, in their order.
        life: of the journal; statuses of an earlier one are about other records.
        read: sequence up to which the journal was read. An operator that is about to lose its Lease may
            have written a status meanwhile that knows more.
    """
    status = task.status
    if (
        status is None
        or not status.journal_sequence
        or status.journal_epoch != life.epoch
        or status.journal_sequence > read
        or is_true(status.conditions, ConditionType.FINISHED)
    ):
        return False
    known = [received for received in records if received.sequence <= status.journal_sequence]
    if not known or known[-1].sequence != status.journal_sequence:
        return True
    if life.first(created(task)):
        return False  # what ended in an earlier life has no records
    return not _ended(status).issubset(_stand_for(known))


def _ended(status: TaskStatus) -> Ranges:
    """Elements that the status calls ended, as far as it names them."""
    named = (
        status.succeeded_indexes,
        status.failed_indexes,
        status.timed_out_indexes,
        status.cancelled_indexes,
    )
    return Ranges.of([span for text in named for span in Ranges.parse(text).spans])


def _stand_for(records: Iterable[Received]) -> Ranges:
    """Elements that have ended by these records; heads are cumulative."""
    fold, apart = TaskFold(), []
    for received in {received.run.start: received for received in records}.values():
        if received.record.manifest is not None:  # outcomes in an object, which is not read for this
            apart.append((received.record.start, received.record.end))
        fold.add(received.record, received.sequence, received.time)
    for span in apart:
        fold.seed(OutcomeKind.COMPLETED, Ranges.of([span]))
    return fold.ended
