"""Slots: which run has the worker, and when another is fetched for the next free one.

A run is fetched when a slot is free, or when one is expected to be within `AHEAD_SECONDS`; one that was
fetched and cannot start within `START_SECONDS` is given back, lest it waits here while others are idle.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator

from armonik_agent.queue.admission import until_free

START_SECONDS = 2.0
"""Protocol rule 17."""
AHEAD_SECONDS = START_SECONDS
"""What is expected to start in time is fetched."""
MAX_ASIDE = 4
"""Messages whose owners are being asked while others are worked on."""


class Pace:
    """Durations of a run's elements in its slot, and when it is expected to be free."""

    def __init__(self, slots: "Slots") -> None:
        self._slots = slots
        self._left = 1
        self._ended = 0
        self._seconds = 0.0
        self._since = time.monotonic()

    def begin(self, left: int) -> None:
        """An element begins; `left` have not ended, it included."""
        self._left, self._since = left, time.monotonic()

    def end(self, seconds: float, count: int = 1) -> None:
        """It has ended; or `count` have, after `seconds` together."""
        self._left -= count
        self._ended += count
        self._seconds += seconds
        self._since = time.monotonic()
        self._slots.paced()

    def less(self, count: int) -> None:
        """`count` were given away."""
        self._left -= count
        self._slots.paced()

    @property
    def mean(self) -> float | None:
        """Seconds that an element took so far; None before the first has ended."""
        return self._seconds / self._ended if self._ended else None

    @property
    def each(self) -> float:
        """The same, or what the one that runs has taken already."""
        mean = self.mean
        return time.monotonic() - self._since if mean is None else mean

    @property
    def until_free(self) -> float:
        """Expected seconds until the run leaves its slot."""
        return until_free(self._left, self.mean, time.monotonic() - self._since)


class SlotClaim:
    """A message's claim to a slot, from its arrival until its run leaves the worker."""

    def __init__(self, slots: "Slots") -> None:
        self._slots = slots
        self.pace = Pace(slots)

    async def start(self, seconds: float, stop: asyncio.Event) -> bool:
        """Take a slot; False when none was free in time, or `stop` was set."""
        until = time.monotonic() + seconds
        while not stop.is_set():
            if self._slots.take(self):
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            await self._slots.changed(left, stop)
        return False

    def leave(self) -> None:
        """Leave the slot, or give up waiting for one; more than once is fine."""
        self._slots.forget(self)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """While an owner is asked, another message may be fetched."""
        with self._slots.aside(self):
            yield


class Slots:
    """The slots of one agent: `count` runs are executed at once."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._running: set[SlotClaim] = set()
        self._fetched: set[SlotClaim] = set()
        self._aside: set[SlotClaim] = set()
        self._news = asyncio.Event()
        self._waits_for_due = False

    @property
    def idle(self) -> bool:
        """A slot is free, and nothing was fetched for it."""
        return len(self._running) + len(self._fetched) < self._count

    @property
    def due(self) -> float:
        """Seconds after which another run should be fetched; 0 for now, infinity for not yet known."""
        if self.idle:
            return 0.0
        if self._fetched or len(self._aside) >= MAX_ASIDE:
            return math.inf
        return max(0.0, min(place.pace.until_free for place in self._running) - AHEAD_SECONDS)

    def fetched(self) -> SlotClaim:
        """The place of a message that was fetched; who gets it leaves it."""
        place = SlotClaim(self)
        self._fetched.add(place)
        return place

    def take(self, place: SlotClaim) -> bool:
        """A slot for what was fetched; False when none is free."""
        if len(self._running) >= self._count:
            return False
        self._fetched.discard(place)
        place.pace = Pace(self)
        self._running.add(place)
        self.notify()
        return True

    def forget(self, place: SlotClaim) -> None:
        """The place is not needed any more."""
        for group in (self._running, self._fetched, self._aside):
            group.discard(place)
        self.notify()

    @contextlib.contextmanager
    def aside(self, place: SlotClaim) -> Iterator[None]:
        """Do not count what was fetched, as long as there are not too many of the kind."""
        if len(self._aside) >= MAX_ASIDE:
            yield
            return
        self._fetched.discard(place)
        self._aside.add(place)
        self.notify()
        try:
            yield
        finally:
            self._aside.discard(place)
            self._fetched.add(place)

    def notify(self) -> None:
        """Something has changed."""
        self._news.set()

    def paced(self) -> None:
        """An element has ended: who waits until a run is due may have waited long enough.

        Nobody else is notified, or each element would cost the queue a question.
        """
        if self._waits_for_due and self.due <= 0:
            self.notify()

    async def until_due(self, stop: asyncio.Event) -> None:
        """Wait until another run should be fetched, as far as is known now; or `stop` is set."""
        self._waits_for_due = True
        try:
            await self.changed(self.due, stop)
        finally:
            self._waits_for_due = False

    async def changed(self, seconds: float, stop: asyncio.Event) -> None:
        """Wait until something has changed, `stop` is set, or `seconds` are over."""
        self._news.clear()
        await wait_any(self._news, stop, seconds=seconds)


async def wait_any(*events: asyncio.Event, seconds: float = math.inf) -> None:
    """Wait until one of the events is set, or `seconds` are over."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        timeout = None if math.isinf(seconds) else seconds
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
