# Generated from armonik_sdk.aio by hack/generate/sync.py; do not edit.
"""Functions that are declared for the grid, and stay functions."""

import functools
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Generic, ParamSpec, TypeVar, overload

from armonik_sdk.aio.calls.in_force import session_in_force
from armonik_sdk.aio.calls.options import NO_OPTIONS, CallOptions
from armonik_sdk.aio.results.future import Future
from armonik_sdk.sync.map_result import MapResult
from armonik_sdk.worker.functions.declared import DeclaredTask

P = ParamSpec("P")
R = TypeVar("R")


class TaskFunction(Generic[P, R]):
    """A function that can be submitted to the session in force. Called, it runs here, as it always did."""

    def __init__(self, fn: Callable[P, R], options: CallOptions = NO_OPTIONS) -> None:
        self.__armonik_function__ = fn
        self.__armonik_options__ = options
        functools.update_wrapper(self, fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it here."""
        return self.__armonik_function__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<task {self.__armonik_function__!r}>"

    def __reduce__(self) -> Any:
        return (DeclaredTask, (self.__armonik_function__,))

    def submit(self, *args: Any, **kwargs: Any) -> Future[R]:
        """Call it on the grid; see `Session.submit`.

        Raises:
            NotConnected: no session is in force.
        """
        future: Future[R] = session_in_force().submit(self, *args, **kwargs)
        return future

    def map(
        self,
        *iterables: Iterable[Any],
        shared: Mapping[str, object] | None = None,
        chunksize: int = 1,
        name: str | None = None,
    ) -> MapResult[R]:
        """Call it for each item on the grid; see `Session.map`."""
        made: MapResult[R] = session_in_force().map(
            self, *iterables, shared=shared, chunksize=chunksize, name=name
        )
        return made

    def starmap(
        self,
        calls: Iterable[tuple[Any, ...]],
        /,
        *,
        shared: Mapping[str, object] | None = None,
        chunksize: int = 1,
        name: str | None = None,
    ) -> MapResult[R]:
        """Call it for each tuple of arguments on the grid; see `Session.starmap`."""
        made: MapResult[R] = session_in_force().starmap(
            self, calls, shared=shared, chunksize=chunksize, name=name
        )
        return made

    def options(
        self,
        *,
        partition: str | None = None,
        priority: int | None = None,
        max_retries: int | None = None,
        timeout: timedelta | float | None = None,
        retry_on: tuple[type[BaseException], ...] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> "TaskFunction[P, R]":
        """The same function with other options; see `Session.options`."""
        made = CallOptions.of(
            partition=partition,
            priority=priority,
            max_retries=max_retries,
            timeout=timeout,
            retry_on=retry_on,
            options=options,
        )
        return TaskFunction(self.__armonik_function__, made.over(self.__armonik_options__))


@overload
def task(fn: Callable[P, R], /) -> TaskFunction[P, R]: ...


@overload
def task(
    *,
    partition: str | None = None,
    priority: int | None = None,
    max_retries: int | None = None,
    timeout: timedelta | float | None = None,
    retry_on: tuple[type[BaseException], ...] | None = None,
    options: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...


def task(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function for the grid, with or without options; see `Session.options` for these.

    ```python
    @ak.task(timeout=60)
    def square(x: int) -> int:
        return x * x
    ```
    """
    if fn is not None:
        return TaskFunction(fn)
    made = CallOptions.of(**options)
    return lambda declared: TaskFunction(declared, made)
