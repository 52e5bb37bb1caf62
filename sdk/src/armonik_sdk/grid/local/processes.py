"""The processes of a local grid: a template, the executors it forks, and one element at a time on each."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

from armonik_sdk.grid.protocol import LogLine
from armonik_sdk.worker.executor.log_reader import Hearing, Log, Voice, new_secret
from armonik_sdk.worker.executor.pool import Children
from armonik_sdk.worker.run_scheduler import Running

ENVIRONMENTS: Final = "ARMONIK_ENVIRONMENTS"
"""Where executors unpack what they import from (`armonik_sdk.worker.functions.environments`)."""
LINES: Final = 10_000
"""Lines of output that are kept, of all elements together."""
LINE_BYTES: Final = 16 * 1024
"""Longest line that is kept whole."""
END_SECONDS: Final = 2.0
"""How long the template gets to end by itself."""


class Printed(Log):
    """What functions printed, kept in memory: the last lines, with the element that each is of."""

    def __init__(self) -> None:
        self.lines: deque[tuple[str, str]] = deque(maxlen=LINES)
        """Id of the element's task, and the line."""
        self._rest = b""

    def write(self, voice: Voice, data: bytes, *, begun: bool) -> None:
        """Take whole lines; one that is begun waits for its end, or for another writer."""
        self._rest += data
        *whole, rest = self._rest.split(b"\n")
        self._rest = rest if begun else b""
        for line in [*whole, *([rest] if rest and not begun else [])]:
            mark, _, text = line[:LINE_BYTES].decode(errors="replace").partition("] ")
            self.lines.append((mark.removeprefix("["), text) if text else ("", mark))

    def of(self, match: Callable[[str], bool]) -> list[LogLine]:
        """The lines of the elements that match, by id."""
        found = []
        for mark, text in self.lines:
            if match(mark):
                task, _, index = mark.rpartition(".")
                found.append(LogLine(task=task, index=int(index or 0), text=text))
        return found


class Processes:
    """Executors for one event loop."""

    def __init__(self, folder: Path) -> None:
        self.printed = Printed()
        self._folder = folder
        self._template: subprocess.Popen[bytes] | None = None
        self._children: Children | None = None
        self._hearing: Hearing | None = None
        self.broken = ""
        """Why no element can be executed."""

    def start(self) -> None:
        """Start the template; it imports what executors need, once."""
        secret = new_secret()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._template = subprocess.Popen(  # noqa: S603 - this Python and our module
                [sys.executable, "-m", "armonik_sdk.grid.local.template", str(theirs.fileno()), secret.hex()],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    ENVIRONMENTS: str(self._folder / "environments"),
                },
            )
        self._hearing = Hearing(secret, (self.printed, self.printed))
        self._children = Children(ours, self._hearing, self._gone)

    def run(self, head: dict[str, Any], blobs: list[memoryview]) -> "Run":
        """Execute the elements of a frame, one after the other, on one executor."""
        if self._children is None:
            self.start()
        assert self._children is not None
        return Run(self, self._children, head, blobs)

    async def close(self) -> None:
        """End all of them."""
        if self._children is None or self._template is None or self._hearing is None:
            return
        self._children.close()
        template, hearing = self._template, self._hearing
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(template.wait, END_SECONDS)
        if template.returncode is None:
            template.kill()
            await asyncio.to_thread(template.wait)
        await asyncio.to_thread(hearing.close)
        self._children = self._template = self._hearing = None

    def _gone(self) -> None:
        self.broken = "the process that starts executors has ended; does armonik_sdk import there?"


class Run:
    """Elements on an executor."""

    def __init__(
        self, processes: Processes, children: Children, head: dict[str, Any], blobs: list[memoryview]
    ) -> None:
        self._processes = processes
        self._left = {entry["index"] for entry in head["elements"]}
        self._running = Running(children)
        self._running.give(head, blobs)

    def stop(self, index: int) -> None:
        """End this one."""
        self._running.give({"stop": [index]}, [])

    async def ended(self) -> AsyncGenerator[tuple[dict[str, Any], list[memoryview]]]:
        """How each of them ended, with the blobs that this refers to."""
        try:
            while self._left and not self._processes.broken:
                for entry, blobs in await self._running.ended():
                    self._left.discard(entry["index"])
                    yield entry, blobs
            for index in self._left:
                yield {"index": index, "failed": self._processes.broken}, []
        finally:
            self._running.close()


def of_tasks(uids: Iterable[str]) -> Callable[[str], bool]:
    """Whether an element's id is of one of these tasks."""
    wanted = set(uids)
    return lambda mark: mark.rpartition(".")[0] in wanted
