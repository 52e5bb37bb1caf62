"""A file over an asynchronous stream of bytes, for a client library that blocks."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future


class ChunkReader:
    """A readable file over pieces made on an event loop; to be read in another thread.

    Holds one piece at a time, and counts and hashes what was read.
    """

    def __init__(self, chunks: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._chunks = chunks
        self._loop = loop
        self._rest = memoryview(b"")
        self._digest = hashlib.sha256()
        self._next: Future[bytes | None] | None = None
        self._lock = threading.Lock()
        self._closed = False
        self.length = 0
        """Bytes read so far."""
        self.error: Exception | None = None
        """What the source raised."""

    @property
    def sha256(self) -> str:
        """Checksum of what was read so far."""
        return self._digest.hexdigest()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end.

        Raises:
            whatever the source raises, also to be found in `error`; CancelledError after `close`.
        """
        while not self._rest:
            piece = self._piece()
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        taken, self._rest = bytes(self._rest[:size]), self._rest[size:]
        self._digest.update(taken)
        self.length += len(taken)
        return taken

    def close(self) -> None:
        """Nobody waits for the upload any more: the thread that reads is let go."""
        with self._lock:
            self._closed = True
            if self._next is not None:
                self._next.cancel()

    def _piece(self) -> bytes | None:
        with self._lock:
            following = asyncio.run_coroutine_threadsafe(self._following(), self._loop)
            self._next = following
            if self._closed:
                following.cancel()
        try:
            return following.result()
        except Exception as error:
            self.error = error
            raise

    async def _following(self) -> bytes | None:
        async for chunk in self._chunks:
            return bytes(chunk)
        return None
