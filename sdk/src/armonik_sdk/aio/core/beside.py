"""Work beside the caller's, on one event loop, begun in any thread."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

log = logging.getLogger("armonik_sdk")
T = TypeVar("T")


class OnLoop:
    """Something that lives on an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_loop: Callable[[], bool]) -> None:
        self.loop, self.on_loop = loop, on_loop
        self._running: set[asyncio.Task[Any]] = set()
        self._once: dict[str, asyncio.Task[Any]] = {}

    async def run_async(self, made: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, from one that may be of another loop."""
        if self.on_loop():
            return await made
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(made, self.loop))

    def spawn(self, made: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run it beside. On the loop."""
        task = self.loop.create_task(made)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def once(self, key: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What this gives, made once for each key; after a failure the next one tries again. On the loop."""
        making = self._once.get(key)
        if making is None or (making.done() and (making.cancelled() or making.exception() is not None)):
            making = self._once[key] = self.spawn(make())
        made: T = await asyncio.shield(making)
        return made

    def spawn_soon(self, made: Coroutine[Any, Any, Any]) -> None:
        """The same in any thread."""
        self.soon(lambda: self.spawn(made))

    def soon(self, call: Callable[[], object]) -> None:
        """Call it there; at once when this is the loop's thread."""
        if self.on_loop():
            call()
        else:
            self.loop.call_soon_threadsafe(call)

    async def end_all(self) -> None:
        """Cancel what runs beside."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("%s: %s", type(error).__name__, error)
