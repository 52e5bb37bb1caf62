"""A session on its event loop: it sends calls, follows Tasks and settles futures."""

import asyncio
import concurrent.futures
import contextlib
import logging
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from armonik_sdk.aio.calls.code import Code
from armonik_sdk.aio.calls.encoding import Blob, Repeated, Template, encode, template_of
from armonik_sdk.aio.calls.options import NO_OPTIONS, CallOptions, short_name
from armonik_sdk.aio.calls.spool import Spool, spooled
from armonik_sdk.aio.core.batches import Batches, make_task, name_for
from armonik_sdk.aio.core.beside import OnLoop
from armonik_sdk.aio.results.causes import last_lines
from armonik_sdk.aio.results.future import Future
from armonik_sdk.aio.results.mapping import MapCore
from armonik_sdk.aio.results.reference import RefCore
from armonik_sdk.aio.results.settling import Settling
from armonik_sdk.aio.results.values import exception_of
from armonik_sdk.api.kinds import Dependency, SessionState
from armonik_sdk.api.kinds.options import Environment
from armonik_sdk.client.errors import NotConnected, Refused
from armonik_sdk.functions import encode_value
from armonik_sdk.grid.protocol import Failure, GridSession, GridTask, LogLine, SessionInfo, TaskInfo

if TYPE_CHECKING:
    from armonik_sdk.aio.core.client import ClientCore

log = logging.getLogger("armonik_sdk")
T = TypeVar("T")
OnExit = Literal["finish", "cancel", "keep"]

GATHER_SECONDS: Final = 0.05
"""For which cancels of single futures are gathered."""


class SessionCore(OnLoop):
    """A session, for both twins."""

    def __init__(self, client: "ClientCore", grid: GridSession, on_exit: OnExit, code: Code) -> None:
        super().__init__(client.loop, client.on_loop)
        self.client, self.grid, self.name, self.on_exit = client, grid, grid.name, on_exit
        self._code = code
        self._batches = Batches(self)
        self.placed_some = self._batches.wake
        self._repeated = Repeated()
        self._foreign: set[str] = set()
        self._cancels: dict[str, tuple[GridTask, set[int]]] = {}
        self._settling = Settling(self)
        self.follow = self._settling.follow
        self._sent = asyncio.Event()

    # Submitting, in any thread --------------------------------------------------------------------------

    def submit(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        options: CallOptions = NO_OPTIONS,
    ) -> Future[Any]:
        """Send one call.

        Raises:
            NotPicklable: it cannot be sent.
            CodeTooLarge: the project's code is more than the bound.
            NotConnected: the client is closed.
        """
        template = template_of(function, options, env=self._code.look())
        self._check(template)
        self._repeated.look(template, args, kwargs)
        call = encode(template, self, args, kwargs)
        future: Future[Any] = Future(self, short_name(template.function))
        future.needs = call.needs
        self._batches.add(template, call, future)
        return future

    def map(
        self,
        function: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        *,
        shared: Mapping[str, object] | None = None,
        chunksize: int = 1,
        name: str | None = None,
        options: CallOptions = NO_OPTIONS,
    ) -> MapCore:
        """Send many calls as one Task.

        Raises:
            NotPicklable: one cannot be sent.
            ValueError: chunksize is below 1.
            NotConnected: the client is closed.
        """
        if chunksize < 1:
            raise ValueError(f"chunksize: 1 or more, not {chunksize}")
        template = template_of(function, options, shared, self._code.look())
        self._check(template)
        spool, template, count = spooled(self, template, function, calls, chunksize)
        function_name = short_name(template.function)
        made = MapCore(
            self, name or name_for(function_name), function_name, range(count), chunksize=chunksize
        )
        if count:
            self.soon(lambda: made.send(self.spawn(self._map(template, made.name, spool))))
        return made

    def _check(self, template: Template) -> None:
        """Whether calls can be sent at all."""
        self.client.check_usable()
        partition = template.options.partition or self.partition
        if partition not in self.grid.partitions:
            known = ", ".join(self.grid.partitions)
            raise Refused(f"partition {partition} is none of session {self.name}, which has {known}")
        self.client.check_sendable(template, partition)

    def map_again(self, of: MapCore, elements: Sequence[int]) -> MapCore:
        """Send these elements of a map as a Task of its own. On the loop."""
        count = range(len(elements) * of.chunksize)
        made = MapCore(self, name_for(of.function), of.function, count, chunksize=of.chunksize)

        async def again() -> GridTask:
            return await (await of.task()).again(made.name, elements)

        made.send(self.spawn(again()))
        return made

    async def attached(self, name: str) -> MapCore:
        """The calls of a Task that is there, whoever submitted it.

        Raises:
            NotFound: there is none.
        """
        task = await self.grid.task(name)
        function = (await task.info()).function
        made = MapCore(self, name, short_name(function) if function else name, range(task.total))
        made.send(self.spawn(_given(task)))
        return made

    # Values, references ---------------------------------------------------------------------------------

    async def put(self, value: object, name: str) -> RefCore:
        """Keep a value as a result, once for equal bytes."""
        packed = await asyncio.to_thread(encode_value, value, name)
        blob = Blob(bytes(packed), packed.digest, name)
        return RefCore(self, await self._put(blob), packed.size)

    async def put_file(self, path: Path, name: str) -> RefCore:
        """Keep a file as a result."""
        result, size = await self.grid.put(path, name or path.name)
        return RefCore(self, result, size, is_file=True)

    async def read(self, place: Any) -> bytes:
        """The bytes at a place."""
        return await self.grid.read(place)

    async def dependencies(self, thing: object) -> list[Dependency]:
        """What represents this in a manifest."""
        if isinstance(thing, Blob):
            return [Dependency(result=await self._put(thing))]
        if isinstance(thing, RefCore):
            return [Dependency(result=thing.id)]
        if isinstance(thing, MapCore):
            task = await thing.task()
            if thing.whole:
                return [Dependency(task=task.name, uid=task.uid)]
            return [Dependency(task=task.name, uid=task.uid, index=number) for number in thing.indexes]
        assert isinstance(thing, Future)
        if thing.session is not self:
            return [Dependency(result=await self._fetched(thing))]
        return [Dependency(result=thing.id)]

    def warn_foreign(self, future: Future[Any]) -> None:
        """Say once that futures of another session are fetched."""
        other = future.session.name
        if other not in self._foreign:
            self._foreign.add(other)
            warnings.warn(
                f"futures of session {other} are fetched here and sent to session {self.name} again",
                UserWarning,
                stacklevel=2,
            )

    async def _put(self, blob: Blob) -> str:
        """Put bytes once."""
        return await self.once(blob.digest, lambda: self._upload(blob))

    async def _upload(self, blob: Blob) -> str:
        return (await self.grid.put(blob.content, f"sha256:{blob.digest}"))[0]

    async def environment(self, sha256: str) -> Environment:
        """Where the workers find this archive of code, which is uploaded once."""
        return await self.once(f"environment {sha256}", lambda: self._upload_code(sha256))

    async def _upload_code(self, sha256: str) -> Environment:
        key = await self.grid.put_environment(self._code.content(sha256), sha256)
        self._code.sent(sha256)
        return Environment(object=key, sha256=sha256)

    async def _fetched(self, future: Future[Any]) -> str:
        """A future of another session: its bytes are fetched here and sent again."""
        data = await future.envelope()
        return (await self.grid.put(data, ""))[0]

    # Futures ----------------------------------------------------------------------------------------------

    async def exception_of(
        self, failure: Failure, task: GridTask, index: int, function: str
    ) -> BaseException:
        """What `result()` raises for an element that ended so."""
        envelope = None if failure.error is None else await self.grid.read(failure.error)
        printed = await last_lines(self.grid, failure) if envelope is None else ""
        what = f"{function}: element {index} of task {task.name}"
        return await asyncio.to_thread(exception_of, failure, envelope, what, printed)

    def cancel_future(self, future: Future[Any]) -> None:
        """Cancel the element of a future; those of 50 ms are cancelled together. In any thread."""
        self.soon(lambda: self.spawn(self._cancel(future)))

    async def _cancel(self, future: Future[Any]) -> None:
        if future.lost:
            return  # it was not sent; whoever places it nevertheless cancels it then
        task = future.grid_task
        if task.uid in self._cancels:
            self._cancels[task.uid][1].add(future.index)
            return
        self._cancels[task.uid] = (task, {future.index})
        await asyncio.sleep(GATHER_SECONDS)
        _, indexes = self._cancels.pop(task.uid)
        try:
            await task.cancel(sorted(indexes))
        except Exception as error:  # noqa: BLE001 - nobody waits for it; the futures are cancelled already
            log.warning("%d calls of task %s are not cancelled there: %s", len(indexes), task.name, error)

    # Its life -----------------------------------------------------------------------------------------------

    async def sent(self) -> None:
        """Until all that was submitted is part of a Task."""
        while not self._batches.empty:
            self._sent.clear()
            self._batches.wake()
            await self._sent.wait()

    def sent_some(self) -> None:
        """A batch was sent."""
        self._sent.set()

    async def leave(self, error: BaseException | None) -> None:
        """The end of a `with` block."""
        if self.on_exit == "keep":
            if error is None:
                await self.sent()
            return
        if isinstance(error, KeyboardInterrupt):
            # The one line that is printed: who pressed the keys looks there.
            sys.stderr.write(f"session {self.name} is cancelled; press again to leave at once\n")
        if self.on_exit == "cancel" or error is not None:
            self._batches.close(NotConnected(f"session {self.name} was cancelled"))
            await self.grid.set_state(SessionState.CANCELLED)
            return
        await self.finish()

    async def finish(self, timeout: float | None = None) -> SessionInfo:
        """Wait for all that was submitted, and what it submitted, and close the session."""
        await self.sent()
        info = await self.grid.idle(timeout)
        await self.close()
        return info

    async def close(self) -> None:
        """Take no more; what runs ends, what waits is cancelled."""
        self._batches.close(Refused(f"session {self.name} is closed"))
        with contextlib.suppress(Refused):  # it was closed or cancelled by somebody else
            await self.grid.set_state(SessionState.CLOSED)

    async def cancel_waiting(self) -> None:
        """Take no more, and cancel what has not begun: what is not sent yet, and what waits on the grid."""
        self._batches.drop(concurrent.futures.CancelledError(f"session {self.name} is closed"))
        await self.sent()  # what is being sent just now
        await self.close()

    async def cancel(self) -> None:
        """Cancel all that has not ended; it cannot be resumed."""
        self._batches.close(Refused(f"session {self.name} is cancelled"))
        await self.grid.set_state(SessionState.CANCELLED)

    async def abandon(self) -> None:
        """The client is closed: nobody settles futures any more."""
        gone = NotConnected(f"the client was closed; attach to session {self.name} to read its results")
        self._batches.close(gone)
        await self.end_all()
        self._settling.give_up(gone)

    async def tasks(self) -> AsyncIterator[list[TaskInfo]]:
        """All Tasks."""
        async for info in self.grid.tasks():
            yield [info]

    async def logs(self) -> AsyncIterator[list[LogLine]]:
        """What its functions printed."""
        async for line in self.grid.logs():
            yield [line]

    async def info(self) -> SessionInfo:
        """Its state now."""
        return await self.grid.info()

    async def wait(self, timeout: float | None = None) -> SessionInfo:
        """Until it is finished."""
        return await self.grid.wait(timeout)

    async def pause(self) -> None:
        """Begin no more calls."""
        await self.grid.set_state(SessionState.PAUSED)

    async def resume(self) -> None:
        """Resume."""
        await self.grid.set_state(SessionState.RUNNING)

    async def why(self) -> str:
        """Why work waits, and what can be done about it."""
        return (await self.grid.why()).text

    async def logs_of(self, task: str, index: int) -> list[LogLine]:
        """What one element printed so far."""
        return [line async for line in self.grid.logs(task, index=index)]

    def run(self, made: Coroutine[Any, Any, T]) -> T:
        """Run it on the loop and wait for it, in another thread."""
        return self.client.run(made)

    @property
    def partition(self) -> str:
        """Where calls run that name no partition."""
        return self.grid.partition

    async def _map(self, template: Template, name: str, spool: Spool) -> GridTask:
        common = [needed for blob in template.needs for needed in await self.dependencies(blob)]
        await self._resolve(spool)
        return await make_task(self, template, spool, common, name)

    async def _resolve(self, spool: Spool) -> None:
        """Find out the ids of what elements of a map need."""
        known: dict[int, list[Dependency]] = {}
        for thing in spool.needs:
            while not getattr(thing, "placed", True):
                self._sent.clear()
                await self._sent.wait()
            known[id(thing)] = await self.dependencies(thing)
        spool.depends_on = lambda thing: known[id(thing)]


async def _given(task: GridTask) -> GridTask:
    return task
