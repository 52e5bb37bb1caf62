"""A keyed work queue: a key waits once, is never worked on twice at a time, and comes back after errors.

It is fair between owners (namespaces): they take turns, and each has a bounded number of handlers at a time.
So a handler that hangs, or a flood of keys, slows down nobody but its owner.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from armonik_sdk.backoff import doubled

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
BACK_OFF, MAX_BACK_OFF = 0.5, 30.0
TOGETHER = 64
"""Handlers at a time, of all owners together, above which an owner gets no more than `AT_LEAST`."""
AT_LEAST = 4
"""Handlers at a time that each owner gets, however many others have."""


class WorkQueue(Generic[K]):
    """Calls `handle(key)`, at most `most` times at once for an owner. Bounded by the number of keys.

    `handle` returns the seconds after which the key shall come back, or None. `owner` says whose a key is.
    """

    def __init__(
        self,
        handle: Callable[[K], Awaitable[float | None]],
        most: int,
        owner: Callable[[K], Hashable] = lambda _: None,
    ) -> None:
        self._handle = handle
        self._most = most
        self._owner = owner
        self._ready: dict[Hashable, deque[K]] = {}
        """Keys by owner; the owner whose turn it is comes first."""
        self._waiting: set[K] = set()
        self._working: set[K] = set()
        self._busy: Counter[Hashable] = Counter()
        self._total = 0
        """Of all owners."""
        self._again: set[K] = set()
        self._timers: dict[K, tuple[float, asyncio.Handle]] = {}
        self._failures: dict[K, int] = {}
        self._group: asyncio.TaskGroup | None = None
        """Where handlers run; None while nothing is worked on."""

    def add(self, key: K) -> None:
        """Work on the key soon."""
        if (timer := self._timers.pop(key, None)) is not None:
            timer[1].cancel()
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            owner = self._owner(key)
            self._ready.setdefault(owner, deque()).append(key)
            if self._group is not None and self._busy[owner] < self._most_now():
                self._group.create_task(self._work(self._take(owner)))

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
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                try:
                    while (key := self._next()) is not None:
                        group.create_task(self._work(key))
                    await asyncio.Event().wait()
                finally:
                    self._group = None
        finally:
            left, self._working = self._working, set()  # tasks that were cancelled before they began
            self._busy.clear()
            self._total = 0
            for key in left:
                self.add(key)

    def _most_now(self) -> int:
        """Handlers that an owner may have now."""
        return self._most if self._total < TOGETHER else min(self._most, AT_LEAST)

    def _next(self) -> K | None:
        """The next key of the first owner that may have another handler, whose next turn is the last then."""
        most = self._most_now()
        for owner in self._ready:
            if self._busy[owner] < most:
                return self._take(owner)
        return None

    def _take(self, owner: Hashable) -> K:
        """The next key of an owner, to be worked on."""
        keys = self._ready.pop(owner)
        key = keys.popleft()
        if keys:
            self._ready[owner] = keys
        self._waiting.discard(key)
        self._working.add(key)
        self._busy[owner] += 1
        self._total += 1
        return key

    async def _work(self, key: K) -> None:
        """Work on a key, then on what waits: a task for each would cost more. Others run in between."""
        following: K | None = key
        while following is not None:
            await self._work_on(following)
            if (following := self._next()) is not None:
                await asyncio.sleep(0)

    async def _work_on(self, key: K) -> None:
        delay: float | None
        try:
            delay = await self._handle(key)
            self._failures.pop(key, None)
        except Exception as error:
            count = self._failures[key] = self._failures.get(key, 0) + 1
            delay = doubled(BACK_OFF, MAX_BACK_OFF, count)
            log.warning("%s: %s; again in %.1f s", key, error, delay, exc_info=count == 1)
        finally:
            self._working.discard(key)
            self._rest(self._owner(key))
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif delay is not None:
            self.add_after(key, delay)

    def _rest(self, owner: Hashable) -> None:
        self._total -= 1
        self._busy[owner] -= 1
        if not self._busy[owner]:
            del self._busy[owner]
