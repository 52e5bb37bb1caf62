"""Replay against statuses: which records need not be kept, and which must exist.

A Task whose status says `Finished` has had all effects of its records up to the `journalSequence` of that
status, so these are not kept. Of an unfinished Task, the record at that place must be there, and the records
up to it must say of all elements that the status calls ended that they have (protocol rule 12). A record is
forgotten when a newer one of its run is read, so both are noted while the journal is read.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from armonik_operator.journal.backlog import Waiting
from armonik_operator.journal.epoch import JournalEpoch
from armonik_operator.journal.loss import JournaledStatus, ended_by, status_contradicts_journal
from armonik_operator.util.index_set import IndexSet
from armonik_sdk.api.names import RunId
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Record

_NAMES: Final = re.compile(rb'"(?:children|delegated)":')


@dataclass(slots=True)
class Names:
    """What the records of a Task that has finished say and its status does not."""

    children: set[str] = field(default_factory=set)
    delegated: set[str] = field(default_factory=set)


class Replay:
    """One reading of the journal."""

    def __init__(self, statuses: Mapping[str, JournaledStatus], *, whole: bool = False) -> None:
        """`statuses`: by UID of the Task, as they were before the reading began.

        `whole`: what records of Tasks that have finished brought about may be lost, so none is skipped.
        """
        self._statuses = statuses
        self._whole = whole
        self._there: set[str] = set()
        self._ended: dict[str, IndexSet] = {}
        self.names: dict[str, Names] = {}
        """By UID of the Task."""

    def skips(self, run: RunId, data: bytes, sequence: int) -> bool:
        """Whether a record brings nothing about any more; the names in it are kept nevertheless."""
        known = self._statuses.get(run.task)
        if self._whole or known is None or not known.finished or sequence > known.journal_sequence:
            return False
        if _NAMES.search(data):
            self._keep_names(run.task, data)
        return True

    def noted(self, uid: str, sequence: int, replaced: Waiting | None) -> None:
        """A record was kept, in the place of another one of its run."""
        known = self._statuses.get(uid)
        if known is None or known.finished:
            return
        if sequence == known.journal_sequence:
            self._there.add(uid)
        if replaced is not None and replaced.sequence <= known.journal_sequence < sequence:
            spans = self._ended.setdefault(uid, IndexSet())
            for span in ended_by([replaced]).spans:
                spans.add(*span)

    def asked(self, uid: str, waiting: Iterable[Waiting]) -> list[Waiting]:
        """The records, of those that wait to be worked on, that have to confirm the status of a Task."""
        known = self._statuses.get(uid)
        if known is None or not known.ended:
            return []
        return [one for one in waiting if one.sequence <= known.journal_sequence]

    def status_contradicts_journal(
        self, uid: str, ended: Ranges, life: JournalEpoch, created: float, read: int
    ) -> bool:
        """Whether the status of a Task says what its records do not; as `loss.status_contradicts_journal`.

        `ended` are the elements that have ended by the records of `asked`.
        """
        known = self._statuses.get(uid)
        if known is None:
            return False
        ended |= self._ended.get(uid, IndexSet()).ranges
        return status_contradicts_journal(known, uid in self._there, ended, life, created, read)

    def _keep_names(self, uid: str, data: bytes) -> None:
        try:
            record = Record.model_validate_json(data)
        except ValueError:  # it counted for nothing when the Task ended
            return
        names = self.names.setdefault(uid, Names())
        names.children.update(child.name for child in record.children)
        for outcome in record.outcomes:
            names.delegated.update(outcome.delegated)
