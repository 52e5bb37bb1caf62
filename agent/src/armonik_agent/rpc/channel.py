"""The calling side: one connection to a server on a unix socket, made when a call needs it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from armonik_agent.rpc import frames, headers, status
from armonik_agent.rpc.connection import Connection, Stream, message_of
from armonik_agent.rpc.frames import Code, frame
from armonik_agent.rpc.headers import Headers

CONNECT_SECONDS = 5.0
MAX_STREAM = 2**31 - 1
_FIXED = headers.write(
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "localhost"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("grpc-accept-encoding", "identity,gzip"),
)


class Channel:
    """What generated stubs call. Its calls may be awaited, which raises AioRpcError, or cancelled."""

    def __init__(self, socket: Path, max_answer_bytes: int) -> None:
        self._socket, self._limit = socket, max_answer_bytes
        self._connection: _Client | None = None
        self._connecting = asyncio.Lock()

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **_: object,
    ) -> Callable[..., asyncio.Task[Any]]:
        """One method: called with a request and a time-out in seconds it begins a call."""
        path = headers.write((":path", method))

        async def _call(request: bytes, timeout: float) -> Any:
            connection = await self._connected()
            return response_deserializer(await connection.call(path, request, timeout))

        def begin(request: Any, timeout: float) -> asyncio.Task[Any]:
            return asyncio.get_running_loop().create_task(_call(request_serializer(request), timeout))

        return begin

    async def close(self) -> None:
        """Close the connection; calls that go on fail."""
        if self._connection is not None:
            self._connection.transport.close()

    async def _connected(self) -> "_Client":
        connection = self._connection
        if connection is not None and connection.open:
            return connection
        async with self._connecting:
            if self._connection is None or not self._connection.open:
                self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> "_Client":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return (await loop.create_unix_connection(lambda: _Client(self._limit), str(self._socket)))[1]
        except OSError as error:  # TimeoutError is one
            text = f"nobody answers on {self._socket.name}: {error or 'timed out'}"
            raise status.failure(grpc.StatusCode.UNAVAILABLE, text) from error


class _Client(Connection):
    def __init__(self, limit: int) -> None:
        super().__init__(limit, {frames.ENABLE_PUSH: 0}, frames.PREFACE)
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._next = 1
        self.open = True
        """Whether calls may begin on it."""

    def call(self, path: bytes, request: bytes, timeout: float) -> asyncio.Future[bytes]:
        """Begin a call; cancelling what it returns resets the stream."""
        loop = asyncio.get_running_loop()
        stream = self.new_stream(self._next)
        self._next += 2
        if self._next > MAX_STREAM:
            self.open = False  # the next call makes another connection; this one closes with its last call
        future: asyncio.Future[bytes] = loop.create_future()
        self._calls[stream.number] = future
        timer = loop.call_later(timeout, self._time_out, stream)
        future.add_done_callback(lambda done: self._end(stream, timer))
        block = _FIXED + path + headers.write(("grpc-timeout", _timeout(timeout)))
        self.send(stream, frame(frames.HEADERS, frames.END_HEADERS, stream.number, block), request)
        return future

    def _end(self, stream: Stream, timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        self._calls.pop(stream.number, None)
        if stream.number in self.streams and not self.transport.is_closing():
            self.reset(stream, Code.CANCEL)  # given up, or the answer came before all of the request had gone
        if not self.open and not self._calls:
            self.transport.close()

    def _time_out(self, stream: Stream) -> None:
        self._fail(stream, status.failure(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def _fail(self, stream: Stream, error: grpc.aio.AioRpcError) -> None:
        future = self._calls.get(stream.number)
        if future is not None and not future.done():
            future.set_exception(error)

    def _on_headers(self, number: int, headers: Headers, ended: bool) -> None:
        stream = self.streams.get(number)
        if stream is None:
            return
        if not ended:
            stream.headers = stream.headers or headers
            return
        self._finished(stream)
        error = status.of_headers(
            headers if "grpc-status" in headers else {**(stream.headers or {}), **headers}
        )
        if error is not None:
            self._fail(stream, error)
            return
        message = message_of(stream, stream.headers or headers, self.limit)
        future = self._calls.get(number)
        if message is None:
            text = "the answer is not one readable message"
            self._fail(stream, status.failure(grpc.StatusCode.INTERNAL, text))
        elif future is not None and not future.done():
            future.set_result(message)

    def _finished(self, stream: Stream) -> None:
        if stream.pending is None:
            del self.streams[stream.number]

    def _on_data(self, stream: Stream) -> None:
        if stream.ended:  # without the headers that say how it went
            self._finished(stream)
            self._fail(stream, status.of_headers(stream.headers or {}) or status.unsaid())

    def _on_too_long(self, stream: Stream) -> None:
        text = f"an answer of more than {self.limit} bytes"
        self._fail(stream, status.failure(grpc.StatusCode.RESOURCE_EXHAUSTED, text))

    def _on_reset(self, stream: Stream, code: int) -> None:
        self._fail(stream, status.of_reset(code))

    def _on_goaway(self, last: int) -> None:
        self.open = False
        for number in [number for number in self.streams if number > last]:
            stream = self.streams.pop(number)
            self._fail(stream, status.failure(grpc.StatusCode.UNAVAILABLE, "the server takes no more calls"))
        if not self._calls:
            self.transport.close()

    def _on_lost(self, reason: str) -> None:
        self.open = False
        for stream in list(self.streams.values()):
            self._fail(stream, status.failure(grpc.StatusCode.UNAVAILABLE, f"connection lost: {reason}"))
        self.streams.clear()


def _timeout(seconds: float) -> str:
    """At most eight digits and a unit."""
    milliseconds = max(1, round(seconds * 1000))
    return f"{milliseconds}m" if milliseconds < 10**8 else f"{min(milliseconds // 1000, 10**8 - 1)}S"
