"""The programs that a peer consists of, which never outlive the process that started them."""

import ctypes
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Final

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0


class Processes:
    """Programs in the order of their start."""

    def __init__(self) -> None:
        self._all: list[subprocess.Popen[bytes]] = []

    def spawn(self, *command: str) -> None:
        """Start one."""
        self._all.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent))

    def until(self, stands: Callable[[], bool], what: str) -> None:
        """Wait for it.

        Raises:
            AssertionError: one of the programs has ended, or it takes too long.
        """
        end = time.monotonic() + START_SECONDS
        while not stands():
            if time.monotonic() > end or any(process.poll() is not None for process in self._all):
                raise AssertionError(f"{what} does not start")
            time.sleep(0.1)

    def stop(self) -> None:
        """End them, the last one first."""
        for process in reversed(self._all):
            process.terminate()
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _end_with_parent() -> None:
    """In a new child: be asked to end when the parent ends, however it does (`PR_SET_PDEATHSIG`)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
