"""The executor's end of its output: standard output and error are pipes that `log_reader` reads.

They stay the text files that Python made of them, with all that programs expect of such; programs that the
function starts inherit them. Marks in the output separate the elements: a secret, then the task's id.
"""

import contextlib
import io
import os
import sys
from typing import Any, Final

_STREAMS: Final = (1, 2)


def prepare() -> None:
    """Make the streams what an executor's shall be; what was printed before is written once."""
    for stream in (sys.stdout, sys.stderr):
        # A module may put there what it likes; what cannot be changed stays as it is.
        with contextlib.suppress(Exception):
            if isinstance(stream, io.TextIOWrapper):
                # Whole lines at once: what was said before a crash is in the log.
                stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
            stream.flush()


def speak_into(pipes: tuple[int, int]) -> None:
    """Let standard output and error lead into these pipes, also for whoever holds the files already."""
    for number, pipe in zip(_STREAMS, pipes, strict=True):
        os.dup2(pipe, number)
        os.close(pipe)


class Speaker:
    """Marks which element the following output belongs to, and flushes the output."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._files: tuple[Any, Any] = (sys.stdout, sys.stderr)

    def begin(self, task_id: str) -> None:
        """What follows is about this one. Below 4 KiB a write to a pipe is in one piece."""
        mark = self._secret + task_id.encode() + b"\n"
        for number in _STREAMS:
            with contextlib.suppress(OSError):  # the function closed it
                os.write(number, mark)

    def end(self) -> None:
        """Say all that was printed, and have the streams again if the function replaced them.

        A function, or a program that it started, may leave them non-blocking, as event loops do: then a full
        pipe would take neither the rest of what was printed nor the next mark, and the next element had both.
        """
        for number in _STREAMS:
            with contextlib.suppress(OSError):  # the function closed it
                os.set_blocking(number, True)
        for stream in {id(one): one for one in (sys.stdout, sys.stderr, *self._files)}.values():
            # Whatever the function put there; a closed file raises ValueError, one of a user's anything.
            with contextlib.suppress(Exception):
                stream.flush()
        out, err = self._files
        self._files = sys.stdout, sys.stderr = _usable(out, 1), _usable(err, 2)


def _usable(stream: Any, number: int) -> Any:
    """The stream, or one like it when the function closed it; None where the process has none."""
    return _text(number) if getattr(stream, "closed", False) else stream


def _text(number: int) -> io.TextIOWrapper:
    """What Python makes of a standard stream at its start."""
    raw = io.FileIO(number, "w", closefd=False)
    raw.name = "<stdout>" if number == 1 else "<stderr>"
    text = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
    text.mode = "w"  # type: ignore[misc]  # as Python does itself
    return text
