"""A keyed work queue: a key waits once, is never worked on twice at a time, and comes back after errors."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
MAX_BACK_OFF = 30.0


class WorkQueue(Generic[K]):
    """Calls `handle(key)` from `workers` tasks. Bounded by the number of keys: each waits at most once.

    `handle` returns the seconds after which the key shall come back, or None.
    """

    def __init__(self, handle: Callable[[K], Awaitable[float | None]], workers: int) -> None:
        self._handle = handle
        self._workers = workers
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, tuple[float, asyncio.Handle]] = {}
        self._failures: dict[K, int] = {}

    def add(self, key: K) -> None:
        """Work on the key soon."""
        if (timer := self._timers.pop(key, None)) is not None:
            timer[1].cancel()
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: K, delay: float) -> None:
        """Work on the key after `delay` seconds, or earlier if it is added meanwhile."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        if (timer := self._timers.get(key)) is not None:
            if timer[0] <= due:
                return
            timer[1].cancel()
        # The time is kept here: uvloop's handle of a delay below a millisecond does not know it.
        self._timers[key] = (due, loop.call_later(delay, self.add, key))

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._working.add(key)
            delay: float | None
            try:
                delay = await self._handle(key)
                self._failures.pop(key, None)
            except Exception as error:
                count = self._failures[key] = self._failures.get(key, 0) + 1
                delay = min(MAX_BACK_OFF, 0.25 * 2 ** min(count, 10))
                log.warning("%s: %s; again in %.1f s", key, error, delay, exc_info=count == 1)
            finally:
                self._working.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            elif delay is not None:
                self.add_after(key, delay)
