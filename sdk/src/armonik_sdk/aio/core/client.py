"""A connection to a grid, on its event loop."""

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Final, Generic, Literal, TypeVar

from armonik_sdk.aio.calls.code import Chosen, Code
from armonik_sdk.aio.calls.encoding import Template
from armonik_sdk.aio.calls.packages import Wanted, cache_folder, install
from armonik_sdk.aio.calls.target import target_of
from armonik_sdk.aio.core.session import OnExit, SessionCore
from armonik_sdk.api.kinds import PartitionSpec, TaskOptions
from armonik_sdk.client.errors import NotConnected, Refused
from armonik_sdk.functions import Versions, check_sendable
from armonik_sdk.grid.protocol import Grid, PartitionInfo, SessionInfo

T = TypeVar("T")
FORKED: Final = "this client was made before a fork; connect again in the child"
CLOSED: Final = "the client is closed; connect again"
DAY: Final = timedelta(days=1)
LOOK_SECONDS: Final = 1.0
"""After which whoever waits for the loop looks whether that is closed."""
WORKER_FIELDS: Final = ("python", "sdk", "cloudpickle")


class ClientCore:
    """A connection, for both twins. Made on the loop that it lives on."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.namespace = grid, grid.namespace
        self.loop = asyncio.get_running_loop()
        self._thread, self._process = threading.get_ident(), os.getpid()
        self._sessions: list[SessionCore] = []
        self._workers: dict[str, Versions | None] = {}
        self.closed = False

    @property
    def client(self) -> "ClientCore":
        """Itself, as sessions and results have it."""
        return self

    async def session(
        self,
        name: str | None,
        *,
        partitions: Sequence[str] | None,
        defaults: TaskOptions | None,
        ttl: timedelta | float | Literal["day"] | None,
        on_exit: OnExit,
        code: Chosen = "loaded",
        packages: Wanted | None = None,
    ) -> SessionCore:
        """Make a session, or attach to one."""
        self.check_usable()
        if on_exit not in ("finish", "cancel", "keep"):
            raise ValueError(f"on_exit: finish, cancel or keep, not {on_exit!r}")
        partition = (defaults.partition if defaults else None) or next(iter(partitions or ("python",)))
        sent = await self._code(_chosen(code, packages, defaults), packages, partition)
        given = partitions is not None or defaults is not None or ttl != "day"
        seconds = DAY if ttl == "day" else ttl
        opened = await self.grid.open(
            name,
            partitions=tuple(partitions or ("python",)),
            defaults=defaults,
            ttl_seconds=_seconds(seconds),
            attach=not given,
        )
        if packages is not None and opened.partition != partition:
            raise Refused(
                f"packages: session {opened.name} runs calls on partition {opened.partition}, and they are "
                f"installed for {partition}: give partitions=[…] to a new session"
            )
        await self._learn(opened.partition)
        made = SessionCore(self, opened, on_exit, sent)
        self._sessions.append(made)
        return made

    async def _code(self, chosen: Chosen, packages: Wanted | None, partition: str) -> Code:
        """What goes along with the calls of a session."""
        if packages is None:
            return await asyncio.to_thread(Code, chosen)
        target, cache = await target_of(self.grid, partition), cache_folder()
        files = await asyncio.to_thread(install, packages, target, cache)
        return await asyncio.to_thread(Code, chosen, files, cache)

    async def sessions(self) -> AsyncIterator[list[SessionInfo]]:
        """All sessions."""
        async for info in self.grid.sessions():
            yield [info]

    async def partitions(self) -> AsyncIterator[list[PartitionInfo]]:
        """All partitions."""
        async for info in self.grid.partitions():
            yield [info]

    async def apply_partition(self, name: str, spec: PartitionSpec) -> PartitionInfo:
        """Make or change a partition."""
        return await self.grid.apply_partition(name, spec)

    async def close(self) -> None:
        """Close it; futures that have not ended fail."""
        if self.closed:
            return
        self.closed = True
        for session in self._sessions:
            await session.abandon()
        await self.grid.close()

    def check_usable(self) -> None:
        """Whether it can be used here.

        Raises:
            NotConnected: it is closed, or of the parent process.
        """
        self.check_process()
        if self.closed:
            raise NotConnected(CLOSED)

    def check_sendable(self, template: Template, partition: str) -> None:
        """Whether the workers of a partition understand the call, as far as they have said anything.

        Raises:
            PythonMismatch, VersionMismatch: they do not.
        """
        worker = self._workers.get(partition)
        if worker is not None:
            check_sendable(template.function.bytecode, worker, partition)

    def run(self, made: Coroutine[Any, Any, T]) -> T:
        """Run it on the loop and wait for it, in another thread; Ctrl-C there cancels it.

        Raises:
            RuntimeError: this is the thread of the loop, which would wait for itself.
            NotConnected: the loop is gone.
        """
        try:
            self._check_waitable()
        except BaseException:
            made.close()
            raise
        waited: Waited[T] = Waited(made)
        try:
            try:
                self.loop.call_soon_threadsafe(waited.start)
            except RuntimeError:  # it was closed in this moment
                raise NotConnected(CLOSED) from None
            return self._outcome(waited)
        except BaseException:
            try:
                self.loop.call_soon_threadsafe(waited.cancel)
            except RuntimeError:
                waited.forget()
            raise

    def _outcome(self, waited: "Waited[T]") -> T:
        """What it gives. What begins in the moment in which the loop ends never does."""
        while True:
            try:
                return waited.ended.result(LOOK_SECONDS)
            except TimeoutError:
                closed = self.loop.is_closed()
                if waited.ended.done():  # a timeout of its own
                    return waited.ended.result()
                if closed:
                    raise NotConnected(CLOSED) from None
            except concurrent.futures.CancelledError:
                if not self.closed:
                    raise
                raise NotConnected(CLOSED) from None

    def _check_waitable(self) -> None:
        self.check_process()
        if self.on_loop():
            raise RuntimeError(
                "this call blocks, and it is made on the event loop that it waits for: make it in another"
                " thread, or use armonik_sdk.aio"
            )
        if self.loop.is_closed():
            raise NotConnected(CLOSED)

    def check_process(self) -> None:
        """Whether this is the process that made it.

        Raises:
            NotConnected: it is a child of that.
        """
        if os.getpid() != self._process:
            raise NotConnected(FORKED)

    def on_loop(self) -> bool:
        """Whether this is the thread of the loop."""
        return threading.get_ident() == self._thread and os.getpid() == self._process

    async def _learn(self, partition: str) -> None:
        said = await self.grid.worker(partition)
        if all(said.get(name) for name in WORKER_FIELDS):
            self._workers[partition] = Versions(*(said[name] for name in WORKER_FIELDS))


class Waited(Generic[T]):
    """A coroutine that another thread waits for, and may cancel at any moment."""

    def __init__(self, made: Coroutine[Any, Any, T]) -> None:
        self.ended: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._made = made
        self._task: asyncio.Task[T] | None = None

    def start(self) -> None:
        """Begin. On the loop."""
        self._task = asyncio.get_running_loop().create_task(self._made)
        self._task.add_done_callback(self._over)

    def cancel(self) -> None:
        """End it, if it has begun. On the loop, where `start` was before."""
        if self._task is not None:
            self._task.cancel()

    def forget(self) -> None:
        """The loop is closed."""
        if self._task is None:
            self._made.close()

    def _over(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.ended.cancel()
        elif (error := task.exception()) is not None:
            self.ended.set_exception(error)
        else:
            self.ended.set_result(task.result())


def _chosen(code: Chosen, packages: Wanted | None, defaults: TaskOptions | None) -> Chosen:
    """What goes along: nothing where the session's defaults name an environment."""
    if defaults is None or defaults.environment is None:
        return code
    if packages is not None or code not in ("loaded", None):
        raise ValueError(
            "code, packages: defaults.environment names what functions import from, so nothing is sent"
        )
    return None


def _seconds(ttl: timedelta | float | None) -> int | None:
    if ttl is None:
        return None
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if seconds < 0:
        raise ValueError(f"ttl: 0 seconds or more, not {seconds}")
    return int(seconds)
