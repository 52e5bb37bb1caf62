"""The client's side of the call that gives a worker a whole run (ADR 0007); most workers do not serve it."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio

from armonik_sdk.api.errors import explain
from armonik_sdk.api.kinds import WorkerInfo
from armonik_sdk.api.runcall import METHOD, frame, unframe

log = logging.getLogger(__name__)

PROBE_SECONDS = 3.0
NOTHING: Final = frame({})
"""A frame that asks for nothing."""
OTHER_WORKER = "armonik"
"""Kind of a worker that is given its elements one by one."""


class RunCall:
    """One call. Frames are sent in the order they are given, by whoever gives them."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._writing = asyncio.Lock()
        self._closed = False

    async def give(self, head: dict[str, Any], blobs: list[bytes]) -> None:
        """Send a frame; nothing once the call is over.

        Raises:
            grpc.aio.AioRpcError: the call has failed.
        """
        async with self._writing:
            if not self._closed and not self._call.done():
                with contextlib.suppress(grpc.aio.InternalError):  # it has just ended: reading says how
                    await self._call.write(frame(head, blobs))

    async def read(self, seconds: float) -> tuple[dict[str, Any], list[memoryview]]:
        """The next frame.

        Raises:
            TimeoutError: nothing came in that time.
            ValueError: what came is no frame, or the worker has ended the call.
            grpc.aio.AioRpcError: the call has failed.
        """
        async with asyncio.timeout(seconds):
            data = await self._call.read()
        if data is grpc.aio.EOF:
            raise ValueError("the worker ended the call before all elements had ended")
        return unframe(data)

    async def close(self) -> dict[str, Any]:
        """Give no more, and wait for the end; the head of what came last meanwhile.

        Raises:
            grpc.aio.AioRpcError: the call has failed.
            TimeoutError: the worker does not end it.
            ValueError: what came is no frame.
        """
        async with self._writing:
            self._closed = True
            with contextlib.suppress(grpc.aio.InternalError):  # it has just ended: reading says how
                await self._call.done_writing()
        async with asyncio.timeout(PROBE_SECONDS):
            head: dict[str, Any] = {}
            while (data := await self._call.read()) is not grpc.aio.EOF:
                head = unframe(data)[0]
            return head

    def cancel(self) -> None:
        """End it; whoever waits in it is cancelled."""
        self._call.cancel()


class RunCalls:
    """Whether the worker takes whole runs, and calls that give it one."""

    def __init__(
        self, channel: Callable[[], grpc.aio.Channel], ask: Callable[[bytes, float], Awaitable[bytes]]
    ) -> None:
        """`channel` makes the one for streams; `ask` is the same method, called with one message."""
        self._channel, self._ask = channel, ask
        self._served: bool | None = None
        self.about: WorkerInfo | None = None
        """What the worker is, as it said when it was asked last; None before."""

    def forget(self) -> None:
        """Another worker may be there now."""
        self._served = None

    async def served(self) -> bool:
        """Whether it does; asked once, and again after `forget`. False for one that does not answer."""
        if self._served is None and await self._is_unknown():
            self._served, self.about = False, WorkerInfo(kind=OTHER_WORKER)
        if self._served is None:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    # A worker that only starts is waited for: a call that fails at once says nothing of it.
                    head = await RunCall(self._method(wait_for_ready=True)).close()
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                    return False
                self._served, self.about = False, WorkerInfo(kind=OTHER_WORKER)
            except (TimeoutError, ValueError):
                return False
            else:
                self._served, self.about = True, _about(head.get("worker"))
        return self._served

    async def _is_unknown(self) -> bool:
        """Whether the worker knows no such call; asked without a channel for streams.

        The threads of that one wake up 10 times a second, also once it is closed: half of all wake-ups of an
        idle agent. Most workers never need it.
        """
        try:
            await self._ask(NOTHING, PROBE_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNIMPLEMENTED
        return False

    def _method(self, **options: Any) -> Any:
        return self._channel().stream_stream(METHOD)(**options)

    def begin(self) -> RunCall:
        """A call."""
        return RunCall(self._method())


def _about(value: Any) -> WorkerInfo:
    """What the worker says it is; one that says nothing, or too much, is known by what it serves."""
    try:
        return WorkerInfo.model_validate(value or {"kind": "function"})
    except ValueError as error:
        log.warning("what the worker says of itself is not understood: %s", explain(error))
        return WorkerInfo(kind="function")
