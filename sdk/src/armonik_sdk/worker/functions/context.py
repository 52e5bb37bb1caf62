"""What a function may ask about the element that it is executed for."""

import contextvars
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from armonik_sdk.worker.element import Element
from armonik_sdk.worker.functions.subtasks import FunctionSubTasks, TaskFuture, TaskMap

_current: contextvars.ContextVar["CurrentTask | None"] = contextvars.ContextVar("current_task", default=None)


def current_task() -> "CurrentTask | None":
    """The element that is executed; None outside a worker, and in threads that the function starts."""
    return _current.get()


class CurrentTask:
    """The element that is executed, and its sub-tasks, which exist once it has succeeded, otherwise never."""

    def __init__(self, element: Element, subtasks: FunctionSubTasks) -> None:
        belongs_to = element.belongs_to
        self.session: Final = belongs_to.session or element.session
        """Name of the Session."""
        self.task: Final = belongs_to.task or element.task_id.partition(".")[0]
        """Name of the Task."""
        self.index: Final = element.index
        self.attempt: Final = belongs_to.attempt
        """Number of this execution, from 1."""
        self.partition: Final = belongs_to.partition
        self.options: Final[Mapping[str, str]] = element.options
        """The Task's own options."""
        self._until = time.monotonic() + belongs_to.seconds if belongs_to.seconds else None
        self._subtasks = subtasks
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @property
    def seconds_left(self) -> float | None:
        """Until this execution reaches its limit; None when it has none."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    @property
    def scratch(self) -> Path:
        """A folder of this execution's own; it is removed when the execution has ended."""
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="armonik-", ignore_cleanup_errors=True)
        return Path(self._scratch.name)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> TaskFuture:
        """Submit a call as a sub-task; futures of other sub-tasks may be arguments, at any depth.

        Raises:
            NotPicklable: the function or an argument cannot be sent.
            ValueError: there are too many sub-tasks.
        """
        return self._subtasks.submit(fn, args, kwargs)

    def map(self, fn: Callable[..., Any], /, *iterables: Iterable[Any]) -> TaskMap:
        """Submit a call for each item, or tuple of items, up to the shortest; raises as `submit`."""
        return self._subtasks.map(fn, zip(*iterables, strict=False))

    def put(self, value: object) -> TaskFuture:
        """Send a value once, for several sub-tasks.

        Raises:
            NotPicklable: it cannot be sent.
        """
        return self._subtasks.put(value)

    def begin(self) -> contextvars.Token["CurrentTask | None"]:
        """Let `current_task` give it."""
        return _current.set(self)

    def end(self, token: contextvars.Token["CurrentTask | None"]) -> None:
        """The execution has ended: remove its folder."""
        _current.reset(token)
        if self._scratch is not None:
            self._scratch.cleanup()
