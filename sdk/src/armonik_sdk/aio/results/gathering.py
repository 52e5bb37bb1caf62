"""Waiting for futures in coroutines."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal, TypeVar

from armonik_sdk.aio.results.future import Future
from armonik_sdk.client.deadline import Deadline

R = TypeVar("R")


async def value_of(future: Future[Any], errors: Literal["raise", "return"]) -> Any:
    """Its value, or its exception in the place of that."""
    try:
        return await future
    except asyncio.CancelledError:
        if errors == "return" and future.cancelled():
            return future.exception_or_cancelled()
        raise
    except Exception as error:
        if errors == "return":
            return error
        raise


async def completed(futures: Iterable[Future[R]], timeout: float | None = None) -> AsyncIterator[Future[R]]:
    """The futures, each when it has ended."""
    loop, ended = asyncio.get_running_loop(), asyncio.Queue[Future[R]]()
    waiting = set(futures)
    deadline = Deadline(timeout)
    for future in waiting:
        future.add_done_callback(
            lambda done: loop.call_soon_threadsafe(ended.put_nowait, done)  # type: ignore[arg-type]
        )
    for left in range(len(waiting), 0, -1):
        try:
            async with asyncio.timeout(deadline.rest()):
                future = await ended.get()
        except TimeoutError:
            deadline.left(0, f"{left} of {len(waiting)} futures have not ended")
            raise
        yield future
