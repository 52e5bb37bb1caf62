"""Executes elements in this process, one at a time: a debugger sees what they call.

Each has a thread of its own, and not the caller's: callers wait for futures in many ways, some of them of the
standard library, and could execute nothing meanwhile. A function that runs cannot be ended from outside, so
time limits are not kept, and the result of one that is cancelled is dropped when it ends.
"""

import asyncio
import contextlib
import importlib
import site
import sys
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from armonik_sdk.api.runcall import unframe
from armonik_sdk.functions import BadEnvironment
from armonik_sdk.grid.local.processes import Printed
from armonik_sdk.worker.element import Abort, Element, Environment, Function, environment_of, read_elements
from armonik_sdk.worker.executor.process import run_element
from armonik_sdk.worker.functions import run
from armonik_sdk.worker.functions.environments import unpacked

Frame = tuple[dict[str, Any], list[memoryview]]


class Inline:
    """Executes elements as `Processes` does, without any process."""

    def __init__(self, folder: Path) -> None:
        self.printed = Printed()
        """Nothing: functions print where this process prints."""
        self._environments = folder / "environments"
        self._importing = threading.Lock()
        self._added: dict[str, list[str]] = {}
        """What each archive added to `sys.path`, by its SHA-256."""

    def run(self, head: dict[str, Any], blobs: list[memoryview]) -> "InlineRun":
        """Execute the elements of a frame, one after the other."""
        folder = Path(head["folder"])
        environment = environment_of(head, blobs, folder)

        def function(element: Element) -> Any:
            if environment is not None:
                self._import_from(environment)
            return run(element)

        return InlineRun(function, {**head, "environment": None}, blobs)

    async def close(self) -> None:
        """Import from none of the archives any more; what runs is left to its end."""
        for places in self._added.values():
            for place in places:
                with contextlib.suppress(ValueError):  # the program took it out itself
                    sys.path.remove(place)
        self._added.clear()

    def _import_from(self, environment: Environment) -> None:
        """Let this process import from an archive, after all that it has itself."""
        with self._importing:
            if environment.sha256 in self._added:
                return
            before = list(sys.path)
            try:
                site.addsitedir(str(unpacked(environment, self._environments)))
            except (BadEnvironment, OSError) as error:
                raise Abort(f"{type(error).__name__}: {error}") from None
            importlib.invalidate_caches()
            self._added[environment.sha256] = [place for place in sys.path if place not in before]


class InlineRun:
    """Elements that are executed one after the other."""

    def __init__(self, function: Function, head: dict[str, Any], blobs: list[memoryview]) -> None:
        self._function, self._folder = function, Path(head["folder"])
        self._elements = list(read_elements(head, blobs))
        self._stopped: set[int] = set()
        self._current: tuple[int, asyncio.Future[Frame]] | None = None

    def stop(self, index: int) -> None:
        """End this one: before it begins, or without waiting for its end."""
        self._stopped.add(index)
        if self._current is not None and self._current[0] == index and not self._current[1].done():
            self._current[1].set_result(_skipped(index))

    async def ended(self) -> AsyncGenerator[Frame]:
        """How each of them ended, with the blobs that this refers to."""
        for element, outputs in self._elements:
            if element.index in self._stopped:
                head, blobs = _skipped(element.index)
            else:
                head, blobs = await self._execute(element, outputs)
            yield head["ended"][0], blobs

    async def _execute(self, element: Element, outputs: dict[str, str]) -> Frame:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Frame] = loop.create_future()

        def settle(reply: bytes) -> None:
            if not ended.done():
                ended.set_result(unframe(reply))

        def work() -> None:
            reply = run_element(self._function, element, outputs, self._folder)
            with contextlib.suppress(RuntimeError):  # the grid was closed meanwhile, and its loop with it
                loop.call_soon_threadsafe(settle, reply)

        self._current = element.index, ended
        # Not of a pool: the end of the program would wait for a function that does not end.
        threading.Thread(target=work, name=f"element {element.task_id}", daemon=True).start()
        return await ended


def _skipped(index: int) -> Frame:
    return {"ended": [{"index": index, "skipped": True}]}, []
