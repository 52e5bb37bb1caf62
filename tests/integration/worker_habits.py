"""What functions do to the process that they run in; the payload says which."""

# ruff: noqa: T201 - what is printed is what is tried
import faulthandler
import logging
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import shared_memory
from pathlib import Path

from armonik_sdk.worker import Element, serve

logging.basicConfig(stream=sys.stdout, format="logged %(message)s", force=True)
pools: list[ProcessPoolExecutor] = []


def function(element: Element) -> bytes:
    what, *rest = element.payload.decode().split()
    return (globals()[what](*rest) or "done").encode()


def attributes() -> str:
    out, copy = sys.stdout, os.dup(sys.stdout.fileno())
    os.close(copy)
    out.reconfigure(line_buffering=True)
    out.buffer.write(b"bytes \xff\n")
    out.buffer.flush()
    assert sys.__stdout__ is out
    return f"{out.name} {out.mode} {out.encoding} {out.line_buffering} {out.isatty()} {sys.stderr.name}"


def plain(text: str) -> None:
    print(text)
    print(text, "to stderr", file=sys.stderr)
    logging.getLogger("some.where").warning(text)


def quiet() -> None:
    """Print nothing."""


def dots(count: str) -> None:
    for _ in range(int(count)):
        print(".", end="")
    print()


def bar(count: str) -> None:
    for number in range(int(count)):
        print(f"\r{number} of {count}", end="", flush=True)
    print(f"\r{count} of {count}")


def begun(text: str, marker: str) -> None:
    """Begin a line, and end only when the test has seen it."""
    print(text, end="", flush=True)
    while not Path(marker).exists():
        time.sleep(0.01)


def unended(text: str) -> None:
    print(text, end="")


def program(text: str) -> None:
    subprocess.run(["/bin/sh", "-c", f"echo {text}; echo {text} >&2"], check=True)


def crash(text: str) -> None:
    print(text)
    print("an unended line", end="", flush=True)
    faulthandler.enable()
    faulthandler._sigsegv()  # type: ignore[attr-defined]


def closes() -> None:
    print("before it is closed")
    sys.stdout.close()


def replaces() -> None:
    sys.stdout = None  # type: ignore[assignment]


def background(count: str) -> None:
    for _ in range(int(count)):
        subprocess.Popen(["sleep", "1000"])


def ended_ones(count: str) -> None:
    for _ in range(int(count)):
        subprocess.Popen(["true"])


def session() -> None:
    subprocess.Popen(["sleep", "1000"], start_new_session=True)


def daemon() -> None:
    """Forked twice, as daemons are, in a session of its own."""
    subprocess.run(["/bin/sh", "-c", "setsid sh -c 'sleep 1000 & sleep 1000' & exit 0"], check=True)


def hang() -> None:
    session()
    daemon()
    time.sleep(1000)


def die() -> None:
    session()
    daemon()
    os._exit(3)


def forks() -> None:
    """The copy comes out of the function too."""
    if not os.fork():
        return
    os.wait()


def own_status() -> str:
    """A child's end is the function's own to learn, however late."""
    child = subprocess.Popen(["/bin/sh", "-c", "exit 7"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return str(child.wait())


def square(number: int) -> int:
    return number * number


def pool() -> str:
    """Made by the first element, used by all."""
    if not pools:
        pools.append(ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")))
    return str(sum(pools[0].map(square, range(4)))) + f" {os.getpid()}"


def shared() -> str:
    memory = shared_memory.SharedMemory(create=True, size=16)
    memory.close()
    memory.unlink()
    return str(os.getpid())


if __name__ == "__main__":
    serve(function)
