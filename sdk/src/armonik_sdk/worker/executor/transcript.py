"""What the elements of an executor printed: the beginning and the end of each, until its end is reported.

The thread that reads the log adds to it, the event loop takes from it.
"""

import threading
from typing import Final

KEPT_BYTES: Final = 16 * 1024 * 1024
"""Of all elements of an executor whose text was not taken yet; then the oldest is dropped."""
OVERHEAD_BYTES: Final = 512
"""What an element takes here beside its text."""
NOTE_BYTES: Final = 64
"""Room for the line that says how much was left out."""


class Transcript:
    """The texts of one executor's elements."""

    def __init__(self) -> None:
        self.limit = 0
        """Most bytes that are kept of an element; 0 keeps nothing."""
        self._texts: dict[bytes, _Text] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, stream: object, element: bytes, data: bytes) -> None:
        """An element, by its id, printed more on this stream."""
        if not self.limit or not element:
            return
        with self._lock:
            text = self._texts.get(element)
            if text is None:
                text = self._texts[element] = _Text(self.limit)
                self._bytes += OVERHEAD_BYTES
            before = text.size
            text.add(stream, data)
            self._bytes += text.size - before
            while self._bytes > KEPT_BYTES and len(self._texts) > 1:
                self._remove(next(iter(self._texts)))

    def take(self, element: str) -> bytes:
        """What is kept of it, as UTF-8; empty when it printed nothing. It is forgotten here."""
        with self._lock:
            text = self._remove(element.encode())
        return text.bounded() if text is not None else b""

    def _remove(self, element: bytes) -> "_Text | None":
        text = self._texts.pop(element, None)
        if text is not None:
            self._bytes -= text.size + OVERHEAD_BYTES
        return text


class _Text:
    """Of one element: its streams together, in the order in which they were read."""

    def __init__(self, limit: int) -> None:
        self._limit = max(limit, 2 * NOTE_BYTES)
        self._half = self._limit // 2
        """Bytes of the beginning; the end has the rest."""
        self._head, self._tail = bytearray(), bytearray()
        self._total = 0
        self._stream: object = None
        """That printed last."""
        self._begun = False
        """The last line continues."""

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self._head) + len(self._tail)

    def add(self, stream: object, data: bytes) -> None:
        """Append it; a line that another stream has begun ends first."""
        if self._begun and self._stream is not stream:
            data = b"\n" + data
        self._stream, self._begun = stream, not data.endswith(b"\n")
        self._total += len(data)
        room, rest = self._half - len(self._head), self._limit - self._half
        self._head += data[:room]
        if len(data) > room:
            self._tail += data[room:][-rest:]
            if len(self._tail) > 2 * rest:
                del self._tail[:-rest]

    def bounded(self) -> bytes:
        """All of it, or its first and last lines around a note; bytes that are no UTF-8 become '?'."""
        if self._total <= self._limit:
            return _utf8(bytes(self._head + self._tail))
        most = (self._limit - NOTE_BYTES) // 2
        head, tail = bytes(self._head[:most]), bytes(self._tail[-most:])
        head = head[: head.rfind(b"\n") + 1 or len(head)]
        tail = tail[tail.find(b"\n") + 1 :] or tail
        left_out = self._total - len(head) - len(tail)
        ends = b"" if head.endswith(b"\n") else b"\n"
        return _utf8(head + ends + f"[{left_out} bytes are left out]\n".encode() + tail)


def _utf8(data: bytes) -> bytes:
    """The same if it is UTF-8; never longer."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode(errors="replace").replace("\N{REPLACEMENT CHARACTER}", "?").encode()
    return data
