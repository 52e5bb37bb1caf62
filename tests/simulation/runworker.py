"""A worker beside a simulated agent that takes a whole run in one call (ADR 0007)."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from armonik_sdk.api.runcall import METHOD, frame, unframe
from simulation.process import CURRENT, Process

CHILD = b"child"
"""Payload of sub-tasks."""
Entry = dict[str, Any]


def failure(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    """A call that failed."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "simulated")


class SimulatedChannel:
    """What the agent's real client of the worker takes for a gRPC channel; half of the workers take runs."""

    chance = random.Random(0)

    takes_runs: bool | None = None
    """Of all workers; by chance if unset."""
    begun: Callable[[Process, str, str], None] | None = None
    """Called with each execution: the process of its agent, the mode, the id of its task."""

    def __init__(self) -> None:
        by_chance = self.chance.random() < 0.5
        self._takes_runs = by_chance if self.takes_runs is None else self.takes_runs

    async def close(self) -> None:
        """Nothing is open."""

    def stream_stream(self, method: str) -> Any:
        """The one call that is made this way."""
        assert method == METHOD
        return lambda **_: RunCall(self.chance, self._takes_runs)


class RunCall:
    """One call, and the worker at its other end; it does what the elements' options ask for.

    The options are those of `simulation.worker`. A crash ends the element, or the whole call.
    """

    def __init__(self, chance: random.Random, served: bool) -> None:
        self._chance = chance
        self._given: asyncio.Queue[tuple[Entry, list[memoryview]] | None] = asyncio.Queue()
        self._said: asyncio.Queue[bytes | BaseException | object] = asyncio.Queue()
        self._left: deque[tuple[Entry, Entry, list[memoryview]]] = deque()
        self._skipped: set[int] = set()
        self._stopped: set[int] = set()
        self._news = asyncio.Event()
        self._complete = False
        self._task = asyncio.get_running_loop().create_task(self._serve(served))

    def done(self) -> bool:
        """Whether it is over."""
        return self._task.done()

    def cancel(self) -> None:
        """End it; whoever reads is cancelled."""
        if not self._task.done():
            self._task.cancel()
            self._said.put_nowait(asyncio.CancelledError())

    async def write(self, data: bytes) -> None:
        """Give a frame."""
        if self._task.done():
            raise failure(grpc.StatusCode.UNAVAILABLE)
        self._hear(unframe(data))

    async def done_writing(self) -> None:
        """Give no more."""
        self._hear(None)

    async def read(self) -> Any:
        """What the worker says."""
        said = await self._said.get()
        if isinstance(said, BaseException):
            raise said
        return said

    def _hear(self, given: tuple[Entry, list[memoryview]] | None) -> None:
        self._news.set()
        if given is None:
            self._complete = True
            return
        head, blobs = given
        self._left.extend((element, head, blobs) for element in head.get("elements", ()))
        waiting = {element["index"] for element, *_ in self._left}
        self._skipped |= waiting.intersection((*head.get("skip", ()), *head.get("stop", ())))
        self._stopped.update(head.get("stop", ()))

    async def _serve(self, served: bool) -> None:
        if not served:
            self._said.put_nowait(failure(grpc.StatusCode.UNIMPLEMENTED))
            return
        ended: list[Entry] = []
        blobs: list[bytes] = []
        while self._left or not self._complete:
            if not self._left:
                self._news.clear()
                await self._news.wait()
                continue
            element, head, given = self._left.popleft()
            entry = await self._execute(element, head, given, blobs)
            if entry is None:
                self._said.put_nowait(failure(grpc.StatusCode.UNAVAILABLE))
                return
            ended.append(_with_printed(element, head, entry, blobs))
            if not self._left or self._chance.random() < 0.3:
                self._said.put_nowait(frame({"ended": ended}, blobs))
                ended, blobs = [], []
        self._said.put_nowait(grpc.aio.EOF)

    async def _execute(
        self, element: Entry, head: Entry, given: list[memoryview], blobs: list[bytes]
    ) -> Entry | None:
        """How the element ended; None when the worker died with it."""
        index, options, limit = element["index"], head["options"], head["limit"]
        if index in self._skipped:
            self._skipped.discard(index)  # it may be given again
            return {"index": index, "skipped": True}
        mode, seconds = options.get("mode", "ok"), float(options.get("seconds", "0.05"))
        if SimulatedChannel.begun is not None:
            SimulatedChannel.begun(CURRENT.get(), mode, element["id"])
        seconds *= self._chance.uniform(0.2, 1.8)
        late = mode == "hang" or seconds > limit
        if not await self._stays(index, limit if late else seconds):
            return {"index": index, "skipped": True}
        if late:
            return {"index": index, "timeout": True, "seconds": limit}
        if mode == "crash" or (mode == "flaky" and self._chance.random() < 0.5):
            return {"index": index, "failed": "it crashed"} if self._chance.random() < 0.5 else None
        if mode == "error":
            if self._chance.random() < 0.5:
                return {"index": index, "error": "asked to fail"}
            blobs.append(f"{element['id']}|why".encode())
            return {"index": index, "error": "asked to fail", "detail": len(blobs) - 1}
        return {"index": index, "seconds": seconds} | self._outputs(element, mode, head, given, blobs)

    async def _stays(self, index: int, seconds: float) -> bool:
        """Work for so long; false when it was stopped meanwhile."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0 and index not in self._stopped:
            self._news.clear()
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                break
        return index not in self._stopped

    def _outputs(
        self, element: Entry, mode: str, head: Entry, given: list[memoryview], blobs: list[bytes]
    ) -> Entry:
        folder = Path(head["folder"])

        def read(name: str, where: int | str | None) -> bytes:
            return bytes(given[where]) if isinstance(where, int) else (folder / (where or name)).read_bytes()

        payload = read("", element["payload"])
        inputs = [payload, *(read(name, at) for name, at in element.get("dependencies", {}).items())]
        size = int(payload.removeprefix(CHILD)) if mode == "tree" else 1
        below: list[bytes] = []
        if size > 1:
            parts = (size // 2, size - 1 - size // 2)
            below = [b"%s %d" % (CHILD, part) for part in parts if part]
        elif mode == "parent" and payload != CHILD:
            below = [CHILD]
        names = list(element["outputs"])
        made = names[1:] if below else names
        said = f"{element['id']}|{self._chance.getrandbits(64):x}|{len(inputs)}".encode()
        entry: Entry = {"outputs": {name: len(blobs) + at for at, name in enumerate(made)}}
        blobs.extend(said for _ in made)
        if below:
            entry["children"] = [{"payload": len(blobs) + at} for at in range(len(below))]
            entry["children"][0]["output"] = names[0]
            blobs.extend(below)
        return entry


def _with_printed(element: Entry, head: Entry, entry: Entry, blobs: list[bytes]) -> Entry:
    """One element in three prints a line, another one more than a record takes."""
    length = {0: 40, 1: 5_000}.get(element["index"] % 3, 0)
    if not length or not head.get("printed") or entry.get("skipped"):
        return entry
    blobs.append(f"{element['id']}|".encode().ljust(length, b"."))
    return {**entry, "printed": len(blobs) - 1}
