"""Runs the coroutine of a command: logging, Ctrl-C and a request to end, both of which let it clean up."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from armonik_sdk.cli.frame.settings import Settings

T = TypeVar("T")


def run(settings: Settings, action: Callable[[], Awaitable[T]]) -> T:
    """Run it to its end.

    Raises:
        KeyboardInterrupt: Ctrl-C, or a request to end; what the action holds was given back.
    """
    prepare(settings)
    return asyncio.run(_interruptible(action))


def prepare(settings: Settings) -> None:
    """Log as the settings say, and look for garbage from now on, but not among what was imported."""
    level = {0: logging.ERROR, 1: logging.INFO}.get(settings.verbose, logging.DEBUG)
    logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname)s %(name)s: %(message)s")
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


async def _interruptible(action: Callable[[], Awaitable[T]]) -> T:
    """A request to end is as Ctrl-C, for which asyncio cares."""
    asked: list[int] = []
    task = asyncio.ensure_future(action())

    def end() -> None:
        asked.append(signal.SIGTERM)
        task.cancel()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        return await task
    except asyncio.CancelledError:
        if asked:
            raise KeyboardInterrupt from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
