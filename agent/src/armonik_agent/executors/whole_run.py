"""Executes elements in one call, for workers that take whole runs (ADR 0007).

Elements are sent ahead, in order, and come back as they end, in groups; who executes them says of each how it
ended, its own time-outs and deaths included.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio

from armonik_agent.data.elements import Element
from armonik_agent.data.shared_folder import Folder
from armonik_agent.executors.executor import Batch, BrokenCall, ElementEnd
from armonik_agent.executors.run_frames import SILENCE_SECONDS, ElementsFrame, parse_end
from armonik_agent.executors.verdict import Disposition, ExecutionResult
from armonik_agent.worker.client import Worker
from armonik_agent.worker.run_stream import RunCall
from armonik_sdk.api.errors import explain
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import RunId

INTERRUPTED = ExecutionResult(Disposition.INTERRUPTED)


class WholeRunExecutor:
    """One `ProcessRun` call for all elements, and another one only if that breaks."""

    def __init__(
        self,
        worker: Worker,
        run: RunId,
        folder: Folder,
        message: RunMessage | None = None,
        attempt: Callable[[int], int] = lambda _: 1,
        printed: int = 0,
    ) -> None:
        """Make no call yet.

        Args:
            worker: beside this agent.
            run: what the elements are of.
            folder: shared with the worker.
            message: of the run, for the names of its Session, Task and Partition.
            attempt: number of the next execution of an element.
            printed: most bytes that are kept of what an element prints.
        """
        self._attempt, self._printed = attempt, printed
        self._names: dict[str, str] = {}
        if message is not None:
            self._names = {
                "sessionName": message.session_name,
                "task": message.task_name,
                "partition": message.partition,
            }
        self._worker, self._run, self._folder = worker, run, folder
        self._call: RunCall | None = None
        self._in_flight: dict[int, Element] = {}
        self._interrupted = False
        self._failure: Exception | None = None
        """How the call broke while elements were given; `wait` reports it."""

    @property
    def busy(self) -> bool:
        """Whether the call is open."""
        return self._call is not None

    @property
    def in_flight(self) -> Sequence[int]:
        """Elements that were given and have not ended."""
        return list(self._in_flight)

    @property
    def current(self) -> Element | None:
        """None: what the worker reports next may be any of those that it has."""
        return None

    def room(self, most: int) -> int:
        """None while it has more than half of them: many go in one frame."""
        return 0 if len(self._in_flight) > most // 2 else most - len(self._in_flight)

    async def give(self, elements: Sequence[Element], held: Mapping[str, bytes]) -> None:
        """Send them, in as few frames as they fit in."""
        frames: list[ElementsFrame] = []
        for element in elements:
            if not frames or not frames[-1].takes(element):
                frames.append(ElementsFrame(element, self._printed))
            frames[-1].add(element, held, self._attempt(element.index))
            self._in_flight[element.index] = element
        if self._call is None:
            self._call = self._worker.runs.begin()
        try:
            for frame in frames:
                place = {"folder": str(self._folder.path), "session": self._run.session}
                head = {**frame.head, **place, **self._names}
                await self._call.give(head, frame.blobs)
        except grpc.aio.AioRpcError as error:
            self._failure = error
        except asyncio.CancelledError:
            if not self._interrupted:
                raise  # this very task is being cancelled

    async def wait(self) -> Batch:
        """Wait for the next frame; the call is ended once the worker has nothing more."""
        call = self._call
        assert call is not None  # it is busy
        try:
            if self._failure is not None:
                raise self._failure
            if self._in_flight:
                limit = max(element.max_duration for element in self._in_flight.values())
                return self._parse(*await call.read(limit + SILENCE_SECONDS))
            await call.close()
        except asyncio.CancelledError:
            if not self._interrupted:
                raise  # this very task is being cancelled
            first = [ElementEnd(element, INTERRUPTED, 0.0) for element in self._in_flight.values()][:1]
            self.abandon()
            return Batch(first)  # the others had not begun
        except grpc.aio.AioRpcError as error:
            text = f"{error.code().name}: {error.details() or 'no details'}"
            return self._break(text, error.code())
        except (ValueError, TimeoutError) as error:
            return self._break(explain(error) or "the worker sent nothing within its time limit")
        self.abandon()
        self._worker.answered()
        return Batch()

    def _parse(self, head: dict[str, Any], blobs: list[memoryview]) -> Batch:
        """What has ended or comes back.

        Raises:
            ValueError: the worker does not keep to what was agreed, and nothing of the frame can be used.
        """
        entries = head.get("ended")
        if not isinstance(entries, list):
            raise ValueError("the worker's frame has no list `ended`")  # noqa: TRY004 - one kind of error
        ended: list[ElementEnd] = []
        returned: list[int] = []
        try:
            for entry in entries:
                element = self._element_of(entry)
                if entry.get("skipped"):
                    returned.append(element.index)
                else:
                    ended.append(parse_end(element, entry, blobs, self._printed))
                del self._in_flight[element.index]
        except ValueError as error:
            return Batch(ended, returned, self._break(explain(error)).broken)
        return Batch(ended, returned)

    def _element_of(self, entry: object) -> Element:
        index = entry.get("index") if isinstance(entry, dict) else None
        element = self._in_flight.get(index) if isinstance(index, int) else None
        if element is None:
            raise ValueError("the worker's frame names an element that it was not given")
        return element

    def _break(self, text: str, code: grpc.StatusCode | None = None) -> Batch:
        """The call has failed: the worker is gone, or does not keep to what was agreed."""
        elements = tuple(self._in_flight.values())
        self.abandon()
        self._worker.doubt()
        unserved = code is grpc.StatusCode.UNIMPLEMENTED
        return Batch(broken=BrokenCall(text, elements, unserved=unserved, breach=code is None))

    async def recall(self, indexes: Sequence[int]) -> None:
        """Ask the worker for them."""
        if indexes:
            await self._send({"skip": list(indexes)})

    async def stop(self, indexes: Sequence[int]) -> bool:
        """Ask the worker to end those that it has."""
        if stop := [index for index in indexes if index in self._in_flight]:
            await self._send({"stop": stop})
        return False

    async def _send(self, head: dict[str, Any]) -> None:
        """Send a frame beside the task that reads; that one gets the error when the call breaks."""
        if self._call is not None:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._call.give(head, [])

    def interrupt(self) -> None:
        """Cancel the call, if there is one: the worker notices that."""
        if self._call is not None:
            self._interrupted = True
            self._call.cancel()

    def abandon(self) -> None:
        """Cancel the call, if there is one, and forget what it had."""
        if self._call is not None:
            self._call.cancel()
        self._call, self._failure = None, None
        self._in_flight = {}
