"""Waiting for futures in coroutines, and reading the values of many in few requests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from armonik_sdk.aio.results.future import Future
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.grid.protocol import READ_BYTES, READ_COUNT, GridTask

log = logging.getLogger("armonik_sdk")
R = TypeVar("R")


async def value_at(things: Sequence[object], at: int, errors: Literal["raise", "return"]) -> Any:
    """The value of the future at this place, or its exception in the place of that.

    Values of the futures that follow are fetched with it, where they are there.
    """
    future = things[at]
    assert isinstance(future, Future)
    await future.over()
    if errors == "return" and (own := future.exception_or_cancelled()) is not None:
        return own  # `SystemExit` of a function as well, which nothing here may catch
    try:
        if group := unread_from(things, at):
            await future.session.run_async(fetch(group))
        return await future
    except Exception as error:
        if errors == "return":
            return error
        raise


def unread_from(things: Sequence[object], at: int) -> list[Future[Any]]:
    """The futures from here on that are fetched together; none where this one has not to be fetched."""
    first, found, size = things[at], list[Future[Any]](), 0
    if not isinstance(first, Future) or first.unread is None or first.alone:
        return found
    for thing in things[at : at + READ_COUNT]:
        if not isinstance(thing, Future) or thing.alone or thing.session is not first.session:
            continue
        if ended := thing.unread:
            size += ended.size
            if found and size > READ_BYTES:
                break
            found.append(thing)
    return found


async def fetch(futures: Sequence[Future[Any]]) -> None:
    """Read the values of futures, those of one Task in few requests. On the loop.

    Nothing is raised: who asks for a value that could not be fetched meets the reason.
    """
    by_task: dict[GridTask, dict[int, Future[Any]]] = {}
    for future in futures:
        by_task.setdefault(future.grid_task, {})[future.index] = future
    await asyncio.gather(*(_fetch(task, of_task) for task, of_task in by_task.items()))


async def _fetch(task: GridTask, futures: Mapping[int, Future[Any]]) -> None:
    wanted = [ended for future in futures.values() if (ended := future.unread)]
    try:
        data = await task.read(wanted)
    except Exception as error:  # noqa: BLE001 - see `fetch`
        log.debug("values of task %s are read one by one: %s", task.name, error)
        for future in futures.values():
            future.alone = True
        return
    for index, read in data.items():
        futures[index].fetched(read)


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
