"""A function for the end-to-end tests; options name the element that misbehaves, and how."""

import os
import signal
import time
from pathlib import Path

from armonik_sdk.worker import Abort, Element

MARKS = Path("/tmp")


def function(element: Element) -> bytes | None:
    options = element.options
    if "mode" in options:
        return calculate(options["mode"], element)
    if element.index >= int(options.get("slow", element.index + 1)):
        time.sleep(1)
    if element.index == int(options.get("index", "-1")):
        misbehave(options["how"], element)
    return f"{element.index}: {element.payload.decode()}".encode()


def calculate(mode: str, element: Element) -> bytes | None:
    """`squares` of the payload's numbers: a sub-task each, and one that adds them up in this one's place."""
    if mode == "square":
        return str(int(element.payload) ** 2).encode()
    if mode == "sum":
        return str(sum(map(int, element.dependencies.values()))).encode()
    numbers = element.payload.split()
    squares = [element.submit(number, options={"mode": "square"}) for number in numbers]
    element.submit(depends_on=squares, output="result", options={"mode": "sum"})
    if mode == "unkept":
        raise Abort("as requested")
    return None


def misbehave(how: str, element: Element) -> None:
    """`abort`, `sleep` without end; `raise` or `kill` its own process at its first execution."""
    print(f"about to {how}", flush=True)  # noqa: T201 - what is said reaches the log
    if how == "abort":
        raise Abort("as requested")
    if how == "sleep":
        time.sleep(3600)
    mark = MARKS / element.task_id
    if not mark.exists():
        mark.touch()
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("as requested")
