"""What `armonik_sdk.task` is inside a worker: there, declared functions submit sub-tasks."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, Final

from armonik_sdk.worker.functions.context import CurrentTask, current_task
from armonik_sdk.worker.functions.subtasks import TaskFuture, TaskMap

NOT_HERE: Final = "no element is executed here, so nothing can be submitted"


class DeclaredTask:
    """A declared function, in a worker."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.__armonik_function__ = fn
        functools.update_wrapper(self, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it here."""
        return self.__armonik_function__(*args, **kwargs)

    def __reduce__(self) -> Any:
        return DeclaredTask, (self.__armonik_function__,)

    def submit(self, *args: Any, **kwargs: Any) -> TaskFuture:
        """Submit a call as a sub-task."""
        return _task().submit(self.__armonik_function__, *args, **kwargs)

    def map(self, *iterables: Iterable[Any]) -> TaskMap:
        """Submit a call for each item as sub-tasks."""
        return _task().map(self.__armonik_function__, *iterables)

    def options(self, **options: Any) -> "DeclaredTask":
        """Sub-tasks have the options of the element that submits them.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(f"{sorted(options)}: sub-tasks have the options of the element that submits them")


def task(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function; options matter where the client submits it."""
    del options
    return DeclaredTask if fn is None else DeclaredTask(fn)


def _task() -> CurrentTask:
    found = current_task()
    if found is None:
        raise RuntimeError(NOT_HERE)
    return found
