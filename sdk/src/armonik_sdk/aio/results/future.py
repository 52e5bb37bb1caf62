"""The future of one call: one of `concurrent.futures`, which can be awaited as well."""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Callable, Generator
from typing import Any, Final, Generic, TypeVar, cast

from armonik_sdk.aio.results.owner import Owner
from armonik_sdk.aio.results.values import decode
from armonik_sdk.api.const import DEFAULT_OUTPUT
from armonik_sdk.api.names import result_id
from armonik_sdk.client.errors import NotConnected, WaitTimeout
from armonik_sdk.functions import NotPicklable, encode_value, needs_under_way, reduce_need
from armonik_sdk.grid import html
from armonik_sdk.grid.protocol import ElementInfo, Ended, GridTask, LogLine, Place

log = logging.getLogger("armonik_sdk")
R = TypeVar("R")

PLACING_SECONDS: Final = 300.0
"""How long `id`, `task` and `index` wait until the call is part of a Task."""
BLOCKS: Final = "result() would block the event loop that it waits for: await the future instead"


class Future(concurrent.futures.Future[R], Generic[R]):
    """The result of one call, which may be there, or come, or never come.

    `wait`, `as_completed` and `asyncio.wrap_future` work as with other futures of `concurrent.futures`; in
    `async` code it is awaited. As an argument of `submit` or `map`, at any depth, it is a dependency: the
    value goes from worker to worker, and the call waits for it.
    """

    def __init__(self, session: Owner, function: str) -> None:
        super().__init__()
        self.session = session
        self.function = function
        self._placed = threading.Event()
        self._grid_task: GridTask | None = None
        self._index = 0
        self._unread: Place | None = None
        self._unread_bytes = 0
        self.alone = False
        """Whether its value is read by itself, since it could not be read together with others."""
        self._value: Any = None
        self._reading = threading.Lock()
        self.needs: tuple[object, ...] = ()
        """What its call needs, until it has ended."""

    def _where(self) -> str:
        return f"{self._grid_task.name}[{self._index}]" if self._grid_task else "not sent yet"

    def __repr__(self) -> str:
        return f"<Future {self.function} {self._where()} {self._state.lower()}>"

    def _repr_html_(self) -> str:
        error = self.exception_or_cancelled() if self.done() else None
        said = "" if error is None else html.text(f"{type(error).__name__}: {error}")
        rows = [("call", html.text(self._where())), ("state", self._state.lower()), ("error", said)]
        return html.facts(f"Future of {self.function}", rows)

    @property
    def id(self) -> str:
        """The result's id: for manifests, other languages, other sessions of this client."""
        return result_id(self.grid_task.uid, self._index, DEFAULT_OUTPUT)

    @property
    def task(self) -> str:
        """Name of the Task that the call is part of."""
        return self.grid_task.name

    @property
    def index(self) -> int:
        """The call's element of that Task."""
        self._wait_placed()
        return self._index

    @property
    def grid_task(self) -> GridTask:
        """The Task that the call is part of."""
        self._wait_placed()
        if self._grid_task is None:
            raise self.exception() or NotConnected("the call was never sent")
        return self._grid_task

    @property
    def lost(self) -> bool:
        """Whether it ended before it was part of a Task."""
        return self._grid_task is None and self.done()

    @property
    def placed(self) -> bool:
        """Whether it is part of a Task, or never will be."""
        return self._placed.is_set()

    def result(self, timeout: float | None = None) -> R:
        """The value; fetched and decoded at the first call, then kept.

        Args:
            timeout: seconds to wait; None waits without end.

        Raises:
            WaitTimeout: the time is over; nothing is cancelled.
            CancelledError: it was cancelled.
            RuntimeError: it would block the event loop.
            Exception: what the function raised; `WorkerLost`, `TaskTimeout`, `DependencyFailed`.
        """
        self._may_block()
        try:
            super().result(timeout)
        except TimeoutError:
            if self.done():
                raise
            raise WaitTimeout(f"{self!r}: not there after {timeout} s") from None
        with self._reading:
            if self._unread is not None:
                data = self._unread
                if not isinstance(data, bytes):
                    data = self.session.run(self.session.read(data))
                self._keep(data)
        value: R = self._value
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What `result` would raise, None if it succeeded; arguments and errors as those of `result`."""
        self._may_block()
        try:
            return super().exception(timeout)
        except TimeoutError:
            if self.done():
                raise
            raise WaitTimeout(f"{self!r}: not there after {timeout} s") from None

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[R]], object]) -> None:
        """Call it with this future once it has ended: at once, or in the thread of the client's loop.

        What it raises is logged. `SystemExit` of a function, which `result` raises, ends no loop.
        """

        def call(ended: concurrent.futures.Future[R]) -> None:
            try:
                fn(ended)
            except Exception:
                raise  # the standard library logs it
            except BaseException:
                if not self.session.on_loop():
                    raise
                log.exception("a callback of %r failed", self)

        super().add_done_callback(call)

    def cancel(self) -> bool:
        """Cancel it, whether it waits or runs; False once it has ended."""
        if not super().cancel():
            return False
        if self._notify_cancelled():
            self.session.cancel_future(self)
        return True

    def info(self) -> ElementInfo:
        """Phase, executions, size; blocks for a moment."""
        return self.session.run(self.grid_task.element_info(self._index))

    def why(self) -> str:
        """Why it is not there yet, and what can be done; empty when it has ended. Blocks for a moment."""
        if self.done():
            return ""
        return self.session.run(self.grid_task.why(self._index)).text

    def logs(self) -> list[LogLine]:
        """What it printed so far; blocks for a moment."""
        return self.session.run(self.session.logs_of(self.task, self._index))

    def __await__(self) -> Generator[Any, None, R]:
        return self._awaited().__await__()

    def __reduce__(self) -> Any:
        """A placeholder in the call that is being encoded.

        Raises:
            NotPicklable: none is, or it is one of another client.
        """
        needs = needs_under_way()
        owner = needs.owner if needs is not None else None
        if owner is not None and getattr(owner, "client", None) is not self.session.client:
            raise NotPicklable("a Future of another client cannot be sent: send its value")
        if owner is not None and owner is not self.session:
            cast("Owner", owner).warn_foreign(self)
        return reduce_need(self, self)

    def exception_or_cancelled(self) -> BaseException | None:
        """What `result` would raise, also when it was cancelled. It has ended."""
        if self.cancelled():
            return concurrent.futures.CancelledError(repr(self))
        return super().exception(0)

    # For the session ------------------------------------------------------------------------------------

    def place(self, task: GridTask, index: int) -> None:
        """It is this element of this Task."""
        self._grid_task, self._index = task, index
        self._placed.set()

    def succeed(self, place: Place, size: int = 0) -> None:
        """Its value is there, of this many bytes; bytes are the envelope itself."""
        self._unread, self._unread_bytes = place, size
        try:
            self.set_result(None)  # type: ignore[arg-type]  # `result` gives the value
        except concurrent.futures.InvalidStateError:
            self._unread = None  # it was cancelled meanwhile

    def succeed_with(self, value: R) -> None:
        """Its value is known."""
        self._value = value
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # it was cancelled meanwhile
            self.set_result(value)

    def fail(self, error: BaseException) -> None:
        """It never will be; a cancelled one stays so."""
        self._placed.set()
        if isinstance(error, concurrent.futures.CancelledError):
            concurrent.futures.Future.cancel(self)
            self._notify_cancelled()
            return
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self.set_exception(error)

    @property
    def watched(self) -> bool:
        """Whether somebody is called back, who will ask for the value at once and must not wait."""
        return bool(self._done_callbacks)  # type: ignore[attr-defined]  # of the standard library

    @property
    def unread(self) -> Ended | None:
        """Where its value is, if that is there and has to be fetched."""
        place = self._unread
        if place is None or isinstance(place, bytes) or not self.done():
            return None
        return Ended(self._index, place, size=self._unread_bytes)

    def fetched(self, data: bytes) -> None:
        """Its envelope, fetched together with others. Whoever reads it just now needs it no more."""
        if self._reading.acquire(blocking=False):
            try:
                if self._unread is not None:
                    self._unread = data
            finally:
                self._reading.release()

    async def envelope(self) -> bytes:
        """Its envelope, once it is there. On the loop."""
        await self.over()
        if (error := concurrent.futures.Future.exception(self)) is not None:
            raise error
        place = self._unread
        if place is None:
            return bytes(encode_value(self._value))
        return place if isinstance(place, bytes) else await self.session.read(place)

    async def _awaited(self) -> R:
        await self.over()
        if self._unread is not None and not isinstance(self._unread, bytes):
            self._keep(await self.session.run_async(self.session.read(self._unread)))
        return self.result()

    async def over(self) -> None:
        """Until it has ended."""
        if self.done():
            return
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def wake() -> None:
            if not ended.done():
                ended.set_result(None)

        self.add_done_callback(lambda _: loop.call_soon_threadsafe(wake))
        await ended

    def _keep(self, data: bytes) -> None:
        self._value = decode(data)
        self._unread = None

    def _notify_cancelled(self) -> bool:
        """Wake who waits for it, once: the user and the session may cancel it in the same moment."""
        with self._condition:
            first = self._state == "CANCELLED"
            if first:
                self.set_running_or_notify_cancel()
        return first

    def _may_block(self) -> None:
        if not self.done():
            self.session.client.check_process()
        if self.session.on_loop() and not (
            self.done() and (self._unread is None or isinstance(self._unread, bytes))
        ):
            raise RuntimeError(BLOCKS)

    def _wait_placed(self) -> None:
        if self._placed.is_set():
            return
        if self.session.on_loop():
            raise RuntimeError("the call is not sent yet: `await session.sent()` first, or await the future")
        if not self._placed.wait(PLACING_SECONDS):
            raise WaitTimeout(f"the call of {self.function} is not sent after {PLACING_SECONDS} s")
