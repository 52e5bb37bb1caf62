"""Sharing the event loop: requests made together, and long loops that let others have their turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 64
TURN = 2_000
"""Items that are looked at before others get a turn: a loop over few lines takes 10 ms for so many."""


class Turns:
    """Lets others run after each `TURN` steps of nested loops."""

    def __init__(self) -> None:
        self._steps = 0

    async def step(self) -> None:
        """A step was taken. What is looped over may be another one afterwards."""
        self._steps += 1
        if self._steps % TURN == 0:
            await asyncio.sleep(0)


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """The items as they are now; others run after each `TURN` of them, and may change what they came from."""
    turns = Turns()
    for item in list(items):
        yield item
        await turns.step()


def in_portions(steps: Iterator[object]) -> None:
    """Take `TURN` steps now, and the rest when others have had their turn, for callers that cannot wait.

    Steps are taken in their order. What they change may have been changed by others in between.
    """
    if sum(1 for _ in islice(steps, TURN)) == TURN:
        asyncio.get_running_loop().call_soon(in_portions, steps)


async def gather_bounded(do: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Do it for each, at most `AT_ONCE` at a time.

    Raises:
        what the first that failed has raised; the unfinished ones are cancelled.
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
