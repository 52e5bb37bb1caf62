"""Connections over HTTP that distinguish a slow server from one that is as good as silent, both ways.

The time-outs of a socket do not: one received byte satisfies that of a read, so a server that sends a byte a
second holds its caller for hours; that of a write is for all that is written at once, so what is sent over a
slow line to a server that takes it all the time fails.
"""

import http.client
import io
import socket
import time
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

SLOWEST = 1024
"""Bytes a second: who answers more slowly than this is taken for silent."""
PIECE_BYTES = 64 * 1024
"""Bytes of a request that the server has to take within the time for which it may be silent."""


class _Measured(io.RawIOBase):
    """What is received, as long as it is no slower than `SLOWEST`; pauses may be as long as the time-out."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._most = self._left = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if self._most is None or self._left is None:
            return self._raw.readinto(buffer)
        if self._left <= 0:
            raise TimeoutError(f"the server sends less than {SLOWEST} bytes a second")
        self._sock.settimeout(self._left)
        begun = time.monotonic()
        received = self._raw.readinto(buffer)
        waited = time.monotonic() - begun  # what the reader does in between is no matter of the server's
        self._left = min(self._most, self._left - waited + (received or 0) / SLOWEST)
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Measured(self.fp.detach(), sock))


class _Pieces:
    """Sends in pieces: each has the time-out for itself."""

    def send(self, data: Any) -> None:
        whole = memoryview(data) if isinstance(data, (bytes, bytearray)) else None
        if whole is None or len(whole) <= PIECE_BYTES:
            super().send(data)  # type: ignore[misc]  # of the connection that this is mixed into
            return
        for start in range(0, len(whole), PIECE_BYTES):
            super().send(whole[start : start + PIECE_BYTES])  # type: ignore[misc]


class _Plain(_Pieces, HTTPConnection):
    response_class = _Response


class _Secure(_Pieces, HTTPSConnection):
    response_class = _Response


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


_LOW = ("TCP_NOTSENT_LOWAT",)  # not on every platform
OPTIONS = [
    *HTTPConnection.default_socket_options,
    *((socket.IPPROTO_TCP, getattr(socket, name), PIECE_BYTES) for name in _LOW if hasattr(socket, name)),
]
"""Of sockets: few bytes wait in the kernel, for once all are sent the time for the answer begins."""
POOLS = {"http": _PlainPool, "https": _SecurePool}
"""By the scheme of the address, for `urllib3.PoolManager.pool_classes_by_scheme`."""
