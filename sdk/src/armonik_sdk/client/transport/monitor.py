"""What NATS says of its streams, by the monitoring port of the chart's server."""

import asyncio
import json
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from armonik_sdk.client.errors import NotConnected
from armonik_sdk.client.transport.port_forward import Forward, Service

PORT: Final = 8222
"""Of the chart's Service; it needs no credentials, so only who may forward ports reaches it."""
SECONDS: Final = 10.0
MOST_BYTES: Final = 32 * 1024 * 1024
"""Of an answer: each consumer of the queue takes about 1 KiB."""
_PATH: Final = "/jsz?accounts=true&streams=true&consumers=true&config=true"


async def streams_of(nats_url: str, *, in_cluster: bool, kubeconfig: str | None, context: str | None) -> Any:
    """The server's account of JetStream, as `/jsz` has it: `config`, `storage`, `account_details`.

    Args:
        nats_url: address of NATS inside the cluster, as credentials have it.
        in_cluster: this is a pod; else the port is forwarded.
        kubeconfig: file for the port-forward.
        context: of this file.

    Raises:
        NotConnected: it is no service of the cluster, its port cannot be reached, or it says something else.
    """
    host = urlsplit(nats_url).hostname or ""
    service = Service.from_address(host, PORT)
    if service is None:
        raise NotConnected(f"{host} is no service of the cluster")
    if in_cluster:
        return await _asked(f"http://{host}:{PORT}")
    forward = Forward(service, kubeconfig, context)
    try:
        return await _asked(f"http://127.0.0.1:{await forward.start()}")
    finally:
        await forward.close()


async def _asked(address: str) -> Any:
    try:
        async with (
            asyncio.timeout(SECONDS),
            aiohttp.ClientSession() as session,
            session.get(address + _PATH) as answer,
        ):
            answer.raise_for_status()
            body = await answer.content.read(MOST_BYTES)
            while not answer.content.at_eof() and len(body) < MOST_BYTES:
                body += await answer.content.read(MOST_BYTES - len(body))
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise NotConnected(f"NATS' monitoring port does not answer: {error or 'time-out'}") from error
    try:
        return json.loads(body)
    except ValueError as error:
        raise NotConnected(f"NATS' monitoring port says no JSON, or more than {MOST_BYTES} bytes") from error
