"""From blocking code to the event loop of a client, and back. Written by hand; its neighbours are not."""

import asyncio
import atexit
import concurrent.futures
import contextlib
import ctypes
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from armonik_sdk.aio.core.client import ClientCore
from armonik_sdk.aio.core.connecting import open_core as open_async
from armonik_sdk.aio.results.future import Future
from armonik_sdk.aio.results.gathering import fetch, unread_from
from armonik_sdk.aio.results.owner import ClientOfResults
from armonik_sdk.client.errors import WaitTimeout

R = TypeVar("R")
T = TypeVar("T")

EXIT_SECONDS: Final = 2.0
"""How long the end of the program waits for all clients to be closed."""


class HasClient(Protocol):
    """What calls are made on."""

    @property
    def client(self) -> ClientOfResults:
        """The client whose loop they run on."""
        ...


class Portal:
    """The thread that runs the event loop of one client."""

    def __init__(self) -> None:
        self._context: AbstractContextManager[BlockingPortal] = start_blocking_portal("asyncio")
        self._portal = self._context.__enter__()
        self._closing = threading.Lock()
        self._closed = False

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function there; Ctrl-C here cancels it."""
        running: concurrent.futures.Future[T] = self._portal.start_task_soon(function, *args)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def forget(self) -> None:
        """Leave the thread to the end of the process, which would wait for it without end otherwise."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._context))

    def close(self) -> None:
        """End the thread."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._context.__exit__(None, None, None)


_portals: dict[ClientCore, Portal] = {}
"""Of clients that are not closed."""


def open_core(
    namespace: str | None = None, kubeconfig: str | Path | None = None, context: str | None = None
) -> ClientCore:
    """A client with a thread of its own."""
    return begin(open_async, namespace, kubeconfig, context)


def begin(opening: Callable[..., Coroutine[Any, Any, ClientCore]], *args: Any) -> ClientCore:
    """Start a thread, and make a client on its loop."""
    portal = Portal()
    try:
        core = portal.call(opening, *args)
    except BaseException:
        portal.close()
        raise
    _portals[core] = portal
    return core


def end(core: ClientCore) -> None:
    """Close a client and its thread."""
    portal = _portals.pop(core, None)
    if portal is None:
        return
    core.check_process()
    try:
        core.run(core.close())
    finally:
        portal.close()


def run(on: HasClient, made: Coroutine[Any, Any, T]) -> T:
    """Wait for a coroutine on the client's loop.

    Raises:
        RuntimeError: this is the thread of that loop.
        NotConnected: the client is closed, or of the parent process.
    """
    return on.client.run(made)


def iterate(on: HasClient, made: AsyncIterator[T]) -> Iterator[T]:
    """The items of an asynchronous iterator. One that is left early is closed on the loop."""
    try:
        while True:
            try:
                item = on.client.run(_next(made))
            except StopAsyncIteration:
                return
            yield item
    finally:
        close = getattr(made, "aclose", None)
        if close is not None and not on.client.closed:
            on.client.run(close())


async def _next(made: AsyncIterator[T]) -> T:
    return await anext(made)


def value_at(things: Sequence[object], at: int, errors: Literal["raise", "return"]) -> Any:
    """The value of the future at this place, or its exception in the place of that.

    Values of the futures that follow are fetched with it, where they are there.
    """
    future = things[at]
    assert isinstance(future, Future)
    with contextlib.suppress(concurrent.futures.CancelledError):
        future.exception()  # until it has ended
    if errors == "return" and (own := future.exception_or_cancelled()) is not None:
        return own  # `SystemExit` of a function as well, which nothing here may catch
    try:
        if group := unread_from(things, at):
            run(future.session, fetch(group))
        return future.result()
    except Exception as error:
        if errors == "return":
            return error
        raise


def completed(futures: Iterable[Future[R]], timeout: float | None = None) -> Iterator[Future[R]]:
    """The futures, each when it has ended."""
    try:
        for future in concurrent.futures.as_completed(futures, timeout):
            assert isinstance(future, Future)
            yield future
    except TimeoutError as error:
        raise WaitTimeout(str(error)) from error


def _close_all() -> None:
    """Close what the program left open, without waiting for long."""
    left = list(_portals.items())
    if not left:
        return

    def close() -> None:
        for core, portal in left:
            with contextlib.suppress(Exception):  # nobody waits for it any more
                asyncio.run_coroutine_threadsafe(core.close(), core.loop).result(EXIT_SECONDS)
                portal.close()
                del _portals[core]

    closer = threading.Thread(target=close, daemon=True)
    closer.start()
    closer.join(EXIT_SECONDS)
    for portal in _portals.values():
        portal.forget()


# Before the threads of asyncio's executor end, without which processes cannot be waited for.
getattr(threading, "_register_atexit", atexit.register)(_close_all)
