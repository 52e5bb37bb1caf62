"""The entries of RESULTS, and the journal records by which clients make results, as they are on the wire."""

from enum import StrEnum
from typing import ClassVar, Literal

from armonik_sdk.api.bounds import MAX_RESULT_BYTES
from armonik_sdk.api.kinds.data import ObjectRef
from armonik_sdk.api.records import Committed, DataRef, Outcome, Unexecuted, Wire


class ResultState(StrEnum):
    """States of a result, in ArmoniK's words."""

    CREATED = "Created"
    COMPLETED = "Completed"
    ABORTED = "Aborted"
    DELETED = "Deleted"


class RunResults(Committed):
    """An entry of RESULTS for a run: the outcomes that its head has, with the head's sequence."""

    sequence: int
    """Journal sequence it was taken from; a lower one never replaces a higher one."""
    end: int
    done: bool = False
    time: float = 0.0
    """When the stream stored the record that brought the last of these outcomes, seconds since the epoch."""
    rest: Unexecuted | None = None
    """How the elements up to `end` ended that `outcomes` does not name."""
    manifest: ObjectRef | None = None
    """When `outcomes` and `objects` are too long for an entry: the object that holds them."""

    def unexecuted(self, index: int) -> Outcome | None:
        """How an element ended that nobody has executed; None where `rest` does not say it."""
        rest = self.rest
        return rest.outcome(index) if rest is not None and rest.start <= index < self.end else None


class ResultEntry(Wire):
    """An entry of RESULTS for one result that its run does not imply."""

    most_bytes: ClassVar[int] = MAX_RESULT_BYTES

    state: ResultState
    task: str = ""
    """UID of the Task that shall produce it, if any."""
    index: int = 0
    ref: DataRef | None = None
    reason: str = ""
    """Why it was aborted, the whole chain."""
    name: str = ""
    """What a client calls it; for people."""
    manual_deletion: bool = False
    """A purge of its Session leaves it alone."""
    created: float = 0.0
    """When a client made it, by the stream's clock, in seconds since the epoch."""
    ended: float = 0.0
    """When it reached its last state, by the same clock."""


class ResultRecordKind(StrEnum):
    """Kind of a client's record of a result."""

    CREATED = "Created"
    UPLOADED = "Uploaded"
    ABORTED = "Aborted"
    DELETED = "Deleted"


class ResultRecord(Wire):
    """A client's record of one result, on the result's own subject of the journal (protocol rule 20).

    Cumulative, as those of runs are; each names the one that it follows.
    """

    most_bytes: ClassVar[int] = MAX_RESULT_BYTES

    version: Literal[1] = 1
    record_id: str
    """Random, new at each append."""
    kind: ResultRecordKind
    name: str = ""
    manual_deletion: bool = False
    ref: ObjectRef | None = None
    """Uploaded: where the bytes are; a key that was never used before."""
    reason: str = ""
    """Aborted: why."""
