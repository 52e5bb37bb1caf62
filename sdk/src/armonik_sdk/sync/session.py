# Generated from armonik_sdk.aio by hack/generate/sync.py; do not edit.
"""A session: calls are submitted to it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Token
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from armonik_sdk.aio.calls.in_force import SESSION
from armonik_sdk.aio.calls.options import NO_OPTIONS, CallOptions
from armonik_sdk.aio.core.session import SessionCore
from armonik_sdk.aio.core.shown import session_html
from armonik_sdk.aio.results.future import Future
from armonik_sdk.functions import by_reference
from armonik_sdk.grid.protocol import LogLine, SessionInfo, TaskInfo
from armonik_sdk.sync.executor import Executor
from armonik_sdk.sync.map_result import MapResult
from armonik_sdk.sync.portal import iterate, run
from armonik_sdk.sync.ref import Ref

R = TypeVar("R")
T = TypeVar("T")
P = ParamSpec("P")


class Submitter:
    """Submits calls to a session, all with the same options."""

    def __init__(self, core: SessionCore, options: CallOptions = NO_OPTIONS) -> None:
        self._core, self._options = (core, options)

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Call a function with these arguments, all of which are the function's.

        Futures, references and results of maps in the arguments, at any depth, are dependencies: the call
        waits for them, and gets the values.

        Raises:
            NotPicklable: function or arguments cannot be sent; names the way to what is the matter.
            PythonMismatch: bytecode would go to workers of another Python.
        """
        return self._core.submit(_plain(fn), args, kwargs, _options(fn, self._options))

    def map(
        self,
        fn: Callable[..., R],
        /,
        *iterables: Iterable[Any],
        shared: Mapping[str, object] | None = None,
        chunksize: int = 1,
        name: str | None = None,
    ) -> MapResult[R]:
        """Call a function for each item, or for each group of items as `map` does; one Task.

        Args:
            fn: the function.
            iterables: its positional arguments.
            shared: its keyword arguments that are the same for all calls, sent once.
            chunksize: calls in one element; above 1 for calls of less than a millisecond.
            name: of the Task; made up when left out.
        """
        return self.starmap(fn, zip(*iterables, strict=False), shared=shared, chunksize=chunksize, name=name)

    def starmap(
        self,
        fn: Callable[..., R],
        calls: Iterable[tuple[Any, ...]],
        /,
        *,
        shared: Mapping[str, object] | None = None,
        chunksize: int = 1,
        name: str | None = None,
    ) -> MapResult[R]:
        """Call a function for each tuple of arguments; otherwise as `map`."""
        made = self._core.map(
            _plain(fn),
            calls,
            shared=shared,
            chunksize=chunksize,
            name=name,
            options=_options(fn, self._options),
        )
        return MapResult(made)

    def executor(self, max_workers: int | None = None) -> Executor:
        """An executor of `concurrent.futures` that submits here."""
        return Executor(max_workers, session=self)


class Session(Submitter):
    """A session. Inside its `with` block it is the one in force for functions declared with `task`.

    The end of the block waits for what was submitted and closes the session, unless `on_exit` says
    otherwise; an exception cancels it.
    """

    def __init__(self, core: SessionCore) -> None:
        super().__init__(core)
        self._outer: Token[Any] | None = None

    def __repr__(self) -> str:
        return f"<Session {self.name}>"

    def _repr_html_(self) -> str:
        return session_html(self._core)

    @property
    def name(self) -> str:
        """Its name, by which other processes attach to it."""
        return self._core.name

    def __enter__(self) -> Self:
        self._outer = SESSION.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._outer is not None:
            SESSION.reset(self._outer)
        run(self._core, self._core.leave(error))

    def put(self, value: T, *, name: str = "") -> Ref[T]:
        """Keep a value, once for equal ones, so that calls can share it.

        Raises:
            NotPicklable: it cannot be sent.
        """
        return Ref(run(self._core, self._core.put(value, name)))

    def put_file(self, path: Path, *, name: str = "") -> Ref[Path]:
        """Keep a file; functions get a `Path`."""
        return Ref(run(self._core, self._core.put_file(Path(path), name)))

    def options(
        self,
        *,
        partition: str | None = None,
        priority: int | None = None,
        max_retries: int | None = None,
        timeout: timedelta | float | None = None,
        retry_on: tuple[type[BaseException], ...] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Submitter:
        """Something that submits with these options.

        Args:
            partition: where the calls run; one of the session's.
            priority: 1 to 99; higher runs first.
            max_retries: how often a call whose process or pod died is tried again.
            timeout: seconds that one execution may take.
            retry_on: exceptions of the function that are tried again; all others are final.
            options: texts for the function (`current_task().options`).
        """
        made = CallOptions.of(
            partition=partition,
            priority=priority,
            max_retries=max_retries,
            timeout=timeout,
            retry_on=retry_on,
            options=options,
        )
        return Submitter(self._core, made)

    def task(self, name: str) -> MapResult[Any]:
        """What was submitted before, also by another process.

        Raises:
            NotFound: there is no such Task.
        """
        return MapResult(run(self._core, self._core.attached(name)))

    def tasks(self) -> Iterator[TaskInfo]:
        """All Tasks of the session."""
        for infos in iterate(self._core, self._core.tasks()):
            yield from infos

    def logs(self) -> Iterator[LogLine]:
        """What its functions printed so far."""
        for lines in iterate(self._core, self._core.logs()):
            yield from lines

    def info(self) -> SessionInfo:
        """How far it is."""
        return run(self._core, self._core.info())

    def why(self) -> str:
        """Why work waits, and what can be done about it; empty when none does."""
        return run(self._core, self._core.why())

    def sent(self) -> None:
        """Until all that was submitted is part of a Task, which runs whatever becomes of this client."""
        run(self._core, self._core.sent())

    def pause(self) -> None:
        """Begin no more calls; what runs ends."""
        run(self._core, self._core.pause())

    def resume(self) -> None:
        """Resume."""
        run(self._core, self._core.resume())

    def cancel(self) -> None:
        """End all that has not ended; it cannot be resumed."""
        run(self._core, self._core.cancel())

    def close(self) -> None:
        """Take no more; what runs ends, and what waits is cancelled."""
        run(self._core, self._core.close())

    def finish(self, timeout: float | None = None) -> SessionInfo:
        """Wait for all that was submitted, and close it.

        Raises:
            WaitTimeout: the time, in seconds, is over; nothing is cancelled.
        """
        return run(self._core, self._core.finish(timeout))

    def wait(self, timeout: float | None = None) -> SessionInfo:
        """Until it is closed or cancelled, with all its work ended.

        Raises:
            WaitTimeout: the time, in seconds, is over; nothing is cancelled.
        """
        return run(self._core, self._core.wait(timeout))


def _plain(fn: Callable[..., R]) -> Callable[..., R]:
    """The function itself of one declared with `task`, unless workers find the declaration by its name."""
    declared: Callable[..., R] | None = getattr(fn, "__armonik_function__", None)
    return fn if declared is None or by_reference(fn) is not None else declared


def _options(fn: Callable[..., Any], options: CallOptions) -> CallOptions:
    """The options, and those of the declaration where these say nothing."""
    declared: CallOptions | None = getattr(fn, "__armonik_options__", None)
    return options if declared is None else options.over(declared)
