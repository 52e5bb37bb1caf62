"""The process that has imported the user's module and forks a fresh executor from itself.

It is forked before anything is imported that must not be (gRPC, threads), so a copy is ready in
milliseconds. It speaks to the serving process over one socket, a message each: `fork` with the executor's end
of a connection and its pipes for standard output and error, answered by `forked <pid>`; `kill <pid>`; and
`ended <pid> <status>` of its own accord. It alone kills and reaps, so a process id is never another
process's.
"""

import gc
import os
import selectors
import signal
import socket
from typing import NoReturn

from armonik_sdk.worker.element import Function
from armonik_sdk.worker.executor import leftovers
from armonik_sdk.worker.executor.log_prefix import Speaker, prepare, speak_into
from armonik_sdk.worker.executor.process import execute

MESSAGE = 128
AGAIN = 0.1
"""Seconds between two looks at processes that were ended and are not gone."""


def hold(function: Function, control: socket.socket, secret: bytes) -> NoReturn:
    """Fork, kill, reap, until the serving process is gone; then nothing is left."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the serving process ends, and with it this one
    prepare()
    leftovers.adopt_orphans()
    gc.freeze()
    _Template(function, control, secret).run()


class _Template:
    """The executors of this process."""

    def __init__(self, function: Function, control: socket.socket, secret: bytes) -> None:
        self._function, self._control, self._secret = function, control, secret
        self._living: dict[int, int] = {}
        """Process ids of executors, and the descriptors that report their end."""
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(control, selectors.EVENT_READ, None)
        self._swept = True

    def run(self) -> NoReturn:
        while True:
            for key, _ in self._waiting.select(None if self._swept else AGAIN):
                if key.data is None:
                    self._obey()
                else:
                    self._reap(key.data)
            if not self._swept:
                self._swept = leftovers.sweep(self._living, wait=False)

    def _obey(self) -> None:
        try:
            message, fds, *_ = socket.recv_fds(self._control, MESSAGE, 3)
        except ConnectionError:  # it ended with messages of this process unread
            self._end()
        if not message:
            self._end()
        word, _, rest = message.decode().partition(" ")
        if word == "fork":
            pid = self._fork(fds)
            self._living[pid] = os.pidfd_open(pid)
            self._waiting.register(self._living[pid], selectors.EVENT_READ, pid)
            self._tell(f"forked {pid}")
        elif int(rest) in self._living:
            _kill(int(rest))

    def _fork(self, fds: list[int]) -> int:
        pid = os.fork()
        if not pid:
            self._be_executor(*fds)
        for fd in fds:
            os.close(fd)
        return pid

    def _be_executor(self, connection: int, out: int, err: int) -> NoReturn:
        os.setsid()
        self._waiting.close()
        self._control.close()
        for pidfd in self._living.values():
            os.close(pidfd)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        leftovers.adopt_orphans()
        speak_into((out, err))
        execute(self._function, socket.socket(fileno=connection), Speaker(self._secret))

    def _reap(self, pid: int) -> None:
        _kill(pid)  # also what it has started; before it is reaped, or its number might be another's
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        pidfd = self._living.pop(pid)
        self._waiting.unregister(pidfd)
        os.close(pidfd)
        # Before the end is reported: the receiver may rely on nothing being left.
        self._swept = leftovers.sweep(self._living, wait=False)
        self._tell(f"ended {pid} {status}")

    def _tell(self, message: str) -> None:
        """Say something to the serving process; when that is gone, so is this one."""
        try:
            self._control.send(message.encode())
        except ConnectionError:
            self._end()

    def _end(self) -> NoReturn:
        for pid in self._living:
            _kill(pid)
        leftovers.sweep(())
        os._exit(0)


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # before it has a group of its own there is only itself
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
