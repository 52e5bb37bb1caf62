"""Epochs of the journal: detects a loss, and fences earlier work (protocol rule 12). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from armonik_sdk.api.kinds import Task


class Mark(NamedTuple):
    """Position in the journal when a status was written."""

    journal_epoch: int
    journal_sequence: int


@dataclass(frozen=True)
class JournalEpoch:
    """The journal as it is now, against what statuses say that it was."""

    created: int = 0
    """When the stream was made, in seconds since the epoch."""
    epoch: int = 0
    """`status.journalEpoch` of all that is written now. Above `created` once newest records were lost."""

    @classmethod
    def of(
        cls, created: int, last_sequence: int, statuses: Iterable[Mark], before: "JournalEpoch | None" = None
    ) -> "JournalEpoch":
        """The life after a start, or after a loss that this process saw (`before` is the life that ended).

        A stream that was made again has a later `created`. One that ends below a sequence that a status
        knows has lost its newest records; its epoch is raised by one, and never falls while a status has it.
        """
        known = list(statuses)
        epoch = max([created, *(status.journal_epoch for status in known)])
        lost = any(s.journal_epoch == epoch and s.journal_sequence > last_sequence for s in known)
        if before is not None and before.created == created:
            lost, epoch = lost or epoch <= before.epoch, max(epoch, before.epoch)
        return cls(created, epoch + 1 if lost else epoch)

    def after_loss(self) -> "JournalEpoch":
        """The life after its newest records were lost."""
        return replace(self, epoch=self.epoch + 1)

    @property
    def fence(self) -> int:
        """Ownerships below this one are from before a loss of newest records; 0 when there was none."""
        return self.epoch if self.epoch > self.created else 0

    def first(self, task_created: float) -> int:
        """Epoch, and number of the first submission less one, of a Task's new runs.

        A Task that is older than the journal may have had runs in another life, whose messages and owners
        may be about still: numbers of seconds are above any number of submissions or dispatches.
        """
        return max(self.fence, self.epoch if task_created < self.created else 0)


def created(task: Task) -> float:
    """When a Task was created, in seconds since the epoch; 0 when it does not say so."""
    at = task.metadata.creation_timestamp
    return at.timestamp() if at is not None else 0.0
