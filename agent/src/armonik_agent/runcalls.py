"""The client's side of the call that gives a worker a whole run (ADR 0007); most workers do not serve it."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from armonik_sdk.api.runcall import METHOD, frame, unframe

PROBE_SECONDS = 3.0


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
                await self._call.write(frame(head, blobs))

    async def said(self, seconds: float) -> tuple[dict[str, Any], list[memoryview]]:
        """The next frame.

        Raises:
            TimeoutError: nothing came for so long.
            ValueError: what came is no frame, or the worker has ended the call.
            grpc.aio.AioRpcError: the call has failed.
        """
        async with asyncio.timeout(seconds):
            data = await self._call.read()
        if data is grpc.aio.EOF:
            raise ValueError("the worker ended the call before all elements had ended")
        return unframe(data)

    async def close(self) -> None:
        """Give no more, and wait for the end.

        Raises:
            grpc.aio.AioRpcError: the call has failed.
            TimeoutError: the worker does not end it.
        """
        async with self._writing:
            self._closed = True
            await self._call.done_writing()
        async with asyncio.timeout(PROBE_SECONDS):
            while await self._call.read() is not grpc.aio.EOF:
                pass

    def cancel(self) -> None:
        """End it; whoever waits in it is cancelled."""
        self._call.cancel()


class RunCalls:
    """Whether the worker takes whole runs, and calls that give it one."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._method: Callable[[], Any] = channel.stream_stream(METHOD)
        self._served: bool | None = None

    def forget(self) -> None:
        """Another worker may be there now."""
        self._served = None

    async def served(self) -> bool:
        """Whether it does; asked once, and again after `forget`. False for one that does not answer."""
        if self._served is None:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await self.begin().close()
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                    return False
                self._served = False
            except (TimeoutError, ValueError):
                return False
            else:
                self._served = True
        return self._served

    def begin(self) -> RunCall:
        """A call."""
        return RunCall(self._method())
