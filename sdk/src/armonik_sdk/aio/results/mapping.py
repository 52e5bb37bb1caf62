"""One Task of many calls: its values in order or as they come, with bounded memory."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any, Literal

from armonik_sdk.aio.results.future import Future
from armonik_sdk.aio.results.owner import ClientOfResults, Owner
from armonik_sdk.aio.results.values import decode
from armonik_sdk.client.deadline import Deadline
from armonik_sdk.client.errors import WaitTimeout
from armonik_sdk.functions import Form, NotPicklable, needs_under_way, reduce_need
from armonik_sdk.grid.protocol import Ended, GridTask, LogLine, Order, TaskInfo, parts

Errors = Literal["raise", "return"]
Raw = bytes | BaseException
"""The envelope of a value, or why there is none."""


class MapCore:
    """The calls of a map, or some of them."""

    def __init__(
        self,
        session: Owner,
        name: str,
        function: str,
        indexes: range,
        *,
        chunksize: int = 1,
        whole: bool = True,
    ) -> None:
        self.session, self.name, self.function = session, name, function
        self.indexes, self.chunksize, self._whole = indexes, chunksize, whole
        self._placed = threading.Event()
        self._sent: asyncio.Future[GridTask] | None = None
        self._of: MapCore | None = None
        """What this is a part of, whose Task it reads."""
        self.again: dict[int, tuple[MapCore, int]] = {}
        """Calls that were tried again: by their index, the map and the index there."""
        self._chunk: tuple[int, Raw, Any] | None = None
        self.seen = 0, 0
        """Calls whose ends were read by whoever read the most, and how many of them failed."""

    @property
    def client(self) -> ClientOfResults:
        """The client of its session."""
        return self.session.client

    def __len__(self) -> int:
        return len(self.indexes)

    def __repr__(self) -> str:
        return f"<MapResult {self.function} {self.name} of {len(self)}>"

    def send(self, making: "asyncio.Future[GridTask]") -> None:
        """It is being made. On the loop."""
        self._sent = making
        making.add_done_callback(self._made)

    def _made(self, made: "asyncio.Future[GridTask]") -> None:
        self._placed.set()
        self.session.placed_some()
        if not made.cancelled():
            made.exception()  # whoever asks for a value gets it

    @property
    def placed(self) -> bool:
        """Whether the Task is made, or never will be."""
        return self._placed.is_set()

    @property
    def lost(self) -> bool:
        """Whether the Task could not be made."""
        if self._of is not None:
            return self._of.lost
        sent = self._sent
        return sent is not None and sent.done() and (sent.cancelled() or sent.exception() is not None)

    async def task(self) -> GridTask:
        """The Task.

        Raises:
            Exception: why it could not be made.
        """
        if self._of is not None:
            return await self._of.task()
        while self._sent is None:  # noqa: ASYNC110 - one turn of the loop
            await asyncio.sleep(0)  # what makes it is in the loop's queue before this
        return await asyncio.shield(self._sent)

    def slice(self, part: slice) -> "MapCore":
        """Some of its calls."""
        view = MapCore(
            self.session,
            self.name,
            self.function,
            self.indexes[part],
            chunksize=self.chunksize,
            whole=False,
        )
        view._of, view._placed, view.again = self, self._placed, self.again
        return view

    def reduce(self) -> Any:
        """A placeholder in the call that is being encoded: one dependency, a lazy sequence there."""
        needs = needs_under_way()
        owner = needs.owner if needs is not None else None
        if owner is not None and owner is not self.session:
            raise NotPicklable("the result of a map of another session cannot be sent: send its values")
        if self.chunksize > 1 or self.again:
            raise NotPicklable("only the result of a map with chunksize=1 and without retries can be sent")
        return reduce_need(self, self, form=Form.SEQUENCE, length=len(self))

    @property
    def whole(self) -> bool:
        """Whether it is all calls of the Task, in their order."""
        return self._whole

    def future(self, index: int) -> Future[Any]:
        """A future of one of the calls."""
        future: Future[Any] = Future(self.session, self.function)
        self.session.spawn_soon(self._watch(self.checked(index), future))
        return future

    def checked(self, index: int) -> int:
        """Position from the start.

        Raises:
            IndexError: there is none.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"{index} of {len(self)} results")
        return index % len(self)

    # Values ---------------------------------------------------------------------------------------------

    async def raw(self, index: int, timeout: float | None = None) -> Raw:
        """One value as it is, or why there is none; waits for it."""
        number = self.indexes[self.checked(index)]
        if number in self.again:
            other, at = self.again[number]
            return await other.raw(at, timeout)
        try:
            async with asyncio.timeout(timeout):
                task = await self.task()
                ended = await task.element(number // self.chunksize)
        except TimeoutError as error:
            raise WaitTimeout(f"{self!r}: element {number} is not there after {timeout} s") from error
        return await self._one(task, ended)

    async def batches(
        self, order: Order = "index", timeout: float | None = None
    ) -> AsyncIterator[list[tuple[int, Raw]]]:
        """All values as they are, with their positions, a few at a time."""
        ended = failed = 0
        async with contextlib.aclosing(self._batches(order, timeout)) as batches:
            async for batch in batches:
                ended += len(batch)
                failed += sum(isinstance(raw, BaseException) for _, raw in batch)
                self.seen = max(self.seen, (ended, failed))
                yield batch

    async def ends(self) -> AsyncIterator[tuple[int, bool]]:
        """How many calls have ended, and whether without a value, as they do; nothing is read."""
        task = await self.task()
        async for outcomes in task.outcomes():
            for ended in outcomes:
                numbers = (n for n in self._numbers(ended.index) if n in self.indexes and n not in self.again)
                yield sum(1 for _ in numbers), ended.failure is not None
        for number, (other, at) in self.again.items():
            if number in self.indexes:
                ended = await (await other.task()).element(at // other.chunksize)
                yield 1, ended.failure is not None

    async def _batches(
        self, order: Order, timeout: float | None
    ) -> AsyncGenerator[list[tuple[int, Raw]], None]:
        if not len(self):
            return
        task = await self.task()
        places = {number: at for at, number in enumerate(self.indexes)} if not self.whole else None
        waiting = _timed(task.outcomes(order), Deadline(timeout), repr(self))
        late: list[tuple[int, int]] = []
        async for outcomes in waiting:
            for part in parts(ended for ended in outcomes if self._wanted(ended, places)):
                data = await task.read([ended for ended in part if ended.place is not None])
                batch: list[tuple[int, Raw]] = []
                for ended in part:
                    for number in self._numbers(ended.index):
                        at = number if places is None else places.get(number, -1)
                        if at < 0:
                            continue
                        if order == "completion" and (number in self.again or ended.handed_over):
                            late.append((at, number))
                            continue
                        batch.append((at, await self._raw_of(task, ended, number, data)))
                if batch:
                    yield batch
            if places is not None and order == "index" and outcomes[-1].index >= max(places, default=0):
                break
        for at, _ in late:
            yield [(at, await self.raw(at, timeout))]

    def value(self, raw: Raw, number: int = 0) -> Any:
        """The value; in the caller's thread.

        Raises:
            Exception: why there is none.
        """
        if isinstance(raw, BaseException):
            raise raw
        if self.chunksize == 1:
            return decode(raw)
        chunk = self._chunk
        if chunk is None or chunk[1] is not raw:
            chunk = self._chunk = (0, raw, decode(raw))
        return chunk[2][self.indexes[number] % self.chunksize]

    async def failures(self) -> AsyncIterator[list[tuple[int, BaseException]]]:
        """The calls that failed, with their exceptions, as they end."""
        async for batch in self.batches("completion"):
            failed = [(at, raw) for at, raw in batch if isinstance(raw, BaseException)]
            if failed:
                yield failed

    async def retry_failed(self) -> "MapCore":
        """Submit the calls that failed once more; their results take the place of the old ones."""
        failed = sorted([at async for batch in self.failures() for at, _ in batch])
        if not failed:
            return self
        numbers = [self.indexes[at] for at in failed]
        chunks = sorted({number // self.chunksize for number in numbers})
        other = self.session.map_again(self, chunks)
        view = self.slice(slice(None))
        view._whole = self._whole
        places = {chunk: at for at, chunk in enumerate(chunks)}
        view.again = dict(self.again)
        for number in numbers:
            chunk, rest = divmod(number, self.chunksize)
            view.again[number] = (other, places[chunk] * self.chunksize + rest)
        return view

    # The Task -------------------------------------------------------------------------------------------

    async def wait(self, timeout: float | None = None) -> TaskInfo:
        """Until every call has ended, well or not."""
        if not len(self):
            return TaskInfo(self.name, self.function, "Completed", 0, 0, 0, 0, 0, 0, 0)
        deadline = Deadline(timeout)
        info = await (await self.task()).wait(timeout)
        for other in {id(other): other for other, _ in self.again.values()}.values():
            await other.wait(deadline.rest())
        return info

    async def info(self) -> TaskInfo:
        """Its state now."""
        return await (await self.task()).info()

    async def why(self) -> str:
        """Why it is not further, and what can be done about it; empty when all has ended."""
        return (await (await self.task()).why()).text

    async def cancel(self, indexes: Iterable[int] | None = None) -> None:
        """End these calls, or all that have not ended."""
        task = await self.task()
        if indexes is None and self.whole:
            await task.cancel()
            return
        chosen = self.indexes if indexes is None else [self.indexes[self.checked(at)] for at in indexes]
        await task.cancel(sorted({number // self.chunksize for number in chosen}))

    async def logs(self) -> AsyncIterator[list[LogLine]]:
        """What its functions printed."""
        async for line in self.session.grid.logs(self.name):
            yield [line]

    # Parts ----------------------------------------------------------------------------------------------

    def _numbers(self, element: int) -> Iterable[int]:
        """The calls of an element."""
        if self.chunksize == 1:
            return (element,)
        begin = element * self.chunksize
        last = (self.indexes[-1] if self.indexes else 0) if self.whole else begin + self.chunksize
        return range(begin, min(begin + self.chunksize, last + 1))

    def _wanted(self, ended: Ended, places: dict[int, int] | None) -> bool:
        return places is None or any(number in places for number in self._numbers(ended.index))

    async def _raw_of(self, task: GridTask, ended: Ended, number: int, data: dict[int, bytes]) -> Raw:
        if number in self.again:
            other, at = self.again[number]
            return await other.raw(at)
        if ended.index in data:
            return data[ended.index]
        return await self._one(task, ended)

    async def _one(self, task: GridTask, ended: Ended) -> Raw:
        if ended.handed_over:
            ended = await task.handed(ended.index)
        if ended.failure is not None:
            return await self.session.exception_of(ended.failure, task, ended.index, self.function)
        return (await task.read([ended]))[ended.index]

    async def _watch(self, at: int, future: Future[Any]) -> None:
        number = self.indexes[at]
        try:
            task = await self.task()
            future.place(task, number // self.chunksize)
            raw = await self.raw(at)
        except Exception as error:  # noqa: BLE001 - it is the future's
            future.fail(error)
            return
        if isinstance(raw, BaseException):
            future.fail(raw)
        elif self.chunksize == 1:
            future.succeed(raw)
        else:
            future.succeed_with(self.value(raw, at))


async def _timed(
    outcomes: AsyncIterator[list[Ended]], deadline: Deadline, what: str
) -> AsyncIterator[list[Ended]]:
    """The same, while there is time."""
    while True:
        try:
            async with asyncio.timeout(deadline.rest()):
                batch = await anext(outcomes)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise WaitTimeout(f"{what}: not all of it is there after the time given") from error
        yield batch
