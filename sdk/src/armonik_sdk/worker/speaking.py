"""What an element prints reaches the container's log with its task's id before each line."""

import io
import logging
import os
import sys


class Tagged(io.TextIOBase):
    """A text stream whose lines begin with a tag.

    Whole lines are written at once, past any buffer: what was said before a crash is in the log.
    """

    encoding = "utf-8"

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._tag = ""
        self._begun = ""

    def tag(self, text: str) -> None:
        """What follows is about this; a line that was begun before ends."""
        self.end()
        self._tag = text

    def end(self) -> None:
        """End a line that was begun."""
        if self._begun:
            self.write("\n")

    def write(self, text: str) -> int:
        """Print."""
        *lines, self._begun = (self._begun + text).split("\n")
        if lines:
            before = f"[{self._tag}] " if self._tag else ""
            self._put("".join(f"{before}{line}\n" for line in lines).encode(errors="backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Whole lines are written already; one that was begun stays, so that it is not torn."""

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """Of the stream below; what is written there has no tag."""
        return self._fd

    def _put(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]


def tag_streams() -> tuple[Tagged, Tagged]:
    """Replace standard output and error, also where logging has taken hold of them."""
    out, err = Tagged(1), Tagged(2)
    replaced = {id(sys.stdout): out, id(sys.stderr): err, id(sys.__stdout__): out, id(sys.__stderr__): err}
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            stream = replaced.get(id(getattr(handler, "stream", None)))
            if stream is not None and isinstance(handler, logging.StreamHandler):
                handler.setStream(stream)
    sys.stdout, sys.stderr = out, err
    return out, err
