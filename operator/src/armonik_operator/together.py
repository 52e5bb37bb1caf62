"""Requests that wait for nothing but the server, made together instead of one after the other."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 64


async def together(do: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Do it for each, at most `AT_ONCE` at a time.

    Raises:
        what the first that failed has raised; those that go on are cancelled.
    """
    bound = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> None:
        async with bound:
            await do(item)

    try:
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed
