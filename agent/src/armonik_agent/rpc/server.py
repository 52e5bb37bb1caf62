"""The serving side: connections on a unix socket, whose calls the servicer's methods answer.

A method may be a plain function: it is answered before anything else is read, without a task of its own.
"""

import asyncio
import inspect
import logging
import socket as sockets
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import grpc

from armonik_agent.rpc import frames, headers, status
from armonik_agent.rpc.connection import Connection, Stream, message_of
from armonik_agent.rpc.frames import BrokenConnection, Code, frame
from armonik_agent.rpc.headers import Headers

MAX_CALLS = 256
"""On one connection at a time."""
_FIRST = headers.write((":status", "200"), ("content-type", "application/grpc"))
_LAST = headers.write(("grpc-status", "0"))
_log = logging.getLogger(__name__)
Method = Callable[[bytes, "Context"], bytes | Coroutine[Any, Any, bytes]]
"""One that waits for nothing gives its answer, any other a coroutine."""


class Aborted(Exception):  # noqa: N818 - gRPC's word; it never leaves the package
    """A method has refused its call."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


class Context:
    """What a method may do with its call, apart from answering it."""

    def refuse(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with an error."""
        raise Aborted(code, details)

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """The same, as `grpc.aio` has it."""
        self.refuse(code, details)


CONTEXT = Context()


class Server:
    """What a generated `add_…Servicer_to_server` adds to; methods take one message and return one."""

    def __init__(self, max_request_bytes: int) -> None:
        self._limit = max_request_bytes
        self._handlers: list[Any] = []
        self._methods: dict[str, Method] = {}
        self._connections: set[_Server] = set()
        self._server: asyncio.Server | None = None
        self._socket = Path()

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """What generated code calls."""
        self._handlers.extend(handlers)

    def find(self, path: str) -> Method | None:
        """The method of a path; None when nobody serves it with one message for one."""
        if path not in self._methods:
            found = (handler.service(_Details(path)) for handler in self._handlers)
            method = next((one for one in found if one is not None and one.unary_unary is not None), None)
            if method is None:
                return None
            self._methods[path] = _method(method)
        return self._methods[path]

    async def start(self, socket: Path) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._socket = socket
        self._server = await loop.create_unix_server(self._accept, str(socket), backlog=sockets.SOMAXCONN)

    async def stop(self, grace: float) -> None:
        """Take no more calls, give those that go on so many seconds, and remove the socket.

        The worker's container is told to end once the socket is gone (`resources/pod.py`).
        """
        if self._server is None:
            return
        self._server.close()
        tasks = [task for connection in self._connections for task in connection.say_goodbye()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for connection in list(self._connections):
            connection.transport.close()
        await asyncio.to_thread(self._socket.unlink, missing_ok=True)

    def _accept(self) -> "_Server":
        connection = _Server(self.find, self._limit, self._connections.discard)
        self._connections.add(connection)
        return connection


@dataclass(frozen=True)
class _Details:
    """What generic handlers ask of a call."""

    method: str


def _method(handler: Any) -> Method:
    method, write = handler.unary_unary, handler.response_serializer

    def read(request: bytes) -> Any:
        try:
            return handler.request_deserializer(request)
        except Exception as error:  # whatever the message library raises
            raise Aborted(grpc.StatusCode.INTERNAL, f"the request cannot be read: {error}") from error

    def call(request: bytes, context: Context) -> bytes:
        answer: bytes = write(method(read(request), context))
        return answer

    async def waiting_call(request: bytes, context: Context) -> bytes:
        answer: bytes = write(await method(read(request), context))
        return answer

    return waiting_call if inspect.iscoroutinefunction(method) else call


class _Server(Connection):
    def __init__(
        self, find: Callable[[str], Method | None], limit: int, gone: Callable[["_Server"], None]
    ) -> None:
        super().__init__(limit, {frames.MAX_CONCURRENT_STREAMS: MAX_CALLS})
        self._find, self._gone = find, gone
        self._methods: dict[int, Method] = {}
        """Of requests that have begun and are not complete."""
        self._calls: dict[int, asyncio.Task[bytes]] = {}
        """Those that wait for something."""
        self._last = 0
        self._preface: bytes | None = frames.PREFACE

    def say_goodbye(self) -> list[asyncio.Task[bytes]]:
        """Tell the peer that no further call is taken; the calls that go on."""
        goodbye = frames.number(self._last) + frames.number(Code.NO_ERROR)
        self.transport.write(frame(frames.GOAWAY, 0, 0, goodbye))
        return list(self._calls.values())

    def data_received(self, data: bytes) -> None:
        """The preface, then frames."""
        if self._preface is not None:
            begun, data = data[: len(self._preface)], data[len(self._preface) :]
            if not self._preface.startswith(begun):
                self.transport.abort()  # whatever it speaks, it is not HTTP/2
                return
            self._preface = self._preface[len(begun) :] or None
        super().data_received(data)

    def _on_headers(self, number: int, headers: Headers, ended: bool) -> None:
        stream = self.streams.get(number)
        if stream is None and number > self._last:
            self._begin(number, headers)
            stream = self.streams.get(number)
        if ended and stream is not None:
            stream.ended = True
            self._request_ended(stream)

    def _begin(self, number: int, headers: Headers) -> None:
        if number % 2 == 0:
            raise BrokenConnection(Code.PROTOCOL_ERROR, "a stream with a server's number")
        self._last = number
        stream = self.new_stream(number)
        stream.headers = headers
        if len(self.streams) > MAX_CALLS:
            self.reset(stream, Code.REFUSED_STREAM)
            return
        path = headers.get(":path", "")
        method = self._find(path)
        if method is None:
            self._refuse(stream, grpc.StatusCode.UNIMPLEMENTED, f"{path} is not served")
        else:
            self._methods[number] = method

    def _on_data(self, stream: Stream) -> None:
        if stream.ended:
            self._request_ended(stream)

    def _on_too_long(self, stream: Stream) -> None:
        text = f"a request of more than {self.limit} bytes"
        self._refuse(stream, grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    def _request_ended(self, stream: Stream) -> None:
        method = self._methods.pop(stream.number, None)
        if method is None:
            return
        request = message_of(stream, stream.headers or {}, self.limit)
        stream.received = b""
        if request is None:
            text = "a request must be one message, as it is or with gzip"
            self._refuse(stream, grpc.StatusCode.UNIMPLEMENTED, text)
            return
        try:
            answer = method(request, CONTEXT)
        except Exception as error:  # noqa: BLE001 - the caller hears of it, and the log
            self._failed(stream, error)
            return
        if isinstance(answer, bytes):
            self._answer(stream, answer)
        else:
            call = self._calls[stream.number] = asyncio.get_running_loop().create_task(answer)
            call.add_done_callback(lambda done: self._served(stream, done))

    def _served(self, stream: Stream, call: asyncio.Task[bytes]) -> None:
        error = None if call.cancelled() else call.exception()
        if error is not None:
            self._failed(stream, error)
        elif not call.cancelled():
            self._answer(stream, call.result())

    def _answer(self, stream: Stream, answer: bytes) -> None:
        if self.streams.get(stream.number) is stream:
            first = frame(frames.HEADERS, frames.END_HEADERS, stream.number, _FIRST)
            last = frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream.number, _LAST)
            self.send(stream, first, answer, last)
        self._ended(stream)

    def _failed(self, stream: Stream, error: BaseException) -> None:
        if isinstance(error, Aborted):
            self._refuse(stream, error.code, error.details)
            return
        path = (stream.headers or {}).get(":path")
        _log.error("a method has failed: %s", path, exc_info=error)
        self._refuse(stream, grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}")

    def _refuse(self, stream: Stream, code: grpc.StatusCode, details: str) -> None:
        """Answer with an error, and want no more of the request."""
        if self.streams.get(stream.number) is not stream:
            return
        said = headers.write(
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", str(code.value[0])),
            ("grpc-message", status.message_header(details)),
        )
        flags = frames.END_HEADERS | frames.END_STREAM
        self.transport.write(frame(frames.HEADERS, flags, stream.number, said))
        if not stream.ended:
            self.reset(stream, Code.NO_ERROR)
        self._ended(stream)

    def _ended(self, stream: Stream) -> None:
        self._methods.pop(stream.number, None)
        self._calls.pop(stream.number, None)
        if stream.pending is None:
            self._on_sent(stream)

    def _on_sent(self, stream: Stream) -> None:
        self.streams.pop(stream.number, None)

    def _on_reset(self, stream: Stream, code: int) -> None:
        self._methods.pop(stream.number, None)
        call = self._calls.pop(stream.number, None)
        if call is not None:
            call.cancel()

    def _on_goaway(self, last: int) -> None:
        """It makes no more calls; those that go on are answered."""

    def _on_lost(self, reason: str) -> None:
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()
        self._methods.clear()
        self.streams.clear()
        self._gone(self)
