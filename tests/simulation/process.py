"""Processes of the simulated installation: what belongs to one dies with it, at any await."""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

from simulation.link import Link
from simulation.loop import VirtualLoop


class Process:
    """Everything that one program started: its tasks and its connections."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.tasks: set[asyncio.Task[Any]] = set()
        self.links: list[Link] = []
        self._running = asyncio.Event()
        self._running.set()
        self.root: asyncio.Task[Any] | None = None

    async def turn(self) -> None:
        """To be called by everything this process reaches outside of itself.

        Raises:
            CancelledError: the process is dead; what it does while it is torn down has no effect.
        """
        if not self.alive:
            raise asyncio.CancelledError
        await self._running.wait()
        if not self.alive:
            raise asyncio.CancelledError

    def freeze(self, frozen: bool) -> None:
        """Nothing it sends leaves, and nothing reaches it; it does not know."""
        if frozen:
            self._running.clear()
        else:
            self._running.set()
        for link in self.links:
            link.hold(frozen)

    async def kill(self) -> None:
        """End it as a power cut does: nothing it does from now on is seen."""
        self.alive = False
        self._running.set()
        for link in self.links:
            link.break_()
        current = asyncio.current_task()
        for _ in range(100):
            left = [task for task in self.tasks if not task.done() and task is not current]
            if not left:
                return
            for task in left:
                task.cancel()
            await asyncio.sleep(0)
        raise AssertionError(f"{self.name} does not die: {left}")


OUTSIDE = Process("outside")
CURRENT: ContextVar[Process] = ContextVar("CURRENT", default=OUTSIDE)


def install(loop: VirtualLoop) -> None:
    """Count each new task in with the process that starts it."""

    def factory(
        loop_: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop_, **options)
        process = CURRENT.get()
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
        return task

    loop.set_task_factory(factory)  # type: ignore[arg-type]


def start(name: str, program: Coroutine[Any, Any, Any]) -> Process:
    """Start a program as a process of its own."""
    process = Process(name)
    token = CURRENT.set(process)
    try:
        process.root = asyncio.get_running_loop().create_task(program)
    finally:
        CURRENT.reset(token)
    return process
