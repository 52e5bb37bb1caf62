"""A Task of a local grid: its elements, and how they ended."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from armonik_sdk.api.const import DEFAULT_OUTPUT, FailureReason
from armonik_sdk.api.kinds import TaskOptions, merge_options
from armonik_sdk.api.names import result_id
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import Refused, WaitTimeout
from armonik_sdk.client.manifest import Element
from armonik_sdk.grid.local.inline import InlineRun
from armonik_sdk.grid.local.processes import Run
from armonik_sdk.grid.protocol import ElementInfo, Ended, Order, TaskInfo, Why, phase_of

if TYPE_CHECKING:
    from armonik_sdk.grid.local.session import LocalSession

Frame = tuple[dict[str, Any], list[memoryview]]
"""Head and blobs."""
MAX_RETRIES: Final = 3
"""As an installation has it where nothing else is said."""
PRINTED_BYTES: Final = 16 * 1024
"""Kept of what an element prints, for its failure; the grid has the last lines of all elements."""
WAITING, READY, RUNNING, OVER = "Waiting", "Submitted", "Processing", "Ended"


@dataclass(slots=True, eq=False)
class Work:
    """One element that has not ended."""

    task: "LocalTask"
    index: int
    needs: tuple[str, ...]
    """Ids of the results that it is given, in order."""
    missing: int = 0
    """Of these, how many are awaited."""
    state: str = WAITING
    attempts: int = 0
    stopped: bool = False
    run: Run | InlineRun | None = None
    """What executes it."""

    @property
    def result(self) -> str:
        """Id of its output."""
        return self.task.result(self.index)


class LocalTask:
    """A Task of a session of a local grid."""

    def __init__(
        self,
        session: "LocalSession",
        name: str,
        uid: str,
        items: Sequence[Element],
        options: TaskOptions,
        function: str = "",
    ) -> None:
        self.session, self.name, self.uid, self.items, self.options = session, name, uid, items, options
        self.function = function
        self.needs: list[tuple[str, ...]] = []
        """What each element is given."""
        self.total = len(items)
        self.work: dict[int, Work] = {}
        """Elements that have not ended."""
        self.ended: list[Ended | None] = [None] * self.total
        self.order: list[int] = []
        """Indexes, as they ended."""
        self.attempts: dict[int, int] = {}
        self._created = datetime.now(UTC)
        self._changed = asyncio.Event()

    def result(self, index: int) -> str:
        """Id of an element's output."""
        return result_id(self.uid, index, DEFAULT_OUTPUT)

    def end(self, ended: Ended, attempts: int = 0) -> None:
        """An element has ended."""
        if self.ended[ended.index] is not None:
            return
        self.ended[ended.index] = ended
        self.order.append(ended.index)
        self.work.pop(ended.index, None)
        self.attempts[ended.index] = attempts
        self._changed.set()
        self._changed = asyncio.Event()

    async def outcomes(self, order: Order = "completion") -> AsyncIterator[list[Ended]]:
        """How its elements end, each once."""
        at = 0
        while at < self.total:
            batch: list[Ended] = []
            if order == "completion":
                batch = [ended for index in self.order[at : at + 1000] if (ended := self.ended[index])]
            else:
                while len(batch) < 1000 and at + len(batch) < self.total:
                    ended = self.ended[at + len(batch)]
                    if ended is None:
                        break
                    batch.append(ended)
            at += len(batch)
            if batch:
                yield batch
            else:
                await self._changed.wait()

    async def handed(self, index: int) -> Ended:
        """How the output ends that this element left to a sub-task."""
        store = self.session.store
        await store.wait(self.result(index))
        failure = store.failure(self.result(index))
        return Ended(index, failure=failure) if failure else store.ended(index, self.result(index))

    async def element(self, index: int) -> Ended:
        """How this one element ended; waits for it."""
        while (ended := self.ended[index]) is None:
            await self._changed.wait()
        return await self.handed(index) if ended.handed_over else ended

    async def read(self, ended: Sequence[Ended]) -> dict[int, bytes]:
        """The bytes of these outputs, by index."""
        return {one.index: await self.session.read(one.place) for one in ended if one.place is not None}

    async def again(self, name: str, indexes: Sequence[int]) -> "LocalTask":
        """Make a Task of these elements once more."""
        return self.session.again(self, name, indexes)

    async def element_info(self, index: int) -> ElementInfo:
        """An element's state now."""
        ended, work = self.ended[index], self.work.get(index)
        attempts = self.attempts.get(index, work.attempts if work else 0)
        if ended is None:
            running = work is not None and work.state == RUNNING
            return ElementInfo("Running" if running else "Waiting", attempts)
        result, store = self.result(index), self.session.store
        failure = ended.failure or store.failure(result)
        if failure is not None:
            return ElementInfo(phase_of(failure.reason), attempts, failure.reason)
        if ended.handed_over and result not in store:
            return ElementInfo("Waiting", attempts)
        return ElementInfo("Completed", attempts, size=self.session.size(result))

    async def info(self) -> TaskInfo:
        """Its state now."""
        failures = [ended.failure for index in self.order if (ended := self.ended[index]) and ended.failure]
        cancelled = sum(failure.reason == FailureReason.CANCELLED for failure in failures)
        states = [work.state for work in self.work.values()]
        over = not self.work
        failed = len(failures) - cancelled
        phase = "Error" if failed else "Cancelled" if cancelled else "Completed"
        return TaskInfo(
            name=self.name,
            function=self.function,
            phase=phase if over else "Processing" if RUNNING in states else "Submitted",
            total=self.total,
            pending=states.count(WAITING),
            queued=states.count(READY),
            running=states.count(RUNNING),
            succeeded=len(self.order) - len(failures),
            failed=failed,
            cancelled=cancelled,
            created=self._created,
            why="" if over else self.session.why_waiting(states),
        )

    async def why(self, index: int | None = None) -> Why:
        """Why it is not further, or this element of it."""
        states = [work.state for number, work in self.work.items() if index in (None, number)]
        said = self.session.why_waiting(states) if states else ""
        return Why(said, said)

    async def wait(self, timeout: float | None = None) -> TaskInfo:
        """Until every element has ended."""
        deadline = Deadline(timeout)
        while self.work:
            changed = self._changed
            try:
                async with asyncio.timeout(deadline.rest()):
                    await changed.wait()
            except TimeoutError as error:
                raise WaitTimeout(f"task {self.name} is not finished after {timeout} s") from error
        return await self.info()

    async def cancel(self, indexes: Iterable[int] | None = None) -> None:
        """End these elements, or all that have not ended."""
        wanted = list(self.work) if indexes is None else list(indexes)
        for index in wanted:
            if not 0 <= index < self.total:
                raise Refused(f"task {self.name} has no element {index}")
            if (work := self.work.get(index)) is not None:
                self.session.cancel_work(work)


def together(infos: Iterable[TaskInfo]) -> Why:
    """Why Tasks wait, a line each."""
    said = [f"{info.name}: {info.why}" for info in infos if info.why]
    return Why("\n".join(said), said[0] if said else "")


def frame_of(
    work: Work, given: dict[str, bytes | Path], item: Element
) -> tuple[dict[str, Any], list[memoryview]]:
    """The frame that gives an element to an executor, and its blobs."""
    task, blobs = work.task, [memoryview(_payload(item))]
    dependencies: dict[str, int | None] = {}
    for need in work.needs:
        data = given[need]
        dependencies[need] = None
        if isinstance(data, bytes):
            dependencies[need] = len(blobs)
            blobs.append(memoryview(data))
    entry: dict[str, Any] = {
        "index": work.index,
        "id": f"{task.uid}.{work.index}",
        "payload": 0,
        "outputs": {DEFAULT_OUTPUT: work.result},
        "attempt": work.attempts,
    }
    if dependencies:
        entry |= {"dependencies": dependencies, "needs": list(work.needs)}
    options = merge_options(item.options, task.options)
    head = {
        "elements": [entry],
        "folder": str(task.session.store.folder),
        "options": dict(options.options or {}),
        "limit": options.max_duration_seconds or task.session.LONGEST,
        "executions": 1 + (MAX_RETRIES if options.max_retries is None else options.max_retries),
        "session": task.session.uid,
        "sessionName": task.session.name,
        "task": task.name,
        "partition": options.partition or task.session.partition,
        "printed": PRINTED_BYTES,
    }
    if options.environment is not None:
        head["environment"] = {"sha256": options.environment.sha256, "place": options.environment.object}
    return head, blobs


def joined(frames: Sequence[Frame]) -> Frame:
    """One frame of several, which have all but the elements in common."""
    elements: list[dict[str, Any]] = []
    blobs: list[memoryview] = []
    for head, own in frames:
        for entry in head["elements"]:
            given: dict[str, int | None] = entry.get("dependencies", {})
            moved = {need: None if n is None else n + len(blobs) for need, n in given.items()}
            more = {"dependencies": moved} if moved else {}
            elements.append({**entry, "payload": entry["payload"] + len(blobs), **more})
        blobs += own
    return {**frames[0][0], "elements": elements}, blobs


def _payload(item: Element) -> bytes:
    payload = item.payload
    if isinstance(payload, bytes):
        return payload
    return payload.encode() if isinstance(payload, str) else b""
