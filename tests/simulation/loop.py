"""An event loop whose time passes only when nothing is left to do: hours of waiting take milliseconds."""

import asyncio
import datetime as real
import selectors
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

START = 1_000.0
"""Virtual seconds on the monotonic clock at the beginning."""
TICK = 1e-6
"""Seconds that one turn of the loop takes at least."""
EPOCH = 1_800_000_000.0
"""Seconds since the epoch at START."""


class Stuck(AssertionError):  # noqa: N818 - reads as the state
    """Everything waits, and nothing will ever wake it."""


class _NoWaiting(selectors.SelectSelector):
    """Instead of waiting for sockets, which there are none of, it lets the time pass."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is due and nothing is ready")
        # Never nothing: a program that compares two readings of a clock must see that time passes.
        self._passed(max(timeout, TICK))
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Deterministic: one thread, no sockets, what is given to an executor runs at once."""

    def __init__(self) -> None:
        self._now = START
        super().__init__(_NoWaiting(self._pass))

    def _pass(self, seconds: float) -> None:
        self._now += seconds

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def wall(self) -> float:
        """Virtual seconds since the epoch."""
        return EPOCH + self._now - START

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """At once, in this thread."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - the future carries it
            future.set_exception(error)
        return future


@contextmanager
def virtual_clocks(loop: VirtualLoop, *packages: str) -> Iterator[None]:
    """The clocks of this process, and `datetime.now` in the modules of these packages, show virtual time."""

    class Meta(type):
        def __instancecheck__(cls, thing: object) -> bool:
            return isinstance(thing, real.datetime)

    class Clock(real.datetime, metaclass=Meta):
        @classmethod
        def now(cls, tz: real.tzinfo | None = None) -> real.datetime:  # type: ignore[override]
            return real.datetime.fromtimestamp(loop.wall(), tz)

    patches = [patch.object(time, "monotonic", loop.time), patch.object(time, "time", loop.wall)]
    for name, module in list(sys.modules.items()):
        if name.startswith(packages) and getattr(module, "datetime", None) is real.datetime:
            patches.append(patch.object(module, "datetime", Clock))
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in reversed(patches):
            each.stop()
