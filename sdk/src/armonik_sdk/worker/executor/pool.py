"""The serving process's side of executors: starts and ends them, sends work and receives results."""

import asyncio
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from armonik_sdk.api.runcall import frame, unframe
from armonik_sdk.worker.executor.forkserver import MESSAGE
from armonik_sdk.worker.executor.log_reader import Hearing
from armonik_sdk.worker.executor.process import LENGTH, split_frames
from armonik_sdk.worker.executor.transcript import Transcript

log = logging.getLogger(__name__)

PACE: Final = 0.01
"""Seconds between two looks at what a busy executor has said; each wakes this process."""
ENVIRONMENTS: Final = 4
"""Of idle executors; an executor imports from one alone."""
_READ: Final = 256 * 1024


class Child:
    """One executor."""

    def __init__(self, connection: socket.socket, kill: Callable[["Child"], None]) -> None:
        self.pid = 0
        self.on_ended: Callable[[list[tuple[dict[str, Any], list[memoryview]]]], None] | None = None
        """Called with each message of the executor; None while it is unused."""
        self.on_death: Callable[[str], None] | None = None
        """Called with how it ended."""
        self.dead = False
        self.transcript = Transcript()
        """What its elements print."""
        self.environment = ""
        """SHA-256 of what its functions import from; it can import from no other."""
        self._connection, self._kill = connection, kill
        self._loop = asyncio.get_running_loop()
        self._out: deque[memoryview] = deque()
        self._pending = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(connection, self._heard)

    def send(self, head: dict[str, Any], blobs: list[memoryview]) -> None:
        """Give it a frame; it is kept here while the executor does not take it."""
        if self.dead:
            return
        data = frame(head, blobs)
        self._out += (memoryview(LENGTH.pack(len(data))), memoryview(data))
        self._write()

    def kill(self) -> None:
        """End it; `on_death` follows."""
        if not self.dead:
            self._kill(self)

    def look(self) -> None:
        """Read at once what it has sent."""
        if self.dead:
            return
        data = self._read()
        self._pending += data
        frames = [unframe(one) for one in split_frames(self._pending)]
        if frames and self.on_ended is not None:
            self.on_ended(frames)

    def died(self, how: str) -> None:
        """It has been reaped: read what is left of its output, then inform its user."""
        self.look()
        self.dead = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)
        self._connection.close()
        if self.on_death is not None:
            self.on_death(how)

    def _heard(self) -> None:
        self._loop.remove_reader(self._connection)
        self.look()
        self._timer = self._loop.call_later(PACE, self._listen)

    def _listen(self) -> None:
        if not self.dead:
            self._loop.add_reader(self._connection, self._heard)

    def _read(self) -> bytes:
        parts = []
        while True:
            try:
                data = self._connection.recv(_READ)
            except (BlockingIOError, ConnectionError):
                break
            if not data:
                break
            parts.append(data)
        return b"".join(parts)

    def _write(self) -> None:
        while self._out:
            try:
                sent = self._connection.send(self._out[0])
            except BlockingIOError:
                self._loop.add_writer(self._connection, self._write)
                return
            except ConnectionError:
                self._out.clear()  # it is dead, and the template is about to say so
                break
            if sent == len(self._out[0]):
                self._out.popleft()
            else:
                self._out[0] = self._out[0][sent:]
        self._loop.remove_writer(self._connection)


class Children:
    """All executors; unused ones wait for the next call."""

    def __init__(self, control: socket.socket, hearing: Hearing, gone: Callable[[], None]) -> None:
        """`control` leads to the template; `gone` is called when that has ended."""
        self._control, self._hearing, self._gone = control, hearing, gone
        self._idle: list[Child] = []
        self._living: dict[int, Child] = {}
        self._forking: deque[tuple[Child, asyncio.Future[None]]] = deque()
        control.setblocking(False)
        asyncio.get_running_loop().add_reader(control, self._read_control)

    async def take(self, environment: str = "") -> Child:
        """An executor with this environment that is there, or a fresh one."""
        self._idle = [child for child in self._idle if not child.dead]
        for child in reversed(self._idle):
            if child.environment == environment:
                self._idle.remove(child)
                return child
        mine, other = socket.socketpair()
        mine.setblocking(False)
        child = Child(mine, self._kill)
        child.environment = environment
        forked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._forking.append((child, forked))
        pipes, child.transcript = self._hearing.open()
        with other:
            socket.send_fds(self._control, [b"fork"], [other.fileno(), *pipes])
        for pipe in pipes:
            os.close(pipe)
        try:
            await asyncio.shield(forked)
        except asyncio.CancelledError:
            forked.add_done_callback(lambda _: self._idle.append(child))
            raise
        return child

    def catch_up(self, transcript: Transcript) -> None:
        """Take into its transcript what an executor has printed by now."""
        self._hearing.catch_up(transcript)

    def give_back(self, child: Child) -> None:
        """It has nothing to do any more."""
        child.on_ended = child.on_death = None
        if not child.dead:
            self._idle.append(child)
            self._keep_few_environments()

    def _keep_few_environments(self) -> None:
        """End idle executors of the environments that were used longest ago."""
        recent = list(dict.fromkeys(child.environment for child in reversed(self._idle)))[:ENVIRONMENTS]
        for child in [child for child in self._idle if child.environment not in recent]:
            self._idle.remove(child)
            self.discard(child)

    def discard(self, child: Child) -> None:
        """Nobody wants what it does."""
        child.on_ended = child.on_death = None
        child.kill()

    def close(self) -> None:
        """Let the template end, and all executors with it."""
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        for child in [*self._living.values(), *(child for child, _ in self._forking)]:
            child.on_ended = child.on_death = None
            child.died("is of no use any more")
        self._living.clear()

    def _kill(self, child: Child) -> None:
        self._control.send(f"kill {child.pid}".encode())

    def _read_control(self) -> None:
        try:
            message = self._control.recv(MESSAGE)
        except ConnectionError:
            message = b""
        if not message:
            asyncio.get_running_loop().remove_reader(self._control)
            self._gone()
            return
        word, *numbers = message.decode().split()
        if word == "forked":
            child, forked = self._forking.popleft()
            child.pid = int(numbers[0])
            self._living[child.pid] = child
            if not forked.done():
                forked.set_result(None)
        else:
            self._living.pop(int(numbers[0])).died(_how(int(numbers[1])))


def _how(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"ended with code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    more = ", perhaps for want of memory" if -status == signal.SIGKILL else ""
    return f"was killed by {name}{more}"
