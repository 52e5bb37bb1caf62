"""Detects losses by statuses: the journal holds other records than a status refers to. Pure.

The newest records may be lost while no operator runs, and agents may fill their places before one does; the
journal then ends where it should (protocol rule 12).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from armonik_operator.journal.backlog import Waiting
from armonik_operator.journal.epoch import JournalEpoch, Mark
from armonik_operator.journal.fold import TaskFold
from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.errors import InvalidIntervals
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import OutcomeKind

_INTERVALS: Final = ("succeededIndexes", "failedIndexes", "timedOutIndexes", "cancelledIndexes")


@dataclass(slots=True)
class JournaledStatus:
    """What a status says of the journal."""

    journal_epoch: int = 0
    journal_sequence: int = 0
    finished: bool = False
    ended: tuple[str, ...] = ()
    """Intervals of the elements that it calls ended, as far as it names them; of an unfinished Task."""

    @property
    def mark(self) -> Mark:
        """How far the journal went when it was written."""
        return Mark(self.journal_epoch, self.journal_sequence)

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> "JournaledStatus":
        """What the status of a Task says, as the apiserver gives it; what cannot be read says nothing."""
        status = _mapping(obj.get("status"))
        conditions = status.get("conditions")
        # Where the status does not name all elements, who asks for them looks at the records.
        finished = not status.get("detailRef") and any(
            _mapping(condition).get("type") == ConditionType.FINISHED and condition.get("status") == "True"
            for condition in (conditions if isinstance(conditions, list) else ())
        )
        return cls(
            journal_epoch=_number(status.get("journalEpoch")),
            journal_sequence=_number(status.get("journalSequence")),
            finished=finished,
            ended=() if finished else tuple(str(status[name]) for name in _INTERVALS if status.get(name)),
        )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _ranges(text: str) -> Ranges:
    try:
        return Ranges.parse(text)
    except InvalidIntervals:
        return Ranges()


def status_contradicts_journal(
    known: JournaledStatus, there: bool, ended: Ranges, life: JournalEpoch, created: float, read: int
) -> bool:
    """Whether the status of a living Task says what its records do not.

    Args:
        known: the status. Of a Task that has ended the records may have been purged.
        there: whether the record at the place that it knows is one of the Task.
        ended: elements that have ended by the Task's records up to there.
        life: of the journal; statuses of an earlier one are about other records.
        created: when the Task was.
        read: sequence up to which the journal was read. An operator that is about to lose its Lease may
            have written a status meanwhile that knows more.
    """
    sequence = known.journal_sequence
    if known.finished or known.journal_epoch != life.epoch or not 0 < sequence <= read:
        return False
    if not there:
        return True
    if life.first(created):
        return False  # what ended in an earlier life has no records
    reported = Ranges.of([span for text in known.ended for span in _ranges(text).spans])
    return not reported.issubset(ended)


def ended_by(records: Iterable[Waiting]) -> Ranges:
    """Elements that have ended by these records, one of each run."""
    fold = TaskFold()
    spans = []
    for waiting in records:
        record = waiting.record() if waiting.data is not None else None
        if record is None:
            spans.append((waiting.run.start, waiting.before.end))  # nobody has kept what it says
            continue
        if record.manifest is not None:  # outcomes in an object, which is not read for this
            spans.append((record.start, record.end))
        fold.add(record, waiting.sequence, waiting.time)
    for span in spans:
        fold.seed(OutcomeKind.COMPLETED, Ranges.of([span]))
    return fold.ended
