"""The status of a Task: a summary of what its journal says."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from armonik_sdk.api.const import (
    MAX_ELEMENTS,
    MAX_FAILURES,
    MAX_INTERVALS,
    MAX_MESSAGE,
    MAX_OUTPUTS,
    MAX_PARTITION_NAME,
    MAX_RESULT_INLINE_BYTES,
)
from armonik_sdk.api.kinds.base import BASE64_PATTERN, ApiModel, MicroTime, OutputName, ResultId, Sha256, Uid
from armonik_sdk.api.kinds.elements import ElementCounts
from armonik_sdk.api.kinds.options import TaskOptions
from armonik_sdk.api.kinds.schema import cel, map_list, rules
from armonik_sdk.api.kinds.status import Status
from armonik_sdk.api.ranges import Ranges


def _intervals(text: str) -> str:
    Ranges.parse(text)
    return text


_Intervals = Annotated[
    str,
    Field(max_length=MAX_INTERVALS, pattern="^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$"),
    AfterValidator(_intervals),
]
_Name = Annotated[str, Field(max_length=253)]
_Index = Annotated[int, Field(ge=0, le=MAX_ELEMENTS - 1)]
_MAX_RESULT_BASE64 = (MAX_RESULT_INLINE_BYTES + 2) // 3 * 4

_FINISHED = "{0}.conditions.exists(c, c.type == 'Finished' && c.status == 'True')"


class Failure(ApiModel):
    """One element that ended without success."""

    index: _Index
    """Index of the element."""
    reason: Annotated[str, Field(min_length=1, max_length=64)]
    """Why, in one word for programs."""
    message: Annotated[str, Field(max_length=MAX_MESSAGE)] = ""
    """Why, in the worker's or the system's words."""
    attempt: Annotated[int, Field(ge=0)] = 0
    """Which execution it was, counted from 1; 0 when it never ran."""


class TaskTimes(ApiModel):
    """When a single element reached its steps; stream timestamps, one clock."""

    created: MicroTime | None = None
    """The Task was created."""
    submitted: MicroTime | None = None
    """It entered the queue."""
    dispatched: MicroTime | None = None
    """An agent took it, the last time."""
    started: MicroTime | None = None
    """The worker got it, the last time."""
    ended: MicroTime | None = None
    """Its outcome was committed."""


class TaskResult(ApiModel):
    """One output of a single element."""

    name: OutputName
    """Name of the output."""
    id: ResultId
    """Id of the result; the object store's key is found through it."""
    size: Annotated[int, Field(ge=0)] | None = None
    """Size in bytes; unset while it is not written."""
    sha256: Sha256 | None = None
    """SHA-256 of the data in lower-case hexadecimal."""
    inline: Annotated[str, Field(max_length=MAX_RESULT_INLINE_BYTES)] | None = None
    """The data itself, if it is UTF-8 text of at most 4 KiB."""
    data: Annotated[str, Field(max_length=_MAX_RESULT_BASE64, pattern=BASE64_PATTERN)] | None = None
    """The data itself in base64, if it is at most 4 KiB and not text."""


class TaskParent(ApiModel):
    """The work that submitted this task."""

    uid: Uid
    """UID of the parent Task."""
    name: _Name | None = None
    """Name of the parent Task."""
    run: _Index | None = None
    """First index of the run whose commit created this task."""
    index: _Index | None = None
    """Element that submitted it."""


class TaskStatus(Status):
    """What the operator observed; written by it alone, and never taken back."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(oldSelf.journalEpoch) || (has(self.journalEpoch)"
                " && self.journalEpoch >= oldSelf.journalEpoch)",
                "journalEpoch cannot go back",
                field_path=".journalEpoch",
            ),
            cel(
                "!has(oldSelf.journalSequence) || (has(self.journalSequence)"
                " && (self.journalSequence >= oldSelf.journalSequence"
                " || (has(self.journalEpoch) && (!has(oldSelf.journalEpoch)"
                " || self.journalEpoch > oldSelf.journalEpoch))))",
                "journalSequence cannot go back within a journalEpoch",
                field_path=".journalSequence",
            ),
            cel(
                f"!has(oldSelf.conditions) || !{_FINISHED.format('oldSelf')}"
                f" || (has(self.conditions) && {_FINISHED.format('self')})",
                "a finished task stays finished",
                field_path=".conditions",
            ),
            cel(
                "!has(oldSelf.sessionUid) || (has(self.sessionUid) && self.sessionUid == oldSelf.sessionUid)",
                "sessionUid is pinned at admission",
                field_path=".sessionUid",
            ),
        )
    )

    phase: Annotated[str, Field(max_length=32)] = ""
    """Summary in ArmoniK's words: Creating, Pending, Submitted, Dispatched, Processing, Completed, Error,
    Timeout, Cancelled, Paused, Cancelling."""
    partition: Annotated[str, Field(max_length=MAX_PARTITION_NAME)] = ""
    """Partition that runs the task."""
    session_uid: Annotated[str, Field(max_length=64)] = ""
    """UID of the session that admitted the task."""
    options: TaskOptions | None = None
    """Options in force: item over task over session over service configuration."""
    parent: TaskParent | None = None
    """The work that submitted this task, if a worker did."""
    journal_epoch: Annotated[int, Field(ge=0)] = 0
    """Life of the journal; raised when the stream was lost and made again."""
    journal_sequence: Annotated[int, Field(ge=0)] = 0
    """Last journal record that this status knows of."""
    elements: ElementCounts | None = None
    """Elements by state."""
    progress: Annotated[str, Field(max_length=32)] = ""
    """Succeeded elements of all elements, such as 498/1000."""
    succeeded_indexes: _Intervals = ""
    """Elements that succeeded, such as 0-497,500."""
    failed_indexes: _Intervals = ""
    """Elements that ended with an error."""
    timed_out_indexes: _Intervals = ""
    """Elements that took longer than allowed."""
    cancelled_indexes: _Intervals = ""
    """Elements that were cancelled."""
    failures: list[Failure] = Field(
        default_factory=list, max_length=MAX_FAILURES, json_schema_extra=map_list("index")
    )
    """The first failures in words, at most 10."""
    detail_ref: Annotated[str, Field(max_length=1024)] = ""
    """Object that holds the indexes when they are too long for the status."""
    worker: _Name = ""
    """Pod that ran the element last; tasks of one element only."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """Executions so far; tasks of one element only."""
    times: TaskTimes | None = None
    """When the element reached its steps; tasks of one element only."""
    results: list[TaskResult] = Field(
        default_factory=list, max_length=MAX_OUTPUTS, json_schema_extra=map_list("name")
    )
    """Outputs; tasks of one element only."""
