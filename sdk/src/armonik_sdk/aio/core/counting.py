"""How far futures, maps and sessions are, as one look at them shows it."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from armonik_sdk.aio.core.session import SessionCore
from armonik_sdk.aio.display.pace import Counts
from armonik_sdk.aio.results.future import Future
from armonik_sdk.aio.results.mapping import MapCore
from armonik_sdk.grid.protocol import GridTask

UNSENT: Final = "it is being sent"
Thing = Future[Any] | MapCore | SessionCore


class Counted(Protocol):
    """Something that can be looked at. On the loop."""

    async def counts(self) -> Counts:
        """How far it is."""
        ...

    async def why(self) -> str:
        """Why it is not further, on one line. It may cost several requests."""
        ...


def counted(things: Sequence[Thing]) -> list[Counted]:
    """Each map and each session by itself, futures together."""
    futures = [thing for thing in things if isinstance(thing, Future)]
    found: list[Counted] = [Futures(futures)] if futures else []
    for thing in things:
        if isinstance(thing, SessionCore):
            found.append(OfSession(thing))
        elif isinstance(thing, MapCore):
            whole = thing.whole or bool(thing.again)
            found.append(OfMap(thing) if whole else OfPart(thing))
    return found


class Futures:
    """Futures, which know by themselves when they have ended."""

    def __init__(self, futures: Sequence[Future[Any]]) -> None:
        self._total, self._failed = len(futures), 0
        self._open = list(futures)

    async def counts(self) -> Counts:
        """How many have ended."""
        left: list[Future[Any]] = []
        for future in self._open:
            if not future.done():
                left.append(future)
            elif future.exception_or_cancelled() is not None:
                self._failed += 1
        self._open = left
        return Counts(self._total, self._total - len(left), self._failed)

    async def why(self) -> str:
        """Why the first that has not ended has not."""
        first = next((future for future in self._open if not future.done()), None)
        if first is None:
            return ""
        if not first.placed:
            return UNSENT
        return (await first.grid_task.why()).gist


class OfMap:
    """A map, by what its Task says; calls that were tried again by the Task that did."""

    def __init__(self, core: MapCore) -> None:
        self._core = core
        self._open: GridTask | None = None
        """The first Task of it that says that it waits."""

    async def counts(self) -> Counts:
        """How many of its calls have ended; never fewer than were read."""
        core, total = self._core, len(self._core)
        if core.lost:
            return Counts(total, total, total)
        if not total or not core.placed:
            return Counts(total)
        sources: dict[int, tuple[MapCore, set[int]]] = {id(core): (core, set())}
        for number, (other, at) in core.again.items():
            sources.setdefault(id(other), (other, set()))[1].add(at // other.chunksize)
            sources[id(core)][1].add(number // core.chunksize)
        ended = failed = running = queued = waiting = 0
        self._open = None
        for source, elements in sources.values():
            task = await source.task()
            info = await task.info()
            # The other elements of a Task whose failed ones were tried again have ended, and so had those.
            replaced = len(elements) if source is core else info.total - len(elements)
            lost = max(0, info.failed + info.cancelled - replaced)
            ended += (info.succeeded + lost) * core.chunksize
            failed += lost * core.chunksize
            running, queued = running + info.running, queued + info.queued
            waiting += info.pending
            self._open = self._open or (task if info.why else None)
        seen, seen_failed = core.seen
        ended = min(total, max(ended, seen))
        if ended == total:
            running = queued = waiting = 0
        return Counts(total, ended, min(ended, max(failed, seen_failed)), running, queued, waiting)

    async def why(self) -> str:
        """Why the first Task waits that did at the last look."""
        if not self._core.placed:
            return UNSENT
        return (await self._open.why()).gist if self._open is not None else ""


class OfPart:
    """A part of a map, by how its elements end: the Task counts all of them."""

    def __init__(self, core: MapCore) -> None:
        self._core = core
        self._ended = self._failed = 0
        self._following: asyncio.Task[None] | None = None

    async def counts(self) -> Counts:
        """How many have ended."""
        core, total = self._core, len(self._core)
        if core.lost:
            return Counts(total, total, total)
        if self._following is None and core.placed:
            self._following = core.session.spawn(self._follow())
        return Counts(total, min(total, self._ended), min(total, self._failed))

    async def why(self) -> str:
        """Why the Task is not further."""
        return (await (await self._core.task()).why()).gist if self._core.placed else UNSENT

    async def _follow(self) -> None:
        async for calls, failed in self._core.ends():
            self._ended += calls
            self._failed += calls if failed else 0


class OfSession:
    """A session, by its own counters."""

    def __init__(self, core: SessionCore) -> None:
        self._core = core

    async def counts(self) -> Counts:
        """How many calls of all its Tasks have ended."""
        info = await self._core.info()
        return Counts(info.total, info.ended, info.failed)

    async def why(self) -> str:
        """Of the first Task that waits."""
        return (await self._core.grid.why()).gist
