"""The calling side: one connection to a server on a unix socket, made when a call needs it."""

import asyncio
import functools
from collections import deque
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
LATER_SECONDS = 1.0
"""The deadline that the server gets is later than that of the call by this: some servers end a call at theirs
with a code of their own."""
# Pseudo-headers come before all other headers (RFC 9113, 8.3), else a strict server resets the stream.
_PSEUDO = headers.write((":method", "POST"), (":scheme", "http"), (":authority", "localhost"))
_REGULAR = headers.write(
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
    ) -> Callable[..., asyncio.Future[Any]]:
        """One method: called with a request and a time-out in seconds it begins a call."""
        path = headers.write((":path", method))

        async def connect_and_call(request: bytes, timeout: float) -> Any:
            connection = await self._connected()
            if not connection.open:  # lost before it could be used: no callback would end a call
                raise status.failure(grpc.StatusCode.UNAVAILABLE, "connection lost: it was closed at once")
            return await connection.call(path, request, timeout, response_deserializer)

        def begin(request: Any, timeout: float) -> asyncio.Future[Any]:
            data, connection = request_serializer(request), self._connection
            if connection is not None and connection.open:
                return connection.call(path, data, timeout, response_deserializer)
            return asyncio.get_running_loop().create_task(connect_and_call(data, timeout))

        return begin

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connection is not None and self._connection.open

    async def close(self) -> None:
        """Close the connection; unfinished calls fail."""
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


class _Call(asyncio.Future[Any]):
    """An unfinished call; cancelling it resets its stream."""

    stream: Stream | None = None
    """Absent while the server takes no further stream."""

    def __init__(
        self,
        head: bytes,
        request: bytes,
        deadline: float,
        read: Callable[[Any], Any],
        ended: Callable[["_Call"], None],
    ) -> None:
        super().__init__()
        self.head, self.request, self.deadline, self.read, self._ended = head, request, deadline, read, ended

    def cancel(self, msg: Any | None = None) -> bool:
        """Give it up."""
        cancelled = super().cancel(msg)
        if cancelled:
            self._ended(self)
        return cancelled


class _Client(Connection):
    def __init__(self, limit: int) -> None:
        settings = {frames.ENABLE_PUSH: 0, frames.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW}
        super().__init__(limit, settings, frames.PREFACE)
        self._calls: dict[int, _Call] = {}
        self._waiting: deque[_Call] = deque()
        """Until the server takes another stream."""
        self._timer: asyncio.Handle | None = None
        """One for all calls, at the first deadline or before: most calls end long before theirs."""
        self._rings = 0.0
        """When it rings; uvloop's handle does not know when that is at once."""
        self._next = 1
        self.open = True
        """Whether calls may begin on it."""

    def call(
        self, path: bytes, request: bytes, timeout: float, read: Callable[[Any], Any] = bytes
    ) -> asyncio.Future[Any]:
        """Begin a call; cancelling what it returns resets the stream."""
        deadline = asyncio.get_running_loop().time() + timeout
        call = _Call(_request_headers(path, timeout), request, deadline, read, self._end)
        self._wake_at(deadline)
        if len(self.streams) < self.most_streams:
            self._begin(call)
        else:
            self._waiting.append(call)
        return call

    def _begin(self, call: _Call) -> None:
        call.stream = stream = self.new_stream(self._next)
        self._calls[stream.number] = call
        self._next += 2
        if self._next > MAX_STREAM:
            self.open = False  # the next call makes another connection; this one closes with its last call
        self.send(stream, frame(frames.HEADERS, frames.END_HEADERS, stream.number, call.head), call.request)
        call.request = b""

    def _begin_waiting(self) -> None:
        while self._waiting and self._next <= MAX_STREAM and len(self.streams) < self.most_streams:
            call = self._waiting.popleft()
            if not call.done():
                self._begin(call)

    def _end(self, call: _Call) -> None:
        stream = call.stream
        if stream is None:  # it has not begun, and now never will
            return
        self._calls.pop(stream.number, None)
        if stream.number in self.streams and not self.transport.is_closing():
            self.reset(stream, Code.CANCEL)  # given up, or the answer came before all of the request had gone
            self._begin_waiting()
        if not self.open and not self._calls:
            self._fail_waiting("the server takes no more calls")
            self.transport.close()

    def _wake_at(self, deadline: float) -> None:
        if self._timer is not None:
            if self._rings <= deadline:
                return
            self._timer.cancel()
        self._rings, self._timer = deadline, asyncio.get_running_loop().call_at(deadline, self._time_out)

    def _time_out(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for call in [call for call in (*self._calls.values(), *self._waiting) if call.deadline <= now]:
            self._fail_call(call, status.failure(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
        self._waiting = deque(call for call in self._waiting if not call.done())
        if self._calls or self._waiting:
            self._wake_at(min(call.deadline for call in (*self._calls.values(), *self._waiting)))

    def _fail(self, stream: Stream, error: grpc.aio.AioRpcError) -> None:
        call = self._calls.get(stream.number)
        if call is not None:
            self._fail_call(call, error)

    def _fail_call(self, call: _Call, error: grpc.aio.AioRpcError) -> None:
        if not call.done():
            call.set_exception(error)
            self._end(call)

    def _fail_waiting(self, text: str) -> None:
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            self._fail_call(call, status.failure(grpc.StatusCode.UNAVAILABLE, text))

    def _answer(self, stream: Stream, message: bytes | bytearray) -> None:
        call = self._calls.get(stream.number)
        if call is None:
            return
        try:
            answer = call.read(message)
        except Exception as error:  # noqa: BLE001 - whatever the message library raises
            text = f"the answer cannot be read: {error}"
            self._fail(stream, status.failure(grpc.StatusCode.INTERNAL, text))
        else:
            call.set_result(answer)
            self._end(call)

    def _is_idle(self, number: int) -> bool:
        return number >= self._next or number % 2 == 0

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
        if message is None:
            text = "the answer is not one readable message"
            self._fail(stream, status.failure(grpc.StatusCode.INTERNAL, text))
        else:
            self._answer(stream, message)

    def _finished(self, stream: Stream) -> None:
        if stream.pending is None:
            del self.streams[stream.number]
            self._begin_waiting()

    def _on_data(self, stream: Stream) -> None:
        if stream.ended:  # without the headers that say how it went
            self._finished(stream)
            self._fail(stream, status.of_headers(stream.headers or {}) or status.unsaid())

    def _on_sent(self, stream: Stream) -> None:
        """The answer is still to come."""

    def _on_settings(self) -> None:
        self._begin_waiting()

    def _on_too_long(self, stream: Stream) -> None:
        text = f"an answer of {stream.length} bytes; the limit is {self.limit} bytes"
        self._fail(stream, status.failure(grpc.StatusCode.RESOURCE_EXHAUSTED, text))

    def _on_surplus(self, stream: Stream) -> None:
        self._fail(stream, status.failure(grpc.StatusCode.INTERNAL, "the answer is more than one message"))

    def _on_reset(self, stream: Stream, code: int) -> None:
        self._fail(stream, status.of_reset(code))
        self._begin_waiting()

    def _on_goaway(self, last: int) -> None:
        self.open = False
        for number in [number for number in self.streams if number > last]:
            stream = self.streams.pop(number)
            self._fail(stream, status.failure(grpc.StatusCode.UNAVAILABLE, "the server takes no more calls"))
        self._fail_waiting("the server takes no more calls")
        if not self._calls:
            self.transport.close()

    def _on_lost(self, reason: str) -> None:
        self.open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._fail_waiting(f"connection lost: {reason}")
        lost, self.streams = self.streams, {}
        for stream in lost.values():
            self._fail(stream, status.failure(grpc.StatusCode.UNAVAILABLE, f"connection lost: {reason}"))


@functools.lru_cache(maxsize=64)
def _request_headers(path: bytes, timeout: float) -> bytes:
    return _PSEUDO + path + headers.write(("grpc-timeout", _timeout(timeout + LATER_SECONDS))) + _REGULAR


def _timeout(seconds: float) -> str:
    """At most eight digits and a unit."""
    milliseconds = max(1, round(seconds * 1000))
    return f"{milliseconds}m" if milliseconds < 10**8 else f"{min(milliseconds // 1000, 10**8 - 1)}S"
