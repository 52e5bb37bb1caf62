"""The serving side: connections on a unix socket, and for each call a task with the servicer's method."""

import asyncio
import logging
import socket as sockets
from collections.abc import Awaitable, Callable, Iterable
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
Method = Callable[[bytes, "Context"], Awaitable[bytes]]


class Aborted(Exception):  # noqa: N818 - gRPC's word; it never leaves the package
    """A method has refused its call."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


class Context:
    """What a method may do with its call, apart from answering it."""

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with an error."""
        raise Aborted(code, details)


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
    async def call(request: bytes, context: Context) -> bytes:
        try:
            message = handler.request_deserializer(request)
        except Exception as error:  # whatever the message library raises
            raise Aborted(grpc.StatusCode.INTERNAL, f"the request cannot be read: {error}") from error
        answer: bytes = handler.response_serializer(await handler.unary_unary(message, context))
        return answer

    return call


@dataclass(slots=True)
class _Call:
    method: Method
    task: asyncio.Task[None] | None = None


class _Server(Connection):
    def __init__(
        self, find: Callable[[str], Method | None], limit: int, gone: Callable[["_Server"], None]
    ) -> None:
        super().__init__(limit, {frames.MAX_CONCURRENT_STREAMS: MAX_CALLS})
        self._find, self._gone = find, gone
        self._calls: dict[int, _Call] = {}
        self._last = 0
        self._preface: bytes | None = frames.PREFACE

    def say_goodbye(self) -> list[asyncio.Task[None]]:
        """Tell the peer that no further call is taken; the calls that go on."""
        goodbye = frames.number(self._last) + frames.number(Code.NO_ERROR)
        self.transport.write(frame(frames.GOAWAY, 0, 0, goodbye))
        return [call.task for call in self._calls.values() if call.task is not None]

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
            self._calls[number] = _Call(method)

    def _on_data(self, stream: Stream) -> None:
        if stream.ended:
            self._request_ended(stream)

    def _on_too_long(self, stream: Stream) -> None:
        text = f"a request of more than {self.limit} bytes"
        self._refuse(stream, grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    def _request_ended(self, stream: Stream) -> None:
        call = self._calls.get(stream.number)
        if call is None or call.task is not None:
            return
        request = message_of(stream, stream.headers or {}, self.limit)
        stream.received = bytearray()
        if request is None:
            text = "a request must be one message, as it is or with gzip"
            self._refuse(stream, grpc.StatusCode.UNIMPLEMENTED, text)
            return
        call.task = asyncio.get_running_loop().create_task(self._serve(stream, call.method, request))

    async def _serve(self, stream: Stream, method: Method, request: bytes) -> None:
        try:
            answer = await method(request, CONTEXT)
        except Aborted as refusal:
            self._refuse(stream, refusal.code, refusal.details)
        except Exception as error:  # noqa: BLE001 - the caller hears of it, and the log
            _log.exception("a method has failed: %s", (stream.headers or {}).get(":path"))
            self._refuse(stream, grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}")
        else:
            first = frame(frames.HEADERS, frames.END_HEADERS, stream.number, _FIRST)
            last = frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream.number, _LAST)
            if self.streams.get(stream.number) is stream:
                self.send(stream, first, answer, last)
        finally:
            self._ended(stream)

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
        self._calls.pop(stream.number, None)
        if stream.pending is None:
            self.streams.pop(stream.number, None)

    def _on_reset(self, stream: Stream, code: int) -> None:
        call = self._calls.pop(stream.number, None)
        if call is not None and call.task is not None:
            call.task.cancel()

    def _on_goaway(self, last: int) -> None:
        """It makes no more calls; those that go on are answered."""

    def _on_lost(self, reason: str) -> None:
        for call in self._calls.values():
            if call.task is not None:
                call.task.cancel()
        self._calls.clear()
        self.streams.clear()
        self._gone(self)
