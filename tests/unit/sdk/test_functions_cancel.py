"""A call that is cancelled while its Task is being made must not run on in a worker."""

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

import armonik_sdk.aio as aio
from armonik_sdk.aio.core.client import ClientCore
from armonik_sdk.aio.results.future import Future
from armonik_sdk.client.errors import NotConnected
from armonik_sdk.grid.protocol import Ended, Order, Submission


class Grid:
    """A grid that makes a Task when it is let, and notes what is cancelled."""

    namespace, name, uid, partitions, partition = "ns", "session", "uid", ("python",), "python"

    def __init__(self) -> None:
        self.asked, self.let, self.over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.cancelled: list[int] = []
        self.error: Exception | None = None
        self.total = 0

    async def open(self, *_: object, **__: object) -> "Grid":
        return self

    async def worker(self, partition: str) -> dict[str, str]:
        return {}

    async def submit(self, made: Submission) -> "Grid":
        self.total = len(made.items)
        self.asked.set()
        await self.let.wait()
        return self

    async def outcomes(self, order: Order = "completion") -> AsyncIterator[list[Ended]]:
        yield []
        await asyncio.Event().wait()

    async def cancel(self, indexes: Iterable[int] | None = None) -> None:
        self.cancelled += indexes or ()
        self.over.set()
        if self.error is not None:
            raise self.error

    async def set_state(self, state: object) -> None:
        pass

    async def close(self) -> None:
        pass


async def cancelled_while_made(grid: Any) -> None:
    async with aio.Client(ClientCore(grid)) as client:
        session = await client.session(on_exit="cancel", code=None)
        futures = [session.submit(abs, x) for x in range(3)]
        await grid.asked.wait()
        assert grid.total == 3
        assert futures[1].cancel()
        grid.let.set()
        async with asyncio.timeout(10):
            await grid.over.wait()


async def test_a_call_is_cancelled_once_its_task_is_made() -> None:
    grid = Grid()
    await cancelled_while_made(grid)
    assert grid.cancelled == [1]


async def test_a_cancellation_that_the_grid_refuses_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    grid = Grid()
    grid.error = NotConnected("the apiserver does not answer")
    await cancelled_while_made(grid)
    assert "the apiserver does not answer" in caplog.text


async def test_a_callback_ends_no_loop(caplog: pytest.LogCaptureFixture) -> None:
    grid: Any = Grid()
    async with aio.Client(ClientCore(grid)) as client:
        session = await client.session(on_exit="cancel", code=None)
        future = Future[int](session._core, "sys.exit")
        future.add_done_callback(lambda ended: ended.result())
        future.fail(SystemExit(3))
        with pytest.raises(SystemExit):
            await future
    assert "a callback of <Future sys.exit" in caplog.text


async def test_the_user_and_the_session_may_cancel_a_future_in_the_same_moment() -> None:
    overtaken, errors = threading.Event(), list[BaseException]()

    class Overtaken(Future[int]):
        def set_running_or_notify_cancel(self) -> bool:
            alone = self._condition._is_owned()  # type: ignore[attr-defined]  # of the standard library
            if threading.current_thread() is user and not alone:
                begun.set()
                overtaken.wait()
            return super().set_running_or_notify_cancel()

    def cancel() -> None:
        try:
            future.cancel()
        except RuntimeError as error:
            errors.append(error)
        finally:
            begun.set()

    grid: Any = Grid()
    async with aio.Client(ClientCore(grid)) as client:
        session = await client.session(on_exit="cancel", code=None)
        future, begun = Overtaken(session._core, "abs"), threading.Event()
        user = threading.Thread(target=cancel)
        user.start()
        begun.wait()
        future.fail(concurrent.futures.CancelledError("the session is closed"))
        overtaken.set()
        user.join()
    assert (future.cancelled(), errors) == (True, [])
