"""What the client of functions asks of a grid. Bytes in, bytes out: nothing here knows Python objects."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from armonik_sdk.api.const import FailureReason
from armonik_sdk.api.kinds import Dependency, PartitionSpec, SessionState, TaskOptions
from armonik_sdk.client.manifest import Element
from armonik_sdk.client.results.base import Content
from armonik_sdk.grid import html

Order = Literal["completion", "index"]
"""As they end, or by index."""
READ_BYTES: Final = 8 * 1024 * 1024
"""Values that are read together, but for a single larger one."""
READ_COUNT: Final = 1000
Place = Any
"""Where the bytes of a result are: the bytes themselves, or what `GridSession.read` takes. Opaque."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no result."""

    reason: str
    """A `FailureReason`, or `Deleted`, `Damaged`."""
    message: str = ""
    attempts: int = 0
    """Executions, the last one included; 0 when it never ran or when it is not known."""
    error: Place | None = None
    """The envelope of the exception, where the worker sent one."""
    printed: Place | None = None
    """What its last execution printed, where that was kept."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one element ended."""

    index: int
    place: Place | None = None
    """Where its output is, if it succeeded."""
    failure: Failure | None = None
    size: int = 0
    """Bytes of the output."""
    handed_over: bool = False
    """A sub-task makes its output: ask `GridTask.handed` for it."""


def parts(outcomes: Iterable[Ended]) -> Iterable[list[Ended]]:
    """The same in the same order, in parts that are read together."""
    part: list[Ended] = []
    size = 0
    for ended in outcomes:
        if part and (size + ended.size > READ_BYTES or len(part) >= READ_COUNT):
            yield part
            part, size = [], 0
        part.append(ended)
        size += ended.size
    if part:
        yield part


@dataclass(frozen=True, slots=True)
class Submission:
    """A Task to be made."""

    name: str
    items: Sequence[Element]
    depends_on: Sequence[Dependency] = ()
    options: TaskOptions | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SessionInfo:
    """A session, as `Client.sessions` and `Session.wait` report it."""

    name: str
    phase: str
    partitions: Sequence[str]
    total: int
    """Elements of all its tasks."""
    ended: int
    failed: int
    """Ended with an error, or because they took too long."""


@dataclass(frozen=True)
class TaskInfo:
    """A task, as `Session.tasks` and `MapResult.wait` report it."""

    name: str
    function: str
    """What it was submitted for; empty for a task of another kind."""
    phase: str
    total: int
    pending: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    created: datetime | None = None
    why: str = ""
    """Why it waits, if it does."""


@dataclass(frozen=True)
class Why:
    """Why something is not further."""

    text: str = ""
    """In full, what to do about it included; empty where there is nothing to say."""
    gist: str = ""
    """The reason on one line, to follow another word; empty where nothing holds it back."""


@dataclass(frozen=True)
class ElementInfo:
    """One element, as `Future.info` reports it."""

    phase: str
    """Waiting, Running, Completed, Error, Timeout or Cancelled.

    Where the output was handed over it is Waiting until that is there, or never will be.
    A cluster says Running of an element only where nothing else of its task waits.
    """
    attempts: int = 0
    reason: str = ""
    size: int | None = None
    """Bytes of its result, if they are known."""


def phase_of(reason: str) -> str:
    """The phase of an element that ended for this reason."""
    match reason:
        case FailureReason.CANCELLED:
            return "Cancelled"
        case FailureReason.MAX_DURATION_EXCEEDED:
            return "Timeout"
        case _:
            return "Error"


@dataclass(frozen=True)
class PartitionInfo:
    """A partition, as `Client.partitions` reports it."""

    name: str
    ready: bool
    pods: int
    why: str = ""
    """Why it is not ready."""

    def _repr_html_(self) -> str:
        rows = [
            ("ready", "yes" if self.ready else "no"),
            ("pods", str(self.pods)),
            ("why", html.text(self.why)),
        ]
        return html.facts(f"Partition {self.name}", rows)


@dataclass(frozen=True)
class LogLine:
    """A line that a function printed."""

    task: str
    index: int
    text: str
    pod: str = ""
    time: datetime | None = None


class GridTask(Protocol):
    """A Task of a session."""

    name: str
    uid: str
    total: int

    def outcomes(self, order: Order = "completion") -> AsyncIterator[list[Ended]]:
        """How its elements end, each once; ends when all have."""
        ...

    async def handed(self, index: int) -> Ended:
        """How the output ends that this element left to a sub-task."""
        ...

    async def element(self, index: int) -> Ended:
        """How this one element ended; waits for it."""
        ...

    async def read(self, ended: Sequence[Ended]) -> dict[int, bytes]:
        """The bytes of these outputs, by index."""
        ...

    async def again(self, name: str, indexes: Sequence[int]) -> "GridTask":
        """Make a Task of these elements once more."""
        ...

    async def info(self) -> TaskInfo:
        """Its state now."""
        ...

    async def element_info(self, index: int) -> ElementInfo:
        """An element's state now."""
        ...

    async def why(self, index: int | None = None) -> Why:
        """Why it is not further, or this element of it; empty when all has ended."""
        ...

    async def wait(self, timeout: float | None = None) -> TaskInfo:
        """Until every element has ended."""
        ...

    async def cancel(self, indexes: Iterable[int] | None = None) -> None:
        """End these elements, or all that have not ended."""
        ...


class GridSession(Protocol):
    """A session of a grid."""

    name: str
    uid: str

    @property
    def partitions(self) -> Sequence[str]:
        """Where its Tasks may run."""
        ...

    @property
    def partition(self) -> str:
        """Where Tasks run that name no partition."""
        ...

    async def submit(self, made: Submission) -> GridTask:
        """Make a Task."""
        ...

    async def task(self, name: str) -> GridTask:
        """The Task of this name."""
        ...

    def tasks(self) -> AsyncIterator[TaskInfo]:
        """All Tasks."""
        ...

    async def put(self, content: Content, name: str) -> tuple[str, int]:
        """Keep bytes as a result; its id and its size."""
        ...

    async def put_environment(self, archive: bytes | Path, sha256: str) -> str:
        """Keep an archive that workers import from; what `options.environment` names it by."""
        ...

    async def get(self, result: str, timeout: float | None = None) -> bytes:
        """The bytes of a result; waits for them."""
        ...

    async def download(self, result: str, path: Path, timeout: float | None = None) -> None:
        """Write the bytes of a result into a file."""
        ...

    async def delete(self, result: str) -> None:
        """Remove the bytes of a result."""
        ...

    async def read(self, place: Place) -> bytes:
        """The bytes at a place."""
        ...

    async def set_state(self, state: SessionState) -> None:
        """Pause, resume, close or cancel it."""
        ...

    async def info(self) -> SessionInfo:
        """Its state now."""
        ...

    async def why(self) -> Why:
        """Why work waits; empty when none does."""
        ...

    async def wait(self, timeout: float | None = None) -> SessionInfo:
        """Until it is finished: closed or cancelled, with all work ended."""
        ...

    async def idle(self, timeout: float | None = None) -> SessionInfo:
        """Until all work that was submitted, and what it submitted, has ended."""
        ...

    def logs(
        self, task: str | None = None, *, index: int | None = None, follow: bool = False
    ) -> AsyncIterator[LogLine]:
        """What its functions printed: all, those of one Task, or of one element of it."""
        ...


class Grid(Protocol):
    """What a `Client` is connected to."""

    namespace: str

    async def open(
        self,
        name: str | None,
        *,
        partitions: Sequence[str],
        defaults: TaskOptions | None,
        ttl_seconds: int | None,
        attach: bool,
    ) -> GridSession:
        """Make a session; attach to the one of this name if there is one and `attach` allows it."""
        ...

    def sessions(self) -> AsyncIterator[SessionInfo]:
        """All sessions."""
        ...

    def partitions(self) -> AsyncIterator[PartitionInfo]:
        """All partitions."""
        ...

    async def apply_partition(self, name: str, spec: PartitionSpec) -> PartitionInfo:
        """Make or change a partition."""
        ...

    async def worker(self, partition: str) -> Mapping[str, str]:
        """What the workers of a partition say of themselves; empty when they have not said anything."""
        ...

    async def close(self) -> None:
        """Give everything back."""
        ...
