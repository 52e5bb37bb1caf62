"""The agent process: connects, serves the worker, pulls runs, and finishes or releases them at its end."""

import asyncio
import logging
import os
import shutil
import signal
import time
import uuid
from collections.abc import Coroutine
from pathlib import Path

import nats.errors
import uvloop
from nats.aio.client import Client

from armonik_agent.context import AgentContext, Connection, Drain
from armonik_agent.data.object_cache import ObjectCache
from armonik_agent.desired_state import ControlWatch, changed
from armonik_agent.http_endpoints import Metrics, serve_http
from armonik_agent.pipeline import Pipeline
from armonik_agent.queue.slots import wait_any
from armonik_agent.server_clock import ServerClock
from armonik_agent.settings import Settings
from armonik_agent.util.supervision import supervised
from armonik_agent.util.tasks import stop
from armonik_agent.worker.agent_service import AgentService
from armonik_agent.worker.client import Worker
from armonik_agent.worker.result_lookup import Results
from armonik_sdk.api.errors import explain
from armonik_sdk.api.kinds import WorkerInfo
from armonik_sdk.api.names import CONTROL, DRAINED, WORKER_ABOUT, pod_key
from armonik_sdk.api.records import Control, DesiredState, Owner
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import InvalidCredentials, QueueUnavailable
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.connection import Renewal, close_nats, connect_nats
from armonik_sdk.dataplane.nats.journal import Journal
from armonik_sdk.dataplane.s3.store import S3Store
from armonik_sdk.dataplane.tls import UNTRUSTED
from armonik_sdk.gc_tuning import tune
from armonik_sdk.json_logs import configure_logs

log = logging.getLogger(__name__)

POD_SECONDS = 2.0
"""Between two looks at whether this pod shall drain."""
ABOUT_SECONDS = (0.0, 10.0, 60.0, 600.0)
"""Until an agent reports again what its worker is; the last one from then on. Each may be lost."""
DRAINED_SECONDS = 5.0
"""Between two events `drained`, of which any may be lost."""


async def serve(
    settings: Settings, credentials: Credentials, drain: Drain, metrics: Metrics | None = None
) -> None:
    """Run the agent until `drain` is limited and everything it holds has ended or is released."""
    metrics, readiness = metrics or Metrics(), _Readiness()
    # Before NATS is waited for: an agent without it is alive, though not ready.
    http = await serve_http(metrics, readiness, settings.http_port)
    try:
        await asyncio.to_thread(_prepare, settings)
        connection, watch = Connection(), ControlWatch(settings.namespace)
        client = await _connect(settings, credentials, drain, connection, watch)
        if client is None:
            log.info("the process ends before NATS has answered")
            return
        try:
            store = S3Store(credentials)
            site = AgentContext(
                settings=settings,
                me=Owner(pod=settings.pod_uid, process=uuid.uuid4().hex, name=settings.pod_name),
                client=client,
                journal=Journal(client),
                control=Bucket(client, CONTROL, Control),
                store=store,
                worker=Worker(settings.worker_socket),
                service=AgentService(Results(client, store), store, settings.spool),
                watch=watch,
                drain=drain,
                metrics=metrics,
                connection=connection,
                clock=await _clock(client),
                objects=ObjectCache(settings.objects, settings.object_bytes),
            )
            await _serve_worker(site, readiness)
        finally:
            await close_nats(client)
    finally:
        await http.cleanup()


class _Readiness:
    """Why the agent takes no work; empty while it does."""

    def __init__(self) -> None:
        self._working: tuple[AgentContext, Pipeline] | None = None

    def begins(self, site: AgentContext) -> Pipeline:
        """The pipeline, which is looked at from now on."""
        pipeline = Pipeline(site)
        self._working = (site, pipeline)
        return pipeline

    def __call__(self) -> str:
        if self._working is None:
            return "nats is down: not connected yet"
        site, pipeline = self._working
        if not (site.client.is_connected and site.connection.present.is_set()):
            return "nats is down: the connection is lost"
        if pipeline.open:
            return ""
        return "the pod drains" if site.drain.begun.is_set() else f"the worker is down: {site.worker.silence}"


async def _connect(
    settings: Settings, credentials: Credentials, drain: Drain, connection: Connection, watch: ControlWatch
) -> Client | None:
    """Connect to NATS; None when the process is to end before that answers."""

    async def lost() -> None:
        connection.lost()

    async def back() -> None:
        connection.back()
        watch.notify_all()

    async def closed() -> None:
        log.critical("the connection to NATS is closed and cannot be opened again; the process ends")
        drain.end(0.0)

    def failed(words: str) -> None:
        if not drain.limited.is_set() and superseded(settings.credentials, credentials, words):
            log.critical("the credentials are of another server or another kind; the process ends")
            drain.end(0.0)  # its successor in this container reads them

    connecting = connect_nats(
        credentials,
        settings.pod_name or settings.pod_uid,
        on_closed=closed,
        on_disconnected=lost,
        on_reconnected=back,
        on_error=failed,
        renewal=Renewal(lambda: Credentials.from_directory(settings.credentials)),  # as the kubelet keeps it
    )
    return await _unless_ended(connecting, drain)


def superseded(mounted: Path, used: Credentials, words: str) -> bool:
    """Whether the credentials in a folder lead where a connection by those in use cannot.

    A connection takes over new keys of the same kind by itself. Another authority (`tls_ca`) counts only when
    the attempt failed for it, as `words` say: while authorities are rotated, both are trusted.
    """
    try:
        found = Credentials.from_directory(mounted)
    except (InvalidCredentials, OSError) as error:
        log.warning("the mounted credentials are not read: %s", error)
        return False
    if found.tls_ca != used.tls_ca and UNTRUSTED in words:
        return True
    return (found.nats_url, found.nats_api, bool(found.nats_creds)) != (
        used.nats_url,
        used.nats_api,
        bool(used.nats_creds),
    )


async def _serve_worker(site: AgentContext, readiness: _Readiness) -> None:
    """Answer the worker's calls and give it runs until the agent has drained and is to end."""
    server = await site.service.serve(site.settings.agent_socket)
    watchers: list[asyncio.Task[None]] = []
    try:
        await site.watch.serve(site.client)
        await _look_at_pod(site)  # before the first pull
        watchers += [
            asyncio.create_task(supervised("pod", lambda: _watch_pod(site))),
            asyncio.create_task(supervised("clock", lambda: site.clock.keep(site.client))),
            asyncio.create_task(supervised("worker", lambda: _report_worker(site))),
        ]
        await readiness.begins(site).work()
        await _stay_drained(site)
        await _flush(site.client)
    finally:
        await stop(*watchers)
        await server.stop(grace=1.0)
        await site.worker.close()


async def _stay_drained(site: AgentContext) -> None:
    """Report again and again that nothing runs here, until the process is to end."""
    while True:
        await site.publish_event(DRAINED, "nothing runs here any more")
        if site.drain.limited.is_set():
            return
        await wait_any(site.drain.limited, seconds=DRAINED_SECONDS)


async def _unless_ended(connecting: Coroutine[None, None, Client], drain: Drain) -> Client | None:
    """The connection, which is tried without a limit; None when the process is to end before there is one."""
    tried, done = asyncio.create_task(connecting), asyncio.Event()
    tried.add_done_callback(lambda _: done.set())
    try:
        await wait_any(done, drain.limited)
    finally:
        if not tried.done():
            tried.cancel()
            await asyncio.gather(tried, return_exceptions=True)
    return None if tried.cancelled() else tried.result()


async def _flush(client: Client) -> None:
    """Flush pending publishes; a missing connection is no error when the process ends."""
    try:
        await client.flush()
    except (OSError, nats.errors.Error) as error:
        log.info("pending publishes are not flushed, NATS is away: %s", error)


async def _watch_pod(site: AgentContext) -> None:
    """Drain when the operator says so of this pod; there is no way back."""
    key = pod_key(site.settings.namespace, site.me.pod)
    with site.watch.of(key) as news:
        while True:
            await _look_at_pod(site)
            await changed(news, POD_SECONDS)


async def _report_worker(site: AgentContext) -> None:
    """Report what the worker is once that is known, anew when it is another one, and again at intervals."""
    said: WorkerInfo | None = None
    waits, due = iter(ABOUT_SECONDS), 0.0
    while True:
        runs = site.worker.runs
        if runs.about is None and await site.worker.healthy():  # no run has come yet
            await runs.served()
        about = runs.about
        if about is not None and about != said:
            said, waits, due = about, iter(ABOUT_SECONDS), 0.0
        if said is not None and time.monotonic() >= due:
            due = time.monotonic() + next(waits, ABOUT_SECONDS[-1])
            await site.publish_event(WORKER_ABOUT, f"its kind is {said.kind}", said)
        await asyncio.sleep(POD_SECONDS)


async def _look_at_pod(site: AgentContext) -> None:
    try:
        entry = await site.control.get(pod_key(site.settings.namespace, site.me.pod))
    except (QueueUnavailable, ValueError) as error:  # an entry of a newer version may not be understood
        log.warning("desired state of this pod not read: %s", explain(error))
        return
    site.connection.answered()
    if entry is not None and entry[0].state is DesiredState.DRAIN and not site.drain.begun.is_set():
        log.info("the operator asks this pod to drain")
        site.drain.begin()


async def _clock(client: Client) -> ServerClock:
    """The server's time; without an answer this host's is used."""
    clock = ServerClock()
    try:
        await clock.calibrate(client)
    except QueueUnavailable as error:
        log.warning("%s", error)
    return clock


def _prepare(settings: Settings) -> None:
    """The volume outlives a process of this container: what an earlier one left is removed."""
    ObjectCache(settings.objects, settings.object_bytes).prepare()
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
    metrics = Metrics()
    monitoring = asyncio.create_task(supervised("event loop", metrics.monitor.run))
    try:
        await serve(settings, Credentials.from_directory(settings.credentials), drain, metrics)
    finally:
        await stop(monitoring)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    tune()
    uvloop.run(_main())  # a third less CPU time for each message than asyncio's own loop
