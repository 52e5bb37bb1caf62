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
from armonik_agent.rpc.headers import MALFORMED, HeaderReader, Headers, is_well_formed
from armonik_agent.rpc.room import Room

MAX_CALLS = 256
"""On one connection at a time."""
SHORT_BYTES = frames.DEFAULT_WINDOW - frames.PREFIX_BYTES
"""Requests up to this length are received at once, all others take turns in memory."""
_NOT_ONE = "a request must be one message, as it is or with gzip"
_FIRST = headers.write((":status", "200"), ("content-type", "application/grpc"))
_LAST = headers.write(("grpc-status", "0"))
_log = logging.getLogger(__name__)
Method = Callable[[Any, "Context"], bytes | Coroutine[Any, Any, bytes]]
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

    def __init__(self, max_request_bytes: int, too_long: Callable[[str], None] = lambda _: None) -> None:
        """Long requests share as many bytes as one may have; `too_long` is called for a longer one."""
        self._room, self._too_long = Room(max_request_bytes), too_long
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
        """Take no more calls, wait `grace` seconds for unfinished ones, and remove the socket.

        The worker's container gets its signal to end once the socket is gone (operator, `manifests/pod.py`).
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
        connection = _Server(self.find, self._room, self._connections.discard, self._too_long)
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

    def waiting_call(request: bytes, context: Context) -> Coroutine[Any, Any, bytes]:
        # Read at once: the coroutine then holds the message alone, and not its bytes beside it.
        return written(method(read(request), context))

    async def written(answer: Coroutine[Any, Any, Any]) -> bytes:
        data: bytes = write(await answer)
        return data

    return waiting_call if inspect.iscoroutinefunction(method) else call


class _Server(Connection):
    def __init__(
        self,
        find: Callable[[str], Method | None],
        room: Room,
        gone: Callable[["_Server"], None],
        too_long: Callable[[str], None],
    ) -> None:
        super().__init__(room.total, {frames.MAX_CONCURRENT_STREAMS: MAX_CALLS})
        self._find, self._room, self._gone, self._too_long = find, room, gone, too_long
        self._methods: dict[int, Method] = {}
        """Of requests that have begun and are not complete."""
        self._calls: dict[int, asyncio.Task[bytes]] = {}
        """Those that wait for something."""
        self._last = 0
        self._headers = HeaderReader(is_well_formed)
        self._given_up: dict[int, None] = {}
        """The youngest streams that were ended here before the peer had ended them: more of them may come."""
        self._preface: bytes | None = frames.PREFACE

    def say_goodbye(self) -> list[asyncio.Task[bytes]]:
        """Send GOAWAY: no further call is taken. Returns the unfinished calls."""
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

    def reset(self, stream: Stream, code: Code) -> None:
        """End a stream at once, and remember that more of it may come."""
        super().reset(stream, code)
        if not stream.ended:
            self._given_up[stream.number] = None
            if len(self._given_up) > MAX_CALLS:
                del self._given_up[next(iter(self._given_up))]

    def _is_idle(self, number: int) -> bool:
        return number > self._last or number % 2 == 0

    def _on_stray_data(self, number: int) -> None:
        if number not in self._given_up:
            self.transport.write(frame(frames.RST_STREAM, 0, number, frames.number(Code.STREAM_CLOSED)))

    def _on_headers(self, number: int, headers: Headers, ended: bool) -> None:
        stream = self.streams.get(number)
        if stream is not None:
            self._on_trailers(stream, headers, ended)
        elif number > self._last:
            self._begin(number, headers, ended)
        elif number not in self._given_up:
            raise BrokenConnection(Code.STREAM_CLOSED, "HEADERS of a stream that has ended")

    def _on_trailers(self, stream: Stream, headers: Headers, ended: bool) -> None:
        if stream.ended:
            self.end_broken(stream, Code.STREAM_CLOSED)
        elif not ended or headers is MALFORMED or ":path" in headers:
            self.end_broken(stream, Code.PROTOCOL_ERROR)
        else:
            stream.ended = True
            self._request_ended(stream)

    def _begin(self, number: int, headers: Headers, ended: bool) -> None:
        if number % 2 == 0:
            raise BrokenConnection(Code.PROTOCOL_ERROR, "a stream with a server's number")
        self._last = number
        stream = self.new_stream(number)
        stream.headers, stream.ended = headers, ended
        if len(self.streams) > MAX_CALLS:
            self.reset(stream, Code.REFUSED_STREAM)
            return
        if headers is MALFORMED or ":path" not in headers:
            self.reset(stream, Code.PROTOCOL_ERROR)
            return
        path = headers.get(":path", "")
        method = self._find(path)
        if method is None:
            self._refuse(stream, grpc.StatusCode.UNIMPLEMENTED, f"{path} is not served")
        else:
            self._methods[number] = method
            if ended:
                self._request_ended(stream)

    def _on_data(self, stream: Stream) -> None:
        if stream.turn is None and stream.length is not None:
            self._queue(stream, stream.length)
        if stream.ended:
            self._request_ended(stream)

    def _queue(self, stream: Stream, length: int) -> None:
        """Give a long request its turn; until then the peer may send no more of it than of a short one."""
        size = self.limit if stream.compressed else length
        if size <= SHORT_BYTES:
            return
        stream.turn = self._room.take(size, lambda: self._on_turn(stream))
        if stream.turn.granted:
            self._on_turn(stream)

    def _on_turn(self, stream: Stream) -> None:
        if stream.ended:
            self._request_ended(stream)
        elif self.streams.get(stream.number) is stream:
            self._grant(stream)

    def _on_too_long(self, stream: Stream) -> None:
        text = f"a request of {stream.length} bytes; the limit is {self.limit} bytes"
        self._too_long(text)
        self._refuse(stream, grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    def _on_surplus(self, stream: Stream) -> None:
        self._refuse(stream, grpc.StatusCode.UNIMPLEMENTED, _NOT_ONE)

    def _request_ended(self, stream: Stream) -> None:
        if stream.turn is not None and not stream.turn.granted:
            return
        method = self._methods.pop(stream.number, None)
        if method is None:
            return
        request = message_of(stream, stream.headers or {}, self.limit)
        if request is None:
            self._refuse(stream, grpc.StatusCode.UNIMPLEMENTED, _NOT_ONE)
            return
        if stream.turn is not None:
            stream.turn.shrink(len(request))
        try:
            answer = method(request, CONTEXT)
        except Exception as error:  # noqa: BLE001 - sent to the caller, and logged
            self._failed(stream, error)
            return
        if isinstance(answer, Coroutine):
            call = self._calls[stream.number] = asyncio.get_running_loop().create_task(answer)
            call.add_done_callback(lambda done: self._served(stream, done))
        else:
            self._answer(stream, answer)

    def _served(self, stream: Stream, call: asyncio.Task[bytes]) -> None:
        _release(stream)
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
        trailers = headers.write(
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", str(code.value[0])),
            ("grpc-message", status.message_header(details)),
        )
        flags = frames.END_HEADERS | frames.END_STREAM
        self.transport.write(frame(frames.HEADERS, flags, stream.number, trailers))
        if not stream.ended:
            self.reset(stream, Code.NO_ERROR)
        self._ended(stream)

    def _ended(self, stream: Stream) -> None:
        self._methods.pop(stream.number, None)
        self._calls.pop(stream.number, None)
        _release(stream)
        if stream.pending is None:
            self._on_sent(stream)

    def _on_sent(self, stream: Stream) -> None:
        self.streams.pop(stream.number, None)

    def _on_reset(self, stream: Stream, code: int) -> None:
        self._methods.pop(stream.number, None)
        call = self._calls.pop(stream.number, None)
        if call is not None:
            call.cancel()  # it holds its request until it has ended
        else:
            _release(stream)

    def _on_goaway(self, last: int) -> None:
        """It makes no more calls; unfinished ones are answered."""

    def _on_lost(self, reason: str) -> None:
        for call in self._calls.values():
            call.cancel()
        for number, stream in self.streams.items():
            if number not in self._calls:
                _release(stream)
        self._calls.clear()
        self._methods.clear()
        self.streams.clear()
        self._gone(self)


def _release(stream: Stream) -> None:
    if stream.turn is not None:
        stream.turn.release()
