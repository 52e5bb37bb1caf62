"""Messages of the data plane that are not stored: queue messages, the probe of an owner, events of agents."""

from typing import Annotated, ClassVar

from pydantic import Field

from armonik_sdk.api.bounds import MAX_EVENT_BYTES
from armonik_sdk.api.bounds import MAX_MESSAGE_BYTES as MAX_MESSAGE_BYTES
from armonik_sdk.api.const import MAX_DEPENDENCIES
from armonik_sdk.api.fields import ResultName
from armonik_sdk.api.kinds.data import Dependency, ObjectRef
from armonik_sdk.api.kinds.options import TaskOptions
from armonik_sdk.api.kinds.partition import WorkerInfo
from armonik_sdk.api.kinds.task import Item
from armonik_sdk.api.records import DataRef, Wire


class ElementSpec(Wire):
    """Settings of one element of a run; what it leaves out is in the message."""

    payload: DataRef | None = None
    payload_id: str = ""
    """Set when the payload is a result; otherwise the agent names it."""
    dependencies: tuple[str, ...] | None = None
    """Result ids beside those of the message."""
    outputs: tuple[str, ...] | None = None
    output_ids: tuple[str, ...] | None = None
    """Results with an id of their own that this element must produce (sub-tasks)."""
    options: TaskOptions | None = None
    """Merged."""


class RunMessage(Wire):
    """One submission of a run: ids and everything the agent needs, for it cannot see Kubernetes."""

    version: int = 1
    namespace: str
    session: str
    """UID."""
    session_name: str = ""
    task: str
    """UID."""
    task_name: str = ""
    partition: str
    start: int
    end: int
    n: int
    single: bool = False
    """The Task has one element: small outputs ride inline in the commit."""
    options: TaskOptions = Field(default_factory=TaskOptions)
    """Merged: task over session over service configuration."""
    outputs: tuple[str, ...] = ()
    payload: DataRef | None = None
    """Input of every element that has none of its own; None means empty."""
    payload_id: str = ""
    dependencies: tuple[str, ...] = ()
    """Result ids that every element gets."""
    elements: dict[int, ElementSpec] = Field(default_factory=dict)
    locators: dict[str, DataRef] = Field(default_factory=dict)
    """Where the dependencies' bytes lie, by result id."""
    spill: ObjectRef | None = None
    """When the message would be too long: the object with the whole RunMessage."""


class ManifestItem(Item):
    """A line of an items object: an Item, with ids of the results it must produce if they are not implied.

    It is in no manifest, so it may depend on as much as a whole Task: sub-tasks add up what others made.
    """

    depends_on: Annotated[list[Dependency], Field(max_length=MAX_DEPENDENCIES)] | None = None
    output_ids: list[ResultName] | None = None


class Ask(Wire):
    """Question to an owner: do you hold this run at this epoch?"""

    most_bytes: ClassVar[int] = MAX_EVENT_BYTES

    journal: str
    """Journal subject of the run."""
    epoch: int


class Answer(Wire):
    """Answer to `Ask`."""

    most_bytes: ClassVar[int] = MAX_EVENT_BYTES

    holds: bool
    process: str
    """The answering process; another one than the owner's means that the owner's process is gone."""


class PodEvent(Wire):
    """`worker-down`, `worker-silent`, `worker-about` or `drained`: an agent's report about its own pod."""

    most_bytes: ClassVar[int] = MAX_EVENT_BYTES

    pod: str
    """UID."""
    name: str = ""
    reason: str = ""
    worker: WorkerInfo | None = None
    """Of `worker-about`."""
