"""A session as an executor of `concurrent.futures`."""

import concurrent.futures
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

from armonik_sdk.aio.calls.options import NO_OPTIONS, CallOptions
from armonik_sdk.aio.core.session import SessionCore
from armonik_sdk.aio.results.future import Future
from armonik_sdk.functions import prepare_initializer
from armonik_sdk.functions.chunks import run_chunk

R = TypeVar("R")

WORKERS: Final = 32
"""What `max_workers` is taken to be when it is left out; calls are spread by the grid, not by this number."""
AFTER_SHUTDOWN: Final = "cannot schedule new futures after shutdown"


class HasSession(Protocol):
    """A session, or something that submits to one."""

    _core: SessionCore
    _options: CallOptions


class Executor(concurrent.futures.Executor):
    """Runs calls in a session, wherever an executor is wanted."""

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        session: HasSession,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        partition: str | None = None,
    ) -> None:
        """Submit to this session, with its options.

        Args:
            max_workers: for callers that ask how much to submit at a time; it bounds nothing.
            session: where calls run.
            initializer: runs once in each process that runs its calls.
            initargs: arguments of that.
            partition: where calls run; the session's default when left out.

        Raises:
            ValueError: max_workers is not positive.
            TypeError: the initializer cannot be called.
        """
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._max_workers = max_workers or WORKERS
        self._session = session._core
        options = getattr(session, "_options", NO_OPTIONS)
        if initializer is not None:
            options = replace(options, initializer=prepare_initializer(initializer, initargs))
        self._options = replace(options, partition=partition or options.partition)
        self._lock = threading.Lock()
        self._closed = False
        self._open: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Call a function with these arguments.

        Raises:
            RuntimeError: it is shut down.
            NotPicklable: the call cannot be sent.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError(AFTER_SHUTDOWN)
            future = self._session.submit(fn, args, kwargs, self._options)
            self._open.add(future)
        future.add_done_callback(self._ended)
        return future

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[R]:
        """The values of the calls in order.

        Args:
            fn: the function.
            iterables: its arguments.
            timeout: seconds for all of them.
            chunksize: calls that are sent as one element.

        Raises:
            ValueError: chunksize is below 1.
            TimeoutError: when it is asked for a value that is not there in time.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout)
        calls = list(zip(*iterables, strict=False))
        chunks = [calls[at : at + chunksize] for at in range(0, len(calls), chunksize)]
        found = super().map(run_chunk, itertools.repeat(fn), chunks, timeout=timeout)
        return (value for values in found for value in values)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls.

        Args:
            wait: until all that was submitted has ended.
            cancel_futures: cancel what was submitted and has not ended.
        """
        with self._lock:
            self._closed = True
            left = set(self._open)
        if cancel_futures:
            self._cancel(left)
        if wait:
            concurrent.futures.wait(left)

    def _cancel(self, futures: set[Future[Any]]) -> None:
        """The session is not its own: others may submit to it, so its calls are cancelled one by one."""
        for future in futures:
            future.cancel()

    def _ended(self, future: concurrent.futures.Future[Any]) -> None:
        with self._lock:
            self._open.discard(future)
