"""What the tests of both executors need: a worker that answers as it is set up to, and elements."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio

from armonik_agent.data.elements import Element
from armonik_sdk.api.kinds import TaskOptions
from armonik_sdk.api.names import RunId, result_id

RUN = RunId("ns", "session", "task", 0)
OPTIONS = TaskOptions(max_duration_seconds=10)


def element(index: int, options: TaskOptions = OPTIONS) -> Element:
    """One that has one output, `result`."""
    output = result_id("task", index, "result")
    return Element(
        index=index,
        task_id=f"task.{index}",
        payload_id=f"payload-{index}",
        inputs={},
        payload_is_result=False,
        empty_payload=False,
        dependencies=(),
        outputs={output: "result"},
        expected=(output,),
        options=options,
    )


def failure(code: grpc.StatusCode, details: str = "") -> grpc.aio.AioRpcError:
    """A call that failed."""
    empty = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, empty, empty, details)


class Worker(SimpleNamespace):
    """Counts what the executors say of it."""

    def __init__(self) -> None:
        super().__init__(answers=0, doubts=0, runs=self)
        self.calls: list[Any] = []

    def answered(self) -> None:
        self.answers += 1

    def doubt(self) -> None:
        self.doubts += 1

    def process(self, element: Element, session: str, token: str, folder: Path) -> Any:
        """A call for one element: a future that the test sets."""
        self.calls.append(asyncio.get_running_loop().create_future())
        return self.calls[-1]

    def begin(self) -> "RunCall":
        """A call for many."""
        self.calls.append(RunCall())
        return self.calls[-1]  # type: ignore[no-any-return]


class RunCall:
    """The worker's end of a `ProcessRun` call."""

    def __init__(self) -> None:
        self.given: list[tuple[dict[str, Any], list[bytes]]] = []
        self.frames: asyncio.Queue[Any] = asyncio.Queue()
        self.closed = False
        self.broken: Exception | None = None
        self.reading: asyncio.Future[Any] | None = None
        self.cancelled = False

    async def give(self, head: dict[str, Any], blobs: list[bytes]) -> None:
        """Take a frame."""
        if self.broken is not None:
            raise self.broken
        self.given.append((head, blobs))

    def ended(self, *entries: dict[str, Any], blobs: list[bytes] | None = None) -> None:
        """Have the worker send the ends of elements."""
        self.frames.put_nowait(({"ended": list(entries)}, [memoryview(b) for b in blobs or []]))

    async def read(self, seconds: float) -> Any:
        """The next frame, or how the call fails."""
        if self.cancelled:
            raise asyncio.CancelledError
        self.reading = asyncio.ensure_future(self.frames.get())
        frame = await self.reading
        if isinstance(frame, Exception):
            raise frame
        return frame

    async def close(self) -> None:
        """The end."""
        if self.broken is not None:
            raise self.broken
        self.closed = True

    def cancel(self) -> None:
        """Whoever reads is cancelled, as a call of grpc does it."""
        self.cancelled = True
        if self.reading is not None:
            self.reading.cancel()
