"""Counts what a coroutine does between two turns of the event loop, in lines of Python: no clock decides."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

Trace = Callable[[FrameType, str, Any], Any]


def most_lines_in_a_turn(work: Callable[[], Awaitable[object]]) -> int:
    """The most lines that one round of the loop takes while this runs, in a loop of its own.

    Each pass of a loop counts, comprehensions too; what C code does at once (sorting, copying) does not.
    """
    lines = most = 0

    def count(_: FrameType, event: str, __: object) -> Trace:
        nonlocal lines
        lines += event == "line"
        return count

    class Loop(asyncio.SelectorEventLoop):
        def _run_once(self) -> None:
            nonlocal lines, most
            super()._run_once()  # type: ignore[misc]
            most, lines = max(most, lines), 0

    async def run() -> None:
        await work()

    before = sys.gettrace()
    with asyncio.Runner(loop_factory=Loop) as runner:
        sys.settrace(count)
        try:
            runner.run(run())
        finally:
            sys.settrace(before)
    return most
