"""The agent process: connect, serve the worker, pull; when told to, finish or release what runs."""

import asyncio
import logging
import os
import shutil
import signal
import uuid
from collections.abc import Coroutine

import nats.errors
import uvloop
from nats.aio.client import Client

from armonik_agent.clock import ServerClock
from armonik_agent.control import ControlWatch, changed
from armonik_agent.http import Metrics, serve_http
from armonik_agent.pipeline import Pipeline
from armonik_agent.results import Results
from armonik_agent.settings import Settings
from armonik_agent.site import Connection, Drain, Site
from armonik_agent.slots import either
from armonik_agent.stopping import stop
from armonik_agent.worker import Worker
from armonik_agent.worker_api import AgentService
from armonik_sdk.api.names import CONTROL, DRAINED, pod_key
from armonik_sdk.api.records import Control, DesiredState, Owner
from armonik_sdk.dataplane.connect import Credentials, close_nats, connect_nats
from armonik_sdk.dataplane.errors import QueueUnavailable
from armonik_sdk.dataplane.journal import Journal
from armonik_sdk.dataplane.kv import Bucket
from armonik_sdk.dataplane.objects import S3Store
from armonik_sdk.garbage import collect_seldom
from armonik_sdk.logs import configure_logs

log = logging.getLogger(__name__)

POD_SECONDS = 2.0
"""Between two looks at whether this pod shall drain."""
DRAINED_SECONDS = 5.0
"""Between two events `drained`, of which any may be lost."""


async def serve(
    settings: Settings, credentials: Credentials, drain: Drain, metrics: Metrics | None = None
) -> None:
    """Run the agent until `drain` is limited and everything it holds has ended or is released."""
    me = Owner(pod=settings.pod_uid, process=uuid.uuid4().hex, name=settings.pod_name)
    connection, watch = Connection(), ControlWatch(settings.namespace)

    async def lost() -> None:
        connection.lost()

    async def back() -> None:
        connection.back()
        watch.tell_all()

    pipeline: Pipeline | None = None
    metrics = metrics or Metrics()
    # Before NATS is waited for: an agent without it is alive, though not ready.
    http = await serve_http(metrics, lambda: pipeline is not None and pipeline.ready, settings.http_port)
    await asyncio.to_thread(_prepare, settings)
    connecting = connect_nats(
        credentials, settings.pod_name or me.pod, on_disconnected=lost, on_reconnected=back
    )
    client = await _unless_ended(connecting, drain)
    if client is None:
        log.info("told to end before NATS has answered")
        await http.cleanup()
        return
    store, worker = S3Store(credentials), Worker(settings.worker_socket)
    service = AgentService(Results(client), store, settings.spool)
    site = Site(
        settings=settings,
        me=me,
        client=client,
        journal=Journal(client),
        control=Bucket(client, CONTROL, Control),
        store=store,
        worker=worker,
        service=service,
        watch=watch,
        drain=drain,
        metrics=metrics,
        connection=connection,
        clock=await _clock(client),
    )
    pipeline = Pipeline(site)
    server = await service.serve(settings.agent_socket)
    await watch.serve(client)
    await _look_at_pod(site)  # before the first pull
    watcher = asyncio.create_task(_watch_pod(site))
    try:
        await pipeline.work()
        while True:
            await site.tell(DRAINED, "nothing runs here any more")
            if drain.limited.is_set():
                break
            await either(drain.limited, seconds=DRAINED_SECONDS)
        await _flush(client)
    finally:
        await stop(watcher)
        await server.stop(grace=1.0)
        await worker.close()
        await http.cleanup()
        await close_nats(client)


async def _unless_ended(connecting: Coroutine[None, None, Client], drain: Drain) -> Client | None:
    """The connection; None when the process is to end before there is one, for it is tried for ever."""
    tried, done = asyncio.create_task(connecting), asyncio.Event()
    tried.add_done_callback(lambda _: done.set())
    try:
        await either(done, drain.limited)
    finally:
        if not tried.done():
            tried.cancel()
            await asyncio.gather(tried, return_exceptions=True)
    return None if tried.cancelled() else tried.result()


async def _flush(client: Client) -> None:
    """Let the last words out; without NATS nobody hears them, and that is no reason to end badly."""
    try:
        await client.flush()
    except (OSError, nats.errors.Error) as error:
        log.info("ended without NATS: %s", error)


async def _watch_pod(site: Site) -> None:
    """Drain when the operator says so of this pod; there is no way back."""
    key = pod_key(site.settings.namespace, site.me.pod)
    with site.watch.of(key) as news:
        while True:
            await _look_at_pod(site)
            await changed(news, POD_SECONDS)


async def _look_at_pod(site: Site) -> None:
    try:
        entry = await site.control.get(pod_key(site.settings.namespace, site.me.pod))
    except QueueUnavailable as error:
        log.info("desired state of this pod not read: %s", error)
        return
    if entry is not None and entry[0].state is DesiredState.DRAIN and not site.drain.begun.is_set():
        log.info("told to drain")
        site.drain.begin()


async def _clock(client: Client) -> ServerClock:
    """The server's time; without an answer this host's stands."""
    clock = ServerClock()
    try:
        await clock.calibrate(client)
    except QueueUnavailable as error:
        log.warning("%s", error)
    return clock


def _prepare(settings: Settings) -> None:
    """The volume outlives a process of this container: what an earlier one left is removed."""
    for folder in (settings.runs, settings.spool):
        shutil.rmtree(folder, ignore_errors=True)  # what a worker still writes there does no harm
        folder.mkdir(parents=True, exist_ok=True)


async def _main() -> None:
    settings = Settings.from_environ(os.environ)
    configure_logs(settings.log_level)
    drain = Drain()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain.end, settings.drain_seconds)
    await serve(settings, Credentials.from_directory(settings.credentials), drain)


def main() -> None:
    """Run until told to end."""
    collect_seldom()
    uvloop.run(_main())  # a third less CPU time for each message than asyncio's own loop
