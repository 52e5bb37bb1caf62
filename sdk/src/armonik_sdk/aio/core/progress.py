"""Shows how far work is, beside what the caller does. On the loop, but for the first view and the last."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from armonik_sdk.aio.core.counting import Thing, counted
from armonik_sdk.aio.core.session import SessionCore
from armonik_sdk.aio.display.pace import Counts, Pace, View, summed
from armonik_sdk.aio.display.screens import Screen, screen_for
from armonik_sdk.aio.results.future import Future
from armonik_sdk.aio.results.mapping import MapCore
from armonik_sdk.client.errors import ClientError

if TYPE_CHECKING:
    from armonik_sdk.aio.results.owner import ClientOfResults

log = logging.getLogger("armonik_sdk")

LOOK_SECONDS: Final = 0.5
"""Between two looks; one asks the apiserver for each map."""
MOST_SECONDS: Final = 16.0
"""Between two looks while the grid does not answer."""
WHY_SECONDS: Final = 4.0
"""Between two questions why nothing moves."""
LAST_SECONDS: Final = 5.0
"""What the last look may take."""
MOST_LABELS: Final = 3


class HasSessionCore(Protocol):
    """A session of either twin."""

    _core: SessionCore


class ProgressCore:
    """Looks at things from `begin` to `close`, for both twins."""

    def __init__(self, things: Sequence[object], label: str | None, screen: Screen | None = None) -> None:
        """See `Progress`."""
        cores = [_core(thing) for thing in things]
        if not cores:
            raise ValueError("progress: name a future, the result of a map, or a session")
        self._things = counted(cores)
        self._owner = cores[0] if isinstance(cores[0], SessionCore) else cores[0].session
        if any(_client(core) is not self.client for core in cores):
            raise ValueError("progress: all that is shown together is of one client")
        self._label = _label(cores) if label is None else label
        self._screen = screen
        self._pace = Pace()
        self._view = View(self._label, Counts(sum(len(c) if isinstance(c, MapCore) else 1 for c in cores)))
        self._asked = 0.0
        self._watching: asyncio.Task[None] | None = None

    @property
    def client(self) -> "ClientOfResults":
        """The client of what is shown."""
        return self._owner.client

    def begin(self) -> None:
        """Show the first view, and look from now on. In the caller's thread."""
        if self._screen is None:
            self._screen = screen_for(sys.stderr)
        self._screen.show(self._view)
        self._owner.soon(self._start)

    async def stop(self) -> None:
        """Look no more, but once. On the loop."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.look()

    def close(self) -> None:
        """Show the last view. In the caller's thread."""
        if self._screen is not None:
            self._screen.close(self._view)

    async def look(self) -> bool:
        """See how far it is; whether the grid answered."""
        now = asyncio.get_running_loop().time()
        try:
            counts = summed([await thing.counts() for thing in self._things])
            self._pace.add(now, counts)
            why = await self._why(now)
        except ClientError as error:
            log.debug("progress of %s: %s", self._label, error)
            self._view = View(self._label, self._view.counts, why=f"the grid does not answer: {error}")
            return False
        self._view = View(self._label, counts, self._pace.rate, why)
        return True

    def _start(self) -> None:
        self._watching = self._owner.spawn(self._watch())

    async def _watch(self) -> None:
        wait = LOOK_SECONDS
        while self._screen is not None:
            await asyncio.sleep(wait)
            wait = LOOK_SECONDS if await self.look() else min(2 * wait, MOST_SECONDS)
            # A terminal that takes no more output must not hold the loop.
            await asyncio.to_thread(self._screen.show, self._view)

    async def _why(self, now: float) -> str:
        """Why nothing moves; empty while something does."""
        if not self._pace.still(now):
            self._asked = 0.0
            return ""
        if self._asked and now - self._asked < WHY_SECONDS:
            return self._view.why
        self._asked = now
        for thing in self._things:
            if why := await thing.why():
                return why
        return ""


def _core(thing: object) -> Thing:
    core: Any = getattr(thing, "_core", thing)
    if not isinstance(core, Future | MapCore | SessionCore):
        raise TypeError(f"progress: of futures, results of maps and sessions, not of {type(thing).__name__}")
    return core


def _client(core: Thing) -> "ClientOfResults":
    return core.client if isinstance(core, SessionCore) else core.session.client


def _label(cores: Sequence[Thing]) -> str:
    names = list(dict.fromkeys(c.name if isinstance(c, SessionCore) else c.function for c in cores))
    more = f" and {len(names) - MOST_LABELS} more" if len(names) > MOST_LABELS else ""
    return ", ".join(names[:MOST_LABELS]) + more
