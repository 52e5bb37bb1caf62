"""Cancels tasks and waits until they have ended."""

import asyncio
from typing import Any

AGAIN_SECONDS = 1.0
"""Seconds after which a task that has not ended is cancelled again; none of them has more to clean up."""


async def stop(*tasks: asyncio.Task[Any]) -> None:
    """Cancel until all have ended, whatever they end with.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, which the NATS client uses, swallows a cancellation
    that comes together with the answer.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
