"""The two ends of a connection, joined in memory."""

import asyncio
from collections import deque
from typing import Any

from armonik_agent.rpc import channel, headers, server
from armonik_agent.rpc.room import Room

PATH = headers.write((":path", "/a.B/C"))
REQUEST = headers.write((":method", "POST"), (":scheme", "http")) + PATH
"""Headers with which a call may begin."""


class Pipe(asyncio.Transport):
    """Keeps what one end writes until the other is given it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: deque[bytes] = deque()
        self.all = bytearray()
        """Also what was carried already."""
        self.closed = False

    def write(self, data: Any) -> None:
        """Keep it."""
        if data:
            self.written.append(bytes(data))
            self.all += data

    def get_write_buffer_size(self) -> int:
        """Bytes that the other end has not been given."""
        return sum(map(len, self.written))

    def close(self) -> None:
        """Nothing more is written."""
        self.closed = True

    def abort(self) -> None:
        """The same."""
        self.closed = True

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.closed


class Pair:
    """A client and a server, joined by `carry`."""

    def __init__(self, method: server.Method, limit: int = 10**9) -> None:
        self.client = channel._Client(limit)
        self.refused: list[str] = []
        """Requests that were too long."""
        self.server = server._Server({"/a.B/C": method}.get, Room(limit), lambda _: None, self.refused.append)
        self.there, self.back = Pipe(), Pipe()
        self.client.connection_made(self.there)
        self.server.connection_made(self.back)

    def carry(self, size: int = 2**30) -> bool:
        """Give each end what the other wrote, in pieces of at most this size; whether there was anything."""
        moved = False
        for pipe, end in ((self.there, self.server), (self.back, self.client)):
            data = b"".join(pipe.written)
            pipe.written.clear()
            for at in range(0, len(data), size):
                moved = True
                end.data_received(data[at : at + size])
        return moved

    async def until(self, call: "asyncio.Future[bytes]", size: int = 2**30) -> bytes:
        """Carry until the call has ended."""
        while not call.done():
            self.carry(size)
            await asyncio.sleep(0)
        return await call


async def echo(request: bytes, _: server.Context) -> bytes:
    """The request, again."""
    return request
