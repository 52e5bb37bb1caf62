"""How far long work is: one line that a terminal refreshes, a line a minute elsewhere (logs of CI).

What a program prints is read for how far it is (`Compiled`, `Steps`, …); `Board` shows all that is under way.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TextIO

TERMINAL_SECONDS = 1.0
LOG_SECONDS = 60.0
_PREFIX = "[cluster] "
_CLEAR = "\r\x1b[K"


class Reader(Protocol):
    """Reads what a program prints, line by line."""

    def read(self, line: str) -> None:
        """Take the next line."""

    def words(self) -> str:
        """How far the program is; empty while that is not known."""


class Silent:
    """Of a program that does not say how far it is."""

    def read(self, line: str) -> None:
        """See `Reader`."""

    def words(self) -> str:
        """See `Reader`."""
        return ""


class Downloaded:
    """Of any Go command that fetches what it lacks."""

    def __init__(self) -> None:
        self._count = 0

    def read(self, line: str) -> None:
        """See `Reader`."""
        self._count += line.startswith("go: downloading ")

    def words(self) -> str:
        """See `Reader`."""
        return f"{self._count:,} modules downloaded" if self._count else "looking at its sources"


class Compiled:
    """Of `go build -v`, which names each package that it compiles.

    Args:
        total: how many it has to compile; 0 when that is not known.
    """

    _PACKAGE = re.compile(r"[\w.~/@+-]+")

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0

    def read(self, line: str) -> None:
        """See `Reader`."""
        self._done += self._PACKAGE.fullmatch(line.strip()) is not None

    def words(self) -> str:
        """See `Reader`."""
        if not self._total:
            return f"{self._done:,} packages compiled"
        if self._done >= self._total:
            return "linking"  # the last package is the program itself
        return f"{self._done:,} of {self._total:,} packages compiled"


class Steps:
    """Of an image build by buildah (`[2/3] STEP 1/4: …`) or Docker's BuildKit (`#7 [code 2/3] RUN …`)."""

    _LINE = re.compile(
        r"(?:\[(?P<stage>\d+)/(?P<stages>\d+)\] )?STEP (?P<step>\d+)/(?P<steps>\d+)"
        r"|#\d+ \[(?:(?P<name>[\w-]+) )?(?P<at>\d+)/(?P<last>\d+)\]"
    )

    def __init__(self) -> None:
        self._words = ""

    def read(self, line: str) -> None:
        """See `Reader`."""
        found = self._LINE.match(line)
        if found is None:
            return
        step, steps = found["step"] or found["at"], found["steps"] or found["last"]
        where = found["name"] or (f"stage {found['stage']} of {found['stages']}" if found["stage"] else "")
        self._words = f"{where}, step {step} of {steps}" if where else f"step {step} of {steps}"

    def words(self) -> str:
        """See `Reader`."""
        return self._words


class Announced:
    """Of mmdebstrap, which announces each part of its work (`I: installing packages...`)."""

    def __init__(self) -> None:
        self._words = ""

    def read(self, line: str) -> None:
        """See `Reader`."""
        if line.startswith("I: "):
            self._words = line[3:].strip().rstrip(".")

    def words(self) -> str:
        """See `Reader`."""
        return self._words


def duration(seconds: float) -> str:
    """A duration for people, to the second."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def status(parts: list[tuple[str, str, float]]) -> str:
    """One line about all that is under way: what, how far, for how many seconds."""
    return "; ".join(
        f"{what}: {words}, {duration(seconds)}" if words else f"{what}: {duration(seconds)}"
        for what, words, seconds in parts
    )


def fitted(line: str, columns: int) -> str:
    """The line cut to a terminal's width: one that wraps could not be replaced by the next."""
    return line if len(line) < columns else f"{line[: max(0, columns - 2)]}…"


@dataclass
class Job:
    """Something long that is under way."""

    what: str
    since: float
    reader: Reader = field(default_factory=Silent)

    def read(self, line: str) -> None:
        """Take a line of what the program prints."""
        self.reader.read(line)


class Stale:
    """Of `go list -deps -f TEMPLATE`: counts the packages that no earlier build left in the cache.

    Args:
        job: is shown meanwhile; gets each line as well.
    """

    TEMPLATE = "{{if .Stale}}stale {{.ImportPath}}{{end}}"

    def __init__(self, job: Job) -> None:
        self._job = job
        self.count = 0

    def read(self, line: str) -> None:
        """Take a line of what the program prints."""
        self._job.read(line)
        self.count += line.startswith("stale ")


class Board:
    """Shows jobs and messages without one overwriting the other. Jobs may run side by side in threads.

    Args:
        out: what to write to; looked up each time.
        clock: seconds that only grow.
    """

    def __init__(self, out: Callable[[], TextIO], clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._jobs: list[Job] = []
        self._shown = 0.0
        self._on_screen = False
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def job(self, what: str, reader: Reader | None = None) -> Iterator[Job]:
        """Show a job until the end of the block; whoever runs it calls `tick` meanwhile."""
        job = Job(what, self._clock(), reader or Silent())
        with self._lock:
            if not self._jobs:
                self._shown = job.since
            self._jobs.append(job)
        try:
            yield job
        finally:
            with self._lock:
                self._jobs.remove(job)
                self._clear()

    def say(self, message: str) -> None:
        """Write a message on a line of its own."""
        with self._lock:
            self._clear()
            self._write(f"{_PREFIX}{message}\n")

    def tick(self) -> None:
        """Show how far everything is, when it is time to."""
        with self._lock:
            now = self._clock()
            terminal = _is_terminal(self._out())
            if not self._jobs or now - self._shown < (TERMINAL_SECONDS if terminal else LOG_SECONDS):
                return
            self._shown = now
            line = _PREFIX + status([(job.what, job.reader.words(), now - job.since) for job in self._jobs])
            if terminal:
                self._write(_CLEAR + fitted(line, shutil.get_terminal_size().columns))
                self._on_screen = True
            else:
                self._write(f"{line}\n")

    def _clear(self) -> None:
        if self._on_screen:
            self._write(_CLEAR)
            self._on_screen = False

    def _write(self, text: str) -> None:
        out = self._out()
        out.write(text)
        out.flush()


def _is_terminal(out: TextIO) -> bool:
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb"


BOARD = Board(lambda: sys.stderr)
"""The one of this process."""
