"""Restarts watchers that fail: an agent without its watchers would neither drain nor cancel."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


async def supervised(name: str, watch: Callable[[], Awaitable[None]]) -> None:
    """Run a watcher until it returns; after an unexpected error it is started again, with back-off."""
    loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
    while True:
        started = loop.time()
        try:
            await watch()
        except Exception:  # an error of any kind must not end a watcher without a word
            if loop.time() - started > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            log.exception("watcher %s failed; it starts again in %g s", name, pause)
        else:
            return
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)
