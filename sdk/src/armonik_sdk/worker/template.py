"""The process that holds the user's module and makes a fresh copy of itself for each executor.

It is forked before anything is imported that must not be (gRPC, threads), so a copy is ready in
milliseconds. It speaks to the serving process over one socket, a message each: `fork` with the executor's end
of a connection, answered by `forked <pid>`; `kill <pid>`; and `ended <pid> <status>` of its own accord. It
alone kills and reaps, so a process id is never another process's.
"""

import gc
import os
import selectors
import signal
import socket
from typing import NoReturn

from armonik_sdk.worker.element import Function
from armonik_sdk.worker.executor import execute
from armonik_sdk.worker.speaking import tag_streams

MESSAGE = 128


def hold(function: Function, control: socket.socket) -> NoReturn:
    """Fork, kill, reap, until the serving process is gone; then nothing is left."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the serving process ends, and with it this one
    gc.freeze()
    living: dict[int, int] = {}
    with selectors.DefaultSelector() as waiting:
        waiting.register(control, selectors.EVENT_READ, None)
        while True:
            for key, _ in waiting.select():
                if key.data is not None:
                    _reap(control, waiting, living, key.data)
                    continue
                message, fds, *_ = socket.recv_fds(control, MESSAGE, 1)
                if not message:
                    for pid in living:
                        _kill(pid)
                    os._exit(0)
                word, _, rest = message.decode().partition(" ")
                if word == "fork":
                    pid = _fork(function, control, waiting, fds[0])
                    living[pid] = os.pidfd_open(pid)
                    waiting.register(living[pid], selectors.EVENT_READ, pid)
                    control.send(f"forked {pid}".encode())
                elif int(rest) in living:
                    _kill(int(rest))


def _fork(function: Function, control: socket.socket, waiting: selectors.BaseSelector, fd: int) -> int:
    pid = os.fork()
    if not pid:
        _be_executor(function, control, waiting, fd)
    os.close(fd)
    return pid


def _be_executor(
    function: Function, control: socket.socket, waiting: selectors.BaseSelector, fd: int
) -> NoReturn:
    os.setsid()
    waiting.close()
    control.close()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    streams = tag_streams()
    execute(function, socket.socket(fileno=fd), streams)


def _reap(control: socket.socket, waiting: selectors.BaseSelector, living: dict[int, int], pid: int) -> None:
    _kill(pid)  # also what it has started; before it is reaped, or its number might be another's
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    waiting.unregister(living[pid])
    os.close(living.pop(pid))
    control.send(f"ended {pid} {status}".encode())


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # before it has a group of its own there is only itself
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
