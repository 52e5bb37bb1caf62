"""`python -m armonik_operator`: the operator's process."""

import asyncio
import logging
import os
import signal
import sys
from typing import Any, cast

import kopf
import uvloop

from armonik_operator.app.lifecycle import Operator
from armonik_operator.errors import InvalidSetting
from armonik_operator.settings import Settings
from armonik_operator.sources import watches
from armonik_operator.sources.apiserver import Unremembered, make_registry
from armonik_sdk.gc_tuning import tune
from armonik_sdk.json_logs import configure_logs

log = logging.getLogger(__name__)

STUBBORN_SECONDS = 5.0
"""After which a cancelled asyncio task that still runs is cancelled again; cleaning up takes less."""


async def serve(settings: Settings) -> int:
    """Run until a signal asks it to stop; the exit code is not 0 when the operator ended by itself."""
    identity = os.environ.get("POD_NAME") or f"local-{os.getpid()}"
    controller = Operator(settings, identity)
    asked, stop, ready = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def take_signals() -> None:
        """Kopf takes them too, when it starts: ours come after, so that the work ends before kopf."""
        for _ in range(2):
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, asked.set)
            await ready.wait()

    taking = asyncio.create_task(take_signals())
    monitoring = asyncio.create_task(controller.health.monitor.run())
    probes = await controller.health.serve(settings.health_port)
    work = asyncio.create_task(_work(controller, everywhere=not settings.watch_namespaces))
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
        await _first_of(controller.kinds_served, asked)
        if not asked.is_set():
            await kopf.operator(
                registry=make_registry(controller.on_event, everywhere=not settings.watch_namespaces),
                memories=Unremembered(),
                standalone=True,
                # Else kopf looks the user up, and an arbitrary uid has no name.
                identity=cast("Any", identity),
                clusterwide=not settings.watch_namespaces,
                namespaces=settings.watch_namespaces,
                ready_flag=ready,
                stop_flag=stop,
            )
    except TimeoutError:
        # On Python 3.11 kopf's queues may time out in the moment in which they are cancelled.
        log.warning("kopf ended with a time-out", exc_info=True)
    finally:
        taking.cancel()
        asked.set()
    code = await ending
    monitoring.cancel()
    await probes.cleanup()
    return code


async def _work(controller: Operator, *, everywhere: bool) -> None:
    """Work until cancelled, or until a watch of kopf has ended."""
    async with asyncio.TaskGroup() as group:
        group.create_task(controller.run())
        await controller.kinds_served.wait()
        if everywhere:  # else watches end with their namespaces
            group.create_task(watches.guard())


async def _first_of(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _cancel(work: asyncio.Task[None]) -> None:
    """Cancel until it has ended: on Python 3.11 `asyncio.wait_for` may swallow one cancellation."""
    work.cancel()
    while not (await asyncio.wait({work}, timeout=STUBBORN_SECONDS))[0]:
        for task in asyncio.all_tasks():
            if task.cancelling():
                log.warning("cancelling again, it still runs: %s", task.get_coro())
                task.cancel()


def main() -> int:
    """Read the environment and run."""
    try:
        settings = Settings.from_environ(os.environ)
    except InvalidSetting as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logs(settings.log_level)
    # kopf logs every event at INFO, its web server every probe.
    for name in ("kopf", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    tune()
    return uvloop.run(serve(settings))  # a third less CPU time for each message than asyncio's own loop


if __name__ == "__main__":
    sys.exit(main())
