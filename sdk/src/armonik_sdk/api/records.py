"""The records of runs in the journal, and the entries of CONTROL and TASKS, as they are on the wire.

A run's last record is its *head*. Records are cumulative: the head alone says everything about the run.
Unknown fields are ignored when reading, so an older agent works with a newer operator.
"""

import base64
import hashlib
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from armonik_sdk.api.bounds import (
    MAX_CONTROL_BYTES,
    MAX_ELEMENTS,
    MAX_INVENTORY_BYTES,
    MAX_LABEL,
    MAX_MESSAGE_BYTES,
    MAX_RUN_ELEMENTS,
)
from armonik_sdk.api.bounds import MAX_ERROR_BYTES as MAX_ERROR_BYTES
from armonik_sdk.api.fields import Base64, Count, Index, Moment, Name, Number, ResultName, Token
from armonik_sdk.api.kinds.data import ObjectRef
from armonik_sdk.api.ranges import Ranges

RECORD_VERSION: Final = 1
"""Version of the records' schema; a part that reads a higher one must be upgraded."""


class Wire(BaseModel):
    """Base of all messages, records and entries: camelCase JSON, unset fields left out."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    most_bytes: ClassVar[int] = MAX_MESSAGE_BYTES
    """Longest encoding that is sent. Whoever sends it checks it."""

    def encode(self) -> bytes:
        """The JSON bytes."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True).encode()


class RecordKind(StrEnum):
    """Kind of a record: what happened to the run."""

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

    pod: Token
    """UID of the pod."""
    process: Annotated[str, Field(max_length=64)]
    """Random, new at each start of the agent."""
    name: Name = ""
    """Name of the pod, for people."""

    def same_process(self, other: "Owner") -> bool:
        """Whether both are the same process of the same pod, whatever the pod is called."""
        return (self.pod, self.process) == (other.pod, other.process)


class DataRef(ObjectRef):
    """Where bytes are: in an object, or here (ADR 0005)."""

    key: str = ""
    """Key of the object; empty when the bytes are here."""
    data: Base64 | None = None
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

    object: Annotated[int, Field(ge=0)] | None = None
    """Index into the record's `objects`; None when the bytes are here."""
    offset: Annotated[int, Field(ge=0)] = 0
    length: Annotated[int, Field(ge=0)]
    sha256: str
    inline: Base64 | None = None
    """The bytes themselves in base64: small outputs (ADR 0005, 0009)."""


class Outcome(Wire):
    """How one element ended. Set once."""

    index: Index
    kind: OutcomeKind
    attempts: Count = 1
    """Executions, the last one included."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """A FailureReason, when it did not complete."""
    message: str = ""
    """At most 4 KiB."""
    outputs: dict[Annotated[str, Field(max_length=MAX_LABEL)], Piece] = Field(default_factory=dict)
    """Outputs of the element by name (implied results)."""
    made: dict[ResultName, Piece] = Field(default_factory=dict)
    """Results with an id of their own that the worker made or was handed, by result id."""
    delegated: tuple[ResultName, ...] = ()
    """Ids of results whose production was handed to a child Task."""
    error: Piece | None = None
    """What an element that failed says beside `message`, readable as its output `error`; no output of it."""
    printed: Piece | None = None
    """What the last execution printed, its beginning and its end; no output of the element (ADR 0029)."""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """How long the last execution took, by the agent's monotonic clock."""

    def moved(self, place: Callable[[int], int]) -> Self:
        """The same for another list of objects: `place` gives the position of an object in it."""

        def moved(piece: Piece) -> Piece:
            return piece if piece.object is None else piece.model_copy(update={"object": place(piece.object)})

        fields: dict[str, object] = {
            "outputs": {name: moved(piece) for name, piece in self.outputs.items()},
            "made": {name: moved(piece) for name, piece in self.made.items()},
        }
        if self.error is not None:
            fields["error"] = moved(self.error)
        if self.printed is not None:
            fields["printed"] = moved(self.printed)
        return self.model_copy(update=fields)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All that its record or its objects hold of it."""
        beside = (piece for piece in (self.error, self.printed) if piece is not None)
        return (*self.outputs.values(), *self.made.values(), *beside)


class Unexecuted(Wire):
    """How all elements of a run ended that have no outcome of their own: nobody has executed them.

    So a million elements that end for one reason take one record.
    """

    start: Index
    """The run's first element."""
    kind: OutcomeKind
    reason: Annotated[str, Field(max_length=64)] = ""
    message: str = ""

    def outcome(self, index: int) -> Outcome:
        """How one of them ended."""
        return Outcome(index=index, kind=self.kind, attempts=0, reason=self.reason, message=self.message)


class Attempt(Wire):
    """Executions that failed, or were broken off, of an element that has not ended."""

    index: Index
    executions: Count
    """That failed."""
    broken_off: Count = 0
    """That were broken off without a fault of their own, with a pod that had to end; bounded as well."""
    message: str = ""
    not_before: Moment = 0.0
    """Earliest next execution, seconds since the epoch on the NATS server's clock."""


class Lost(Wire):
    """Executions were broken off, or their outputs lost, and nobody has been charged (protocol rule 5)."""

    why: str
    pod: Token = ""
    """UID of the owner's pod: CONTROL may say more of its end."""
    store: bool = False
    """The object store did not take their outputs: it is asked before they are executed again."""


class ChildGroup(Wire):
    """Sub-tasks of one element that share partition and priority: one child Task."""

    name: Token
    """`names.child_name`."""
    element: Index
    group: Count
    count: Annotated[int, Field(ge=1, le=MAX_ELEMENTS)]
    items: str
    """Key of the object with the items, one `ManifestItem` in JSON a line."""
    partition: str = ""
    priority: int = 0
    max_retries: int = -1
    max_duration_seconds: int = 0


_NO_OBJECT: Final = "nothing/named"
"""Key of an object that never exists, for data whose object a record does not name."""


class Committed(Wire):
    """Outcomes and the objects that hold their bytes."""

    outcomes: tuple[Outcome, ...] = ()
    """Ended elements, ascending by index."""
    objects: tuple[str, ...] = ()
    """Keys of the objects that `outcomes` point into."""

    def ref(self, piece: Piece) -> DataRef:
        """Where the bytes of an output are."""
        if piece.object is None or piece.inline is not None:
            return DataRef(length=piece.length, sha256=piece.sha256, data=piece.inline)
        if piece.object >= len(self.objects):
            return DataRef(key=_NO_OBJECT)
        key = self.objects[piece.object]
        return DataRef(key=key, offset=piece.offset, length=piece.length, sha256=piece.sha256)


class Record(Committed):
    """A record of the journal. `kind` says why it was written; all other fields are cumulative."""

    version: Literal[1] = 1
    record_id: Annotated[str, Field(max_length=64)]
    """Random, new at each append: separates a lost acknowledgement from being fenced (protocol rule 2)."""
    kind: RecordKind
    start: Index
    end: Annotated[int, Field(gt=0, le=MAX_ELEMENTS)]
    """The run is `[start, end)`. Fixed, but that an owner may give the tail of it away (`Split`)."""
    n: Number
    """Submission number: messages with a lower one are void."""
    epoch: Number = 0
    """Fencing number of the ownership; 0 before the first."""
    partition: Token = ""
    task_name: Name = ""
    owner: Owner | None = None
    running: Index | None = None
    """The element whose execution a following loss of the process is charged to (protocol rule 5)."""
    takeovers: Count = 0
    """Takeovers and losses without a known cause; bounded."""
    lost: Lost | None = None
    """Of Released: what the next owner has to account for; `running` names the element, if it is known."""
    not_before: Moment = 0.0
    """Earliest next dispatch, seconds since the epoch on the server's clock."""
    attempts: tuple[Attempt, ...] = ()
    """Failed executions of elements that have not ended."""
    rest: Unexecuted | None = None
    """Of Done: how those ended that `outcomes` does not name."""
    cancel: str = ""
    """CancelRequested: intervals of the elements to be cancelled (`Ranges` text)."""
    children: tuple[ChildGroup, ...] = ()
    manifest: ObjectRef | None = None
    """When `outcomes` and `objects` are too large for a record: the object with the full record."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        """Whoever reads it goes through its elements, and its owner may write anything."""
        if not self.start < self.end:
            raise ValueError("end: a run ends behind its first element")
        whole = self.kind is RecordKind.CANCELLED or self.rest is not None
        if self.end - self.start > MAX_RUN_ELEMENTS and not whole:
            raise ValueError(f"end: a run has at most {MAX_RUN_ELEMENTS} elements")
        if self.rest is not None and (self.kind is not RecordKind.DONE or self.rest.start != self.start):
            raise ValueError("rest: only a record that ends a run can say how all of it ended")
        Ranges.parse(self.cancel)
        return self

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


class Control(Wire):
    """An entry of CONTROL."""

    most_bytes: ClassVar[int] = MAX_CONTROL_BYTES

    state: DesiredState
    generation: int = 0
    """`metadata.generation` it was derived from; a lower one never replaces a higher one."""
    at: float = 0.0
    """When it was written, seconds since the epoch."""
    reason: str = ""
    """Of a pod that is Gone: what the kubelet says of its eviction; empty when it ended otherwise."""


class BandsInUse(Wire):
    """An entry of CONTROL of a Partition: the priority bands that have work."""

    most_bytes: ClassVar[int] = MAX_CONTROL_BYTES

    bands: tuple[int, ...] = ()
    """Bands of priority that have a consumer, beside the lowest one."""


class Pin(NamedTuple):
    """The Task that a name in `dependsOn` meant when the Task that names it was admitted."""

    uid: str
    total: int
    """Its elements."""


class Inventory(Wire):
    """An entry of TASKS: a Task that has left traces on the data plane, or a child that was created."""

    most_bytes: ClassVar[int] = MAX_INVENTORY_BYTES

    uid: str
    name: str
    session: str
    """UID of the Session."""
    parent: str = ""
    """UID of the parent Task, of a child."""
    origin: str = ""
    """Run, element and group whose commit submitted it, of a child."""
    pins: dict[str, Pin] = Field(default_factory=dict)
    """The Tasks that the names in its `dependsOn` mean; never changed (protocol rule 9)."""
