"""A session of a local grid: Tasks, what they wait for, and what they submit."""

import asyncio
import dataclasses
import hashlib
import secrets
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from armonik_sdk.api.const import DEFAULT_OUTPUT, FailureReason
from armonik_sdk.api.kinds import Dependency, SessionState, TaskOptions, merge_options
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import AlreadyExists, NotFound, Refused, ResultDeleted, WaitTimeout
from armonik_sdk.client.manifest import Element
from armonik_sdk.client.results.base import Content, pieces
from armonik_sdk.grid.local.processes import of_tasks
from armonik_sdk.grid.local.scheduler import Scheduler
from armonik_sdk.grid.local.store import Store
from armonik_sdk.grid.local.task import READY, RUNNING, WAITING, LocalTask, Work, together
from armonik_sdk.grid.protocol import Ended, Failure, LogLine, Place, SessionInfo, Submission, TaskInfo, Why

FOLLOW_SECONDS: Final = 0.2
"""Between two looks for new lines."""


class LocalSession:
    """A session of a local grid."""

    LONGEST: ClassVar[float] = 1e9
    """Seconds that an element may take where nothing else is said."""

    def __init__(
        self,
        scheduler: Scheduler,
        store: Store,
        name: str,
        partitions: Sequence[str],
        defaults: TaskOptions | None,
    ) -> None:
        self.name, self.uid, self.partitions = name, str(uuid.uuid4()), tuple(partitions)
        self.store, self.state = store, SessionState.RUNNING
        self._scheduler = scheduler
        self._defaults = defaults
        self._tasks: dict[str, LocalTask] = {}
        self._waiters: dict[str, list[Work]] = {}
        """Elements that wait for a result, by its id."""
        self._heirs: dict[str, str] = {}
        """Outputs that were handed over, by the output of the sub-task that makes them."""
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def partition(self) -> str:
        """Where Tasks run that name no partition."""
        return (self._defaults.partition if self._defaults else None) or self.partitions[0]

    @property
    def open_work(self) -> int:
        """Elements that have not ended."""
        return sum(len(task.work) for task in self._tasks.values())

    async def submit(self, made: Submission) -> LocalTask:
        """Make a Task.

        Raises:
            Refused: the session is closed, or it breaks a rule.
            AlreadyExists: another one has this name.
        """
        if self.state not in (SessionState.RUNNING, SessionState.PAUSED):
            raise Refused(f"session {self.name} is {self.state}: it takes no more tasks")
        options = merge_options(made.options, self._defaults)
        if options.partition and options.partition not in self.partitions:
            raise Refused(f"spec.options.partition: {options.partition} is none of the session's partitions")
        function = made.options.application.service if made.options and made.options.application else ""
        return self._make(made.name, made.items, made.depends_on, options, function or "")

    async def task(self, name: str) -> LocalTask:
        """The Task of this name.

        Raises:
            NotFound: there is none.
        """
        if name not in self._tasks:
            raise NotFound(f"session {self.name} has no task {name}")
        return self._tasks[name]

    async def tasks(self) -> AsyncIterator[TaskInfo]:
        """All Tasks."""
        for task in list(self._tasks.values()):
            yield await task.info()

    async def put(self, content: Content, name: str) -> tuple[str, int]:
        """Keep bytes as a result; its id and its size."""
        result = secrets.token_hex(16)
        size = self.store.move(result, await self._written(content))
        return result, size

    async def _written(self, content: Content) -> Path:
        """A new file of the folder."""
        part = self.store.folder / f"{secrets.token_hex(16)}.part"
        with part.open("wb") as file:
            async for data in pieces(content):
                await asyncio.to_thread(file.write, data)
        return part

    async def put_environment(self, archive: bytes | Path, sha256: str) -> str:
        """Keep an archive that executors import from; the name of its file."""
        name = f"environment-{sha256}"
        (await self._written(archive)).replace(self.store.folder / name)
        return name

    async def get(self, result: str, timeout: float | None = None) -> bytes:
        """The bytes of a result; waits for them."""
        await self.store.wait(result, timeout)
        return await self.read(result)

    async def download(self, result: str, path: Path, timeout: float | None = None) -> None:
        """Write the bytes of a result into a file."""
        await asyncio.to_thread(path.write_bytes, await self.get(result, timeout))

    async def delete(self, result: str) -> None:
        """Remove the bytes of a result."""
        self.store.delete(result)

    async def read(self, place: Place) -> bytes:
        """The bytes of a result that is there: a place is its id."""
        if isinstance(place, bytes):
            return place
        found = self.store.place(place)
        return found if isinstance(found, bytes) else await asyncio.to_thread(found.read_bytes)

    def size(self, result: str) -> int | None:
        """Bytes of a result; None when there is none."""
        if result not in self.store or self.store.failure(result):
            return None
        try:
            found = self.store.place(result)
        except ResultDeleted:
            return None
        return len(found) if isinstance(found, bytes) else found.stat().st_size

    async def set_state(self, state: SessionState) -> None:
        """Pause, resume, close or cancel it."""
        self.state = state
        if state in (SessionState.CLOSED, SessionState.CANCELLED):
            for task in list(self._tasks.values()):
                for work in list(task.work.values()):
                    if state is SessionState.CANCELLED or work.state != RUNNING:
                        self.cancel_work(work)
        self._scheduler.wake()
        self._look_idle()

    async def info(self) -> SessionInfo:
        """Its state now."""
        infos = [await task.info() for task in self._tasks.values()]
        return SessionInfo(
            name=self.name,
            phase=str(self.state),
            partitions=self.partitions,
            total=sum(info.total for info in infos),
            ended=sum(info.succeeded + info.failed + info.cancelled for info in infos),
            failed=sum(info.failed for info in infos),
        )

    async def why(self) -> Why:
        """Why work waits, Task by Task."""
        return together([await task.info() for task in self._tasks.values()])

    async def wait(self, timeout: float | None = None) -> SessionInfo:
        """Until it is closed or cancelled, with all work ended."""
        deadline = Deadline(timeout)
        while self.state in (SessionState.RUNNING, SessionState.PAUSED) or self.open_work:
            deadline.left(FOLLOW_SECONDS, f"session {self.name} is not finished")
            await asyncio.sleep(FOLLOW_SECONDS)
        return await self.info()

    async def idle(self, timeout: float | None = None) -> SessionInfo:
        """Until all work that was submitted, and what it submitted, has ended."""
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError as error:
            raise WaitTimeout(f"session {self.name} still works after {timeout} s") from error
        return await self.info()

    async def logs(
        self, task: str | None = None, *, index: int | None = None, follow: bool = False
    ) -> AsyncIterator[LogLine]:
        """What its functions printed; the last lines of them."""
        said = 0
        while True:
            tasks = {one.uid: one.name for one in self._tasks.values() if task in (None, one.name)}
            lines = self._scheduler.processes.printed.of(of_tasks(tasks))
            for line in (line for line in lines[said:] if index in (None, line.index)):
                yield LogLine(task=tasks[line.task], index=line.index, text=line.text)
            said = len(lines)
            if not follow or self._idle.is_set():
                return
            await asyncio.sleep(FOLLOW_SECONDS)

    def again(self, of: LocalTask, name: str, indexes: Sequence[int]) -> LocalTask:
        """Make a Task of elements of another one."""
        items = [
            dataclasses.replace(
                of.items[index], depends_on=[Dependency(result=need) for need in of.needs[index]]
            )
            for index in indexes
        ]
        return self._make(name, items, (), of.options, of.function)

    def why_waiting(self, states: Sequence[str]) -> str:
        """Why elements in these states do not run."""
        if self.state is SessionState.PAUSED:
            return f"session {self.name} is paused"
        if READY in states:
            return f"all {self._scheduler.workers} workers are busy"
        return "they wait for results of others" if WAITING in states else ""

    # What happens to elements ---------------------------------------------------------------------------

    def cancel_work(self, work: Work) -> None:
        """End an element by request."""
        work.stopped = True
        if work.run is not None:
            work.run.stop(work.index)
        elif work.state != RUNNING:
            self.fail(work, Failure(FailureReason.CANCELLED, "it was cancelled"))

    def fail(self, work: Work, failure: Failure) -> None:
        """An element ended without its output."""
        self.store.fail(work.result, failure)
        self._over(work, Ended(work.index, failure=failure))

    def succeed(self, work: Work, entry: dict[str, Any], blobs: list[memoryview]) -> None:
        """An element ended well: keep its output, make its sub-tasks."""
        children = self._adopt(work, entry.get("children", ()), blobs)
        if work.result in self._heirs.values():
            self._over(work, Ended(work.index, handed_over=True))
        elif DEFAULT_OUTPUT in entry["outputs"]:
            number = entry["outputs"][DEFAULT_OUTPUT]
            self.store.keep(work.result, None if number is None else blobs[number])
            self._over(work, self.store.ended(work.index, work.result))
        else:
            self.fail(work, Failure(FailureReason.OUTPUT_MISSING, "it returned no output", work.attempts))
        for task in children:
            self._start(task)

    def _over(self, work: Work, ended: Ended) -> None:
        work.task.end(ended, work.attempts)
        if not ended.handed_over:
            self._there(work.result)
        self._look_idle()

    def _there(self, result: str) -> None:
        """A result is there, or never will be: who waits for it gets on."""
        heir = self._heirs.pop(result, None)
        if heir is not None:
            failure = self.store.failure(result)
            if failure is None:
                self.store.alias(heir, result)
            else:
                self.store.fail(heir, failure)
            self._there(heir)
        for work in self._waiters.pop(result, ()):
            if work.task.ended[work.index] is not None:
                continue
            if (failure := self.store.failure(result)) is not None:
                said = f"result {result}: {failure.reason}: {failure.message}"
                self.fail(work, Failure(FailureReason.DEPENDENCY_ABORTED, said))
                continue
            work.missing -= 1
            if not work.missing:
                self._ready(work)

    def _ready(self, work: Work) -> None:
        work.state = READY
        self._scheduler.queue(work)

    def _look_idle(self) -> None:
        if self.open_work:
            self._idle.clear()
        else:
            self._idle.set()

    # Making Tasks -----------------------------------------------------------------------------------------

    def _make(
        self,
        name: str,
        items: Sequence[Element],
        depends_on: Sequence[Dependency],
        options: TaskOptions,
        function: str,
    ) -> LocalTask:
        if name in self._tasks:
            raise AlreadyExists(f"there is a task {name} already")
        task = LocalTask(self, name, str(uuid.uuid4()), items, options, function)
        common = self._ids(depends_on)
        for index in range(task.total):
            own = self._ids(items[index].depends_on)
            needs = tuple(dict.fromkeys([*common, *own])) if own else tuple(common)
            task.work[index] = Work(task, index, needs)
        task.needs = [work.needs for work in task.work.values()]
        self._tasks[name] = task
        self._start(task)
        return task

    def _start(self, task: LocalTask) -> None:
        """Let its elements run, or wait for what they need."""
        self._idle.clear()
        for work in list(task.work.values()):
            failed = next((need for need in work.needs if self.store.failure(need)), None)
            if failed is not None:
                failure = self.store.failure(failed)
                assert failure is not None
                said = f"result {failed}: {failure.reason}: {failure.message}"
                self.fail(work, Failure(FailureReason.DEPENDENCY_ABORTED, said))
                continue
            awaited = [need for need in work.needs if need not in self.store]
            work.missing = len(awaited)
            for need in awaited:
                self._waiters.setdefault(need, []).append(work)
            if not awaited:
                self._ready(work)

    def _ids(self, depends_on: Iterable[Dependency]) -> list[str]:
        """Ids of the results that these represent.

        Raises:
            Refused: there is no such task.
        """
        found: list[str] = []
        for dependency in depends_on:
            if dependency.result is not None:
                found.append(dependency.result)
                continue
            task = self._tasks.get(dependency.task or "")
            if task is None or (dependency.uid and dependency.uid != task.uid):
                raise Refused(f"dependsOn: session {self.name} has no task {dependency.task}")
            indexes = range(task.total) if dependency.index is None else [dependency.index]
            found += [task.result(index) for index in indexes]
        return list(dict.fromkeys(found))

    def _adopt(
        self, parent: Work, children: Sequence[dict[str, Any]], blobs: list[memoryview]
    ) -> list[LocalTask]:
        """The Tasks of an element's sub-tasks, one for each partition and priority; not started yet."""
        groups: dict[tuple[Any, Any], list[int]] = {}
        for number, child in enumerate(children):
            groups.setdefault((child.get("partition"), child.get("priority")), []).append(number)
        places: dict[int, tuple[LocalTask, int]] = {}
        tasks: list[LocalTask] = []
        for group, ((partition, priority), numbers) in enumerate(groups.items()):
            digest = hashlib.sha256(f"{parent.result}/{group}".encode()).hexdigest()[:20]
            own = TaskOptions(partition=partition or None, priority=priority or None)
            items = [
                Element(payload=self._payload(children[number], blobs), options=_texts(children[number]))
                for number in numbers
            ]
            task = LocalTask(
                self,
                f"{parent.task.name[:40].rstrip('-')}-{digest}",
                str(uuid.uuid4()),
                items,
                merge_options(own, parent.task.options),
                parent.task.function,
            )
            places |= {number: (task, index) for index, number in enumerate(numbers)}
            tasks.append(task)
        for number, child in enumerate(children):
            task, index = places[number]
            needs = tuple(
                places[need][0].result(places[need][1]) if isinstance(need, int) else need
                for need in child.get("needs", ())
            )
            task.work[index] = Work(task, index, needs)
            if "output" in child:
                self._heirs[task.result(index)] = parent.result
        for task in tasks:
            task.needs = [task.work[index].needs for index in range(task.total)]
        for task in tasks:
            self._tasks[task.name] = task
        return tasks

    def _payload(self, child: dict[str, Any], blobs: list[memoryview]) -> bytes:
        place = child["payload"]
        if isinstance(place, int):
            return bytes(blobs[place])
        return (self.store.folder / str(place)).read_bytes()


def _texts(child: dict[str, Any]) -> TaskOptions | None:
    return TaskOptions(options=child["options"]) if child.get("options") else None
