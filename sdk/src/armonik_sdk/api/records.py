"""The records of the journal and the entries of the buckets, as they stand on the wire.

A run's last record is its *head*. Records are cumulative: the head alone says everything about the run.
Unknown fields are ignored when reading, so an older agent can stand beside a newer operator.
"""

import base64
import hashlib
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from armonik_sdk.api.kinds.data import ObjectRef

RECORD_VERSION: Final = 1
"""Version of the records' schema; a part that reads a higher one must be upgraded."""
MAX_ERROR_BYTES = 4096
"""Longest error text in a record, in bytes (protocol rule 15)."""


class Wire(BaseModel):
    """Base of everything that is sent: camelCase JSON, unset fields left out."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    def encode(self) -> bytes:
        """The JSON bytes."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True).encode()


class RecordKind(StrEnum):
    """What a record says of the run."""

    SUBMITTED = "Submitted"
    DISPATCHED = "Dispatched"
    PROGRESS = "Progress"
    SPLIT = "Split"
    RELEASED = "Released"
    PAUSED = "Paused"
    CANCEL_REQUESTED = "CancelRequested"
    CANCELLED = "Cancelled"
    DONE = "Done"

    @property
    def terminal(self) -> bool:
        """No record may follow."""
        return self in (RecordKind.DONE, RecordKind.CANCELLED)

    @property
    def owned(self) -> bool:
        """An agent holds the run."""
        return self in (
            RecordKind.DISPATCHED,
            RecordKind.PROGRESS,
            RecordKind.SPLIT,
            RecordKind.CANCEL_REQUESTED,
        )


class OutcomeKind(StrEnum):
    """The terminal states of an element, in ArmoniK's words."""

    COMPLETED = "Completed"
    ERROR = "Error"
    TIMEOUT = "Timeout"
    CANCELLED = "Cancelled"


class Owner(Wire):
    """The agent process that holds a run."""

    pod: str
    """UID of the pod."""
    process: str
    """Random, new at each start of the agent."""
    name: str = ""
    """Name of the pod, for people."""

    def same_process(self, other: "Owner") -> bool:
        """Whether both are the same process of the same pod, whatever the pod is called."""
        return (self.pod, self.process) == (other.pod, other.process)


class DataRef(ObjectRef):
    """Where bytes are: in an object, or here (ADR 0005)."""

    key: str = ""
    """Key of the object; empty when the bytes are here."""
    data: str | None = None
    """The bytes themselves, in base64."""

    @model_validator(mode="before")
    @classmethod
    def _from_object(cls, value: object) -> object:
        return value.model_dump() if type(value) is ObjectRef else value

    @classmethod
    def of_bytes(cls, content: bytes) -> Self:
        """A reference that carries its bytes."""
        digest = hashlib.sha256(content).hexdigest()
        return cls(length=len(content), sha256=digest, data=base64.b64encode(content).decode())


def carried(ref: ObjectRef) -> bytes | None:
    """The bytes that a reference carries; None when they are in an object."""
    data = ref.data if isinstance(ref, DataRef) else None
    return base64.b64decode(data) if data is not None else None


class Piece(Wire):
    """The bytes of an output: inside one of the record's objects, or here."""

    object: int | None = None
    """Index into the record's `objects`; None when the bytes are here."""
    offset: int = 0
    length: int
    sha256: str
    inline: str | None = None
    """The bytes themselves in base64: small outputs (ADR 0005, 0009)."""


class Outcome(Wire):
    """How one element ended. Set once."""

    index: int
    kind: OutcomeKind
    attempts: int = 1
    """Executions, the last one included."""
    reason: str = ""
    """A FailureReason, when it did not complete."""
    message: str = ""
    """At most 4 KiB."""
    outputs: dict[str, Piece] = Field(default_factory=dict)
    """Outputs of the element by name (implied results)."""
    made: dict[str, Piece] = Field(default_factory=dict)
    """Results with an id of their own that the worker made or was handed, by result id."""
    delegated: tuple[str, ...] = ()
    """Ids of results whose production was handed to a child Task."""
    seconds: float = 0.0
    """How long the last execution took, by the agent's monotonic clock."""

    def moved(self, place: Callable[[int], int]) -> Self:
        """The same for another list of objects: `place` says where an object stands there."""

        def moved(pieces: dict[str, Piece]) -> dict[str, Piece]:
            return {
                name: piece
                if piece.object is None
                else piece.model_copy(update={"object": place(piece.object)})
                for name, piece in pieces.items()
            }

        return self.model_copy(update={"outputs": moved(self.outputs), "made": moved(self.made)})


class Attempt(Wire):
    """Executions that failed of an element that has not ended."""

    index: int
    executions: int
    message: str = ""
    not_before: float = 0.0
    """Earliest next execution, seconds since the epoch on the NATS server's clock."""


class ChildGroup(Wire):
    """Sub-tasks of one element that share partition and priority: one child Task."""

    name: str
    """`names.child_name`."""
    element: int
    group: int
    count: int
    items: str
    """Key of the object with the items, one `ManifestItem` in JSON a line."""
    partition: str = ""
    priority: int = 0
    max_retries: int = -1
    max_duration_seconds: int = 0


class Committed(Wire):
    """Outcomes and the objects that hold their bytes."""

    outcomes: tuple[Outcome, ...] = ()
    """Ended elements, ascending by index."""
    objects: tuple[str, ...] = ()
    """Keys of the objects that `outcomes` point into."""

    def ref(self, piece: Piece) -> DataRef:
        """Where the bytes of an output are."""
        if piece.object is None:
            return DataRef(length=piece.length, sha256=piece.sha256, data=piece.inline)
        key = self.objects[piece.object]
        return DataRef(key=key, offset=piece.offset, length=piece.length, sha256=piece.sha256)


class Record(Committed):
    """A record of the journal. `kind` says why it was written; all other fields are cumulative."""

    version: Literal[1] = 1
    record_id: str
    """Random, new at each append: tells a lost acknowledgement from being fenced (protocol rule 2)."""
    kind: RecordKind
    start: int
    end: int
    """The run is `[start, end)`. Fixed, but that an owner may give the tail of it away (`Split`)."""
    n: int
    """Submission number: messages with a lower one are void."""
    epoch: int = 0
    """Fencing number of the ownership; 0 before the first."""
    partition: str = ""
    task_name: str = ""
    owner: Owner | None = None
    running: int | None = None
    """The element whose execution a following loss of the process is charged to (protocol rule 5)."""
    takeovers: int = 0
    """Takeovers without a known cause; bounded."""
    not_before: float = 0.0
    """Earliest next dispatch, seconds since the epoch on the server's clock."""
    attempts: tuple[Attempt, ...] = ()
    """Failed executions of elements that have not ended."""
    cancel: str = ""
    """CancelRequested: intervals of the elements to be cancelled (`Ranges` text)."""
    children: tuple[ChildGroup, ...] = ()
    manifest: ObjectRef | None = None
    """When `outcomes` and `objects` are too large for a record: the object with the full record."""

    @property
    def ended(self) -> frozenset[int]:
        """Indexes of the elements that have ended."""
        return frozenset(outcome.index for outcome in self.outcomes)

    @property
    def remaining(self) -> tuple[int, ...]:
        """Indexes of the elements that have not ended, ascending."""
        ended = self.ended
        return tuple(index for index in range(self.start, self.end) if index not in ended)


class DesiredState(StrEnum):
    """States in CONTROL."""

    RUNNING = "Running"
    PAUSED = "Paused"
    CLOSED = "Closed"
    CANCELLED = "Cancelled"
    PURGED = "Purged"
    DELETED = "Deleted"
    """Final: nothing replaces it."""
    GONE = "Gone"
    """Of a pod: its processes have ended."""
    DRAIN = "Drain"
    """Of a pod: finish what runs, take nothing new."""

    @property
    def stops_work(self) -> bool:
        """Queued work of such a session or task must not start any more."""
        return self in (
            DesiredState.CLOSED,
            DesiredState.CANCELLED,
            DesiredState.PURGED,
            DesiredState.DELETED,
        )


_STOPPING = frozenset(
    {DesiredState.CLOSED, DesiredState.CANCELLED, DesiredState.PURGED, DesiredState.DELETED}
)


class Control(Wire):
    """An entry of CONTROL."""

    state: DesiredState
    generation: int = 0
    """`metadata.generation` it was derived from; a lower one never replaces a higher one."""
    at: float = 0.0
    """When it was written, seconds since the epoch."""


class BandsInUse(Wire):
    """An entry of CONTROL of a Partition: where its agents find work."""

    bands: tuple[int, ...] = ()
    """Bands of priority that have a consumer, beside the lowest one."""


class Pin(NamedTuple):
    """The Task that a name in `dependsOn` stood for when the Task that names it was admitted."""

    uid: str
    total: int
    """Its elements."""


class Inventory(Wire):
    """An entry of TASKS: a Task that has left traces on the data plane, or a child that was created."""

    uid: str
    name: str
    session: str
    """UID of the Session."""
    parent: str = ""
    """UID of the parent Task, of a child."""
    pins: dict[str, Pin] = Field(default_factory=dict)
    """What the names of Tasks in its `dependsOn` stand for, for good (protocol step S1)."""


class ResultState(StrEnum):
    """States of a result, in ArmoniK's words."""

    CREATED = "Created"
    COMPLETED = "Completed"
    ABORTED = "Aborted"
    DELETED = "Deleted"


class RunResults(Committed):
    """An entry of RESULTS for a run: what its head says of outcomes, under the head's sequence."""

    sequence: int
    """Journal sequence it was taken from; a lower one never replaces a higher one."""
    end: int
    done: bool = False
    time: float = 0.0
    """When the stream stored the record that brought the last of these outcomes, seconds since the epoch."""


class ResultEntry(Wire):
    """An entry of RESULTS for one result that its run does not imply."""

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
    """What a client says of a result."""

    CREATED = "Created"
    UPLOADED = "Uploaded"
    ABORTED = "Aborted"
    DELETED = "Deleted"


class ResultRecord(Wire):
    """A client's record of one result, on the result's own subject of the journal (protocol rule 20).

    Cumulative, as those of runs are; each names the one that it follows.
    """

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
