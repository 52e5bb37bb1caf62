"""The agent process: connect, serve the worker, pull; on SIGTERM finish or release what runs."""

import asyncio
import logging
import os
import signal
import uuid

from armonik_agent.clock import ServerClock
from armonik_agent.http import Metrics, serve_http
from armonik_agent.pipeline import Pipeline, calibrate
from armonik_agent.run import Site
from armonik_agent.settings import Settings
from armonik_agent.worker import Worker
from armonik_agent.worker_api import AgentService
from armonik_sdk.api.names import CONTROL, DRAINED
from armonik_sdk.api.records import Control, Owner
from armonik_sdk.dataplane.connect import Credentials, connect_nats
from armonik_sdk.dataplane.journal import Journal
from armonik_sdk.dataplane.kv import Bucket
from armonik_sdk.dataplane.objects import S3Store
from armonik_sdk.logs import configure_logs

log = logging.getLogger(__name__)


async def serve(settings: Settings, credentials: Credentials, draining: asyncio.Event) -> None:
    """Run the agent until `draining` is set and everything it holds has ended or is released."""
    me = Owner(pod=settings.pod_uid, process=uuid.uuid4().hex, name=settings.pod_name)
    pipeline: Pipeline | None = None

    async def reconnected() -> None:
        if pipeline is not None:
            await pipeline.reconnected()

    client = await connect_nats(credentials, settings.pod_name or me.pod, on_reconnected=reconnected)
    service, worker, metrics = AgentService(), Worker(settings.worker_socket), Metrics()
    site = Site(
        settings=settings,
        me=me,
        client=client,
        journal=Journal(client),
        control=Bucket(client, CONTROL, Control),
        store=S3Store(credentials),
        worker=worker,
        service=service,
        clock=ServerClock(),
        metrics=metrics,
        draining=draining,
    )
    pipeline = Pipeline(site)
    http = await serve_http(metrics, lambda: pipeline.ready and client.is_connected, settings.http_port)
    server = await service.serve(settings.agent_socket)
    try:
        await calibrate(site)
        await pipeline.work()
        await site.tell(DRAINED, "SIGTERM")
    finally:
        await server.stop(grace=1.0)
        await worker.close()
        await http.cleanup()
        await client.close()


async def _main() -> None:
    settings = Settings.from_environ(os.environ)
    configure_logs(settings.log_level)
    draining = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, draining.set)
    await serve(settings, Credentials.from_directory(settings.credentials), draining)


if __name__ == "__main__":
    asyncio.run(_main())
