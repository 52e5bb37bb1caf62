"""What failures say beside their reason: the exception of a dependency, the last lines of an element."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any, Final

from armonik_sdk.aio.errors import DependencyFailed
from armonik_sdk.aio.results.future import Future
from armonik_sdk.aio.results.mapping import MapCore
from armonik_sdk.client.errors import ClientError
from armonik_sdk.grid.protocol import Failure, GridSession

log = logging.getLogger("armonik_sdk")

CAUSE_SECONDS: Final = 10.0
"""How long to wait for the news of what failed: it is on its way, since the grid knows it."""

LINES: Final = 20
"""Of what an element printed that an exception repeats, as the worker does for those that functions raise."""


async def last_lines(grid: GridSession, failure: Failure) -> str:
    """The last lines that a failed element printed; empty where nothing is kept of it, or cannot be read."""
    if failure.printed is None:
        return ""
    try:
        text = (await grid.read(failure.printed)).decode(errors="replace")
    except ClientError as error:  # the failure itself is what counts
        log.debug("what the element printed is not shown: %s", error)
        return ""
    return "\n".join(line.rstrip() for line in text.split("\n")[-LINES - 1 :]).strip("\n")


async def add_cause(error: DependencyFailed, needs: Iterable[object]) -> None:
    """Name the exception of the first dependency that failed, if one of these did."""
    things = [thing for thing in needs if isinstance(thing, Future | MapCore)]
    looks = [asyncio.ensure_future(_failure(thing)) for thing in things]
    try:
        for done in asyncio.as_completed(looks, timeout=CAUSE_SECONDS):
            with contextlib.suppress(TimeoutError):
                if (cause := await done) is not None:
                    error.__cause__ = cause
                    error.add_note(f"caused by {type(cause).__name__}: {cause}")
                    return
    finally:
        for look in looks:
            look.cancel()


async def _failure(thing: Future[Any] | MapCore) -> BaseException | None:
    if isinstance(thing, Future):
        await thing.over()
        return thing.exception_or_cancelled()
    async for batch in thing.failures():
        return batch[0][1]
    return None
