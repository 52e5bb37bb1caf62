"""Talking to the user and to other programs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path


class ClusterError(Exception):
    """Something the user can mend; the message says how."""


def say(message: str) -> None:
    """Tell the user what happens; standard output stays free for answers."""
    print(f"[cluster] {message}", file=sys.stderr, flush=True)


def run(
    *command: str | Path,
    timeout: float = 120,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    log: Path | None = None,
) -> str:
    """Run a program to its end and return its standard output.

    Args:
        command: the program and its arguments.
        timeout: seconds it may take.
        cwd: folder to run in.
        env: variables on top of our own environment.
        stdin: text for its standard input.
        log: file that gets its output as well (appended, made if need be); then nothing is returned.

    Raises:
        ClusterError: it failed, took too long or is not installed; carries the end of its output.
    """
    words = [str(word) for word in command]
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(log.open("a")) if log else subprocess.PIPE
            done = subprocess.run(
                words,
                timeout=timeout,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                input=stdin,
                stdin=None if stdin is not None else subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT if log else subprocess.PIPE,
                text=True,
                check=False,
            )
    except FileNotFoundError as error:
        raise ClusterError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"gave up after {timeout:.0f} s: {' '.join(words)}") from error
    if done.returncode != 0:
        output = _tail(log.read_text()) if log else _tail((done.stderr or "") + (done.stdout or ""))
        raise ClusterError(f"failed with status {done.returncode}: {' '.join(words)}\n{output}")
    return "" if log else str(done.stdout)


def succeeds(*command: str | Path, timeout: float = 20) -> bool:
    """Whether the program ends with status 0 in time."""
    try:
        run(*command, timeout=timeout)
    except ClusterError:
        return False
    return True


def wait_until(what: str, holds: Callable[[], bool], timeout: float, every: float = 0.1) -> None:
    """Wait for a condition.

    Raises:
        ClusterError: it did not hold within `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > end:
            raise ClusterError(f"not so after {timeout:.0f} s: {what}")
        time.sleep(every)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file: two runs of the same work take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that holds {path}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _tail(text: str, lines: int = 30) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
