"""Talking to the user and to other programs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from .progress import BOARD


class ClusterError(Exception):
    """Something the user can fix; the message says how."""


def say(message: str) -> None:
    """Write what happens to standard error; standard output stays free for answers."""
    BOARD.say(message)


def run(
    *command: str | Path,
    timeout: float = 120,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program to its end and return its standard output.

    Args:
        command: the program and its arguments.
        timeout: seconds it may take.
        cwd: folder to run in.
        env: variables on top of our own environment.
        stdin: text for its standard input.

    Raises:
        ClusterError: it failed, took too long or is not installed; carries the end of its output.
    """
    words = [str(word) for word in command]
    with _explained(words, timeout):
        done = subprocess.run(
            words,
            timeout=timeout,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode != 0:
        raise _failure(done.returncode, words, done.stderr + done.stdout)
    return done.stdout


def run_logged(
    *command: str | Path,
    log: Path,
    timeout: float = 120,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    follow: Callable[[str], None] = lambda line: None,
) -> None:
    """Run a program to its end, its output appended to a file, and show meanwhile how far all jobs are.

    Args:
        command: the program and its arguments.
        log: gets its output; made if need be.
        timeout: seconds it may take.
        cwd: folder to run in.
        env: variables on top of our own environment.
        follow: gets each line of its output, as it comes.

    Raises:
        ClusterError: it failed, took too long or is not installed; carries the end of its output.
    """
    words = [str(word) for word in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out, log.open(errors="replace") as written, _explained(words, timeout):
        written.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            _await(process, written, follow, timeout)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        raise _failure(process.returncode, words, log.read_text(errors="replace"))


def _await(
    process: subprocess.Popen[bytes], written: TextIO, follow: Callable[[str], None], timeout: float
) -> None:
    end, begun, ended = time.monotonic() + timeout, "", False
    while not ended:
        try:
            process.wait(timeout=_LOOK_SECONDS)
            ended = True
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                raise
        *lines, begun = (begun + written.read()).split("\n")
        for line in lines:
            follow(line)
        BOARD.tick()


_LOOK_SECONDS = 0.5
"""How often the log of a program that runs is looked at."""


@contextlib.contextmanager
def _explained(words: list[str], timeout: float) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ClusterError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"gave up after {timeout:.0f} s: {' '.join(words)}") from error


def _failure(status: int, words: list[str], output: str) -> ClusterError:
    return ClusterError(f"failed with status {status}: {' '.join(words)}\n{_tail(output)}")


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
