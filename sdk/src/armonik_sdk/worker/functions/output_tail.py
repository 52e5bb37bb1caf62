"""Keeps the last lines that a process prints, for the notes of exceptions.

What Python prints by `sys.stdout` and `sys.stderr` is seen; output of programs that it starts, and of C code,
is in the log alone.
"""

import io
import sys
from typing import Any, Final

LINES: Final = 20
MAX_BYTES: Final = 4 * 1024
"""Of these lines."""


class OutputTail:
    """The end of what was printed since `clear`; bounded, whatever is printed."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, data: Any) -> None:
        """Take what was written."""
        self._bytes += memoryview(data).cast("B")[-MAX_BYTES:]
        if len(self._bytes) > 2 * MAX_BYTES:
            del self._bytes[:-MAX_BYTES]

    def clear(self) -> None:
        """Forget it."""
        self._bytes.clear()

    def lines(self) -> list[str]:
        """The last lines, without what is blank at their ends."""
        text = bytes(self._bytes[-MAX_BYTES:]).decode(errors="replace")
        return [line.rstrip() for line in text.splitlines()[-LINES:]]


class _Watched(io.FileIO):
    """A standard stream whose writes are seen."""

    tail: OutputTail

    def write(self, data: Any, /) -> int:
        self.tail.add(data)
        return super().write(data)


tail: Final = OutputTail()
"""Of this process."""


def keep_tail() -> None:
    """Let the standard streams be watched; before anything holds them."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            continue
        stream.flush()
        raw = _Watched(number, "w", closefd=False)
        raw.name, raw.tail = f"<{name}>", tail
        text = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        text.mode = "w"  # type: ignore[misc]  # as Python does itself
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
