"""What an executor is: it gives elements to the worker, and says how their executions ended."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from armonik_agent.data.elements import Element
from armonik_agent.data.subtask_lines import Line
from armonik_agent.executors.verdict import ExecutionResult


@dataclass(frozen=True)
class Produced:
    """What a successful execution leaves, by result id."""

    blobs: Mapping[str, bytes] = field(default_factory=dict)
    """Bytes in memory."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Names of files in the shared folder."""
    subtasks: Sequence[Line] = ()
    delegated: frozenset[str] = frozenset()
    """Ids that a sub-task is to produce."""


@dataclass(frozen=True)
class ElementEnd:
    """An execution that has ended."""

    element: Element
    result: ExecutionResult
    seconds: float
    """How long it took."""
    produced: Produced = field(default_factory=Produced)
    """Of one that has completed."""
    leftovers: Iterable[str] = ()
    """Files of the shared folder that nobody needs once the element is settled."""
    printed: bytes = b""
    """What is kept of what it printed."""


@dataclass(frozen=True)
class BrokenCall:
    """A call that failed while it had several elements: which one of them is the cause is not known."""

    text: str
    elements: tuple[Element, ...]
    """All that it had, the one that was executed first."""
    unserved: bool = False
    """The worker does not serve such calls (any more)."""
    breach: bool = False
    """The worker is there and does not keep to the protocol."""


@dataclass(frozen=True)
class Batch:
    """What an executor has to report at a time."""

    ended: Sequence[ElementEnd] = ()
    returned: Sequence[int] = ()
    """Elements that the worker gives back: it has not begun them."""
    broken: BrokenCall | None = None


class Executor(Protocol):
    """Executes elements of one run at the worker."""

    @property
    def busy(self) -> bool:
        """Whether there is something to wait for."""
        ...

    @property
    def in_flight(self) -> Sequence[int]:
        """Elements that the worker has, in order: it executes the first, and may have begun no other."""
        ...

    @property
    def current(self) -> Element | None:
        """The element that the worker executes; None when it has none, or when that is not known."""
        ...

    def room(self, most: int) -> int:
        """How many more elements to give now, if it should have `most` at a time."""
        ...

    async def give(self, elements: Sequence[Element], held: Mapping[str, bytes]) -> None:
        """Have these executed, at most as many as there is `room` for.

        Their inputs are in the shared folder, or in `held`. A call that breaks is reported by `wait`.
        """
        ...

    async def wait(self) -> Batch:
        """Wait for what the worker reports next; only while it is `busy`."""
        ...

    async def recall(self, indexes: Sequence[int]) -> None:
        """Have the worker give back those of these elements that it has not begun."""
        ...

    async def stop(self, indexes: Sequence[int]) -> bool:
        """End the executions of these elements; the others continue.

        True when one of them is executed, and `wait` reports it as interrupted; False when nothing follows
        that has to be waited for.
        """
        ...

    def interrupt(self) -> None:
        """Break off what is executed; `wait` reports it as interrupted."""
        ...

    def abandon(self) -> None:
        """Forget what is executed, if the worker notices that; else it is still to be waited for."""
        ...
