"""`python -m armonik_operator`: the operator's process."""

import asyncio
import logging
import os
import signal
import sys
from typing import Any, cast

import kopf
import uvloop

from armonik_operator.controller import Controller
from armonik_operator.errors import InvalidSetting
from armonik_operator.handlers import make_registry
from armonik_operator.settings import Settings
from armonik_sdk.garbage import collect_seldom
from armonik_sdk.logs import configure_logs

log = logging.getLogger(__name__)

STUBBORN_SECONDS = 5.0
"""After which what was cancelled and goes on is cancelled again; cleaning up takes less."""


async def serve(settings: Settings) -> int:
    """Run until told to stop; the exit code is not 0 when the operator ended by itself."""
    identity = os.environ.get("POD_NAME") or f"local-{os.getpid()}"
    controller = Controller(settings, identity)
    asked, stop, ready = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def take_signals() -> None:
        """Kopf takes them too, when it starts: ours come after, so that the work ends before kopf."""
        for _ in range(2):
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, asked.set)
            await ready.wait()

    taking = asyncio.create_task(take_signals())
    work = asyncio.create_task(controller.run())
    work.add_done_callback(lambda _: asked.set())

    async def end() -> int:
        """End the work, then kopf: at its own end kopf cancels every task that it finds."""
        await asked.wait()
        failed = work.done()
        await _cancel(work)
        (result,) = await asyncio.gather(work, return_exceptions=True)
        stop.set()
        if failed:
            log.critical("the operator ends: %r", result, exc_info=result or None)
        elif isinstance(result, Exception):
            log.warning("the operator's work ended with an error: %r", result, exc_info=result)
        return 1 if failed else 0

    ending = asyncio.create_task(end())
    try:
        await kopf.operator(
            registry=make_registry(controller),
            standalone=True,
            identity=cast("Any", identity),  # else kopf looks the user up, and an arbitrary uid has no name
            clusterwide=not settings.watch_namespaces,
            namespaces=settings.watch_namespaces,
            liveness_endpoint=f"http://0.0.0.0:{settings.health_port}/healthz",
            ready_flag=ready,
            stop_flag=stop,
        )
    except TimeoutError:
        # On Python 3.11 kopf's queues may time out in the moment in which they are cancelled.
        log.warning("kopf ended with a time-out", exc_info=True)
    finally:
        taking.cancel()
        asked.set()
    return await ending


async def _cancel(work: asyncio.Task[None]) -> None:
    """Cancel until it has ended: on Python 3.11 `asyncio.wait_for` may swallow one cancellation."""
    work.cancel()
    while not (await asyncio.wait({work}, timeout=STUBBORN_SECONDS))[0]:
        for task in asyncio.all_tasks():
            if task.cancelling():
                log.warning("cancelling again what goes on: %s", task.get_coro())
                task.cancel()


def main() -> int:
    """Read the environment and run."""
    try:
        settings = Settings.from_environ(os.environ)
    except InvalidSetting as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logs(settings.log_level)
    # kopf tells of every event at INFO, its web server of every probe.
    for name in ("kopf", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    collect_seldom()
    return uvloop.run(serve(settings))  # a third less CPU time for each message than asyncio's own loop


if __name__ == "__main__":
    sys.exit(main())
