"""The connection to NATS after faults that nats-py by itself notices late or never recovers from."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from nats.aio.client import Client
from proxy import Proxy
from servers import PASSWORD, NatsServer

from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.connection import close_nats, connect_nats

pytestmark = pytest.mark.integration

DEADLINE = 120.0
"""Seconds for everything that is awaited: far more than needed, far less than nats-py's own six minutes."""
MORE_THAN_BUFFERS_HOLD = 300
"""Messages of 256 KiB."""


@dataclass
class Line:
    """A connection by way of a proxy, and what it reported."""

    way: Proxy
    client: Client
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    back: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def answered(self) -> None:
        """Wait until the connection was lost and a request on it is answered again."""
        async with asyncio.timeout(DEADLINE):
            await self.lost.wait()
            await self.back.wait()
            await self.client.flush()
        assert not self.closed.is_set()


@pytest.fixture
async def line(nats_server: NatsServer, credentials: Credentials) -> AsyncIterator[Line]:
    way = Proxy(f"127.0.0.1:{nats_server.port}")
    await way.mend()

    async def lost() -> None:
        made.lost.set()

    async def back() -> None:
        made.back.set()

    async def closed() -> None:
        made.closed.set()

    proxied = replace(credentials, nats_url=f"nats://{way.address}")
    client = await connect_nats(proxied, "test", on_closed=closed, on_disconnected=lost, on_reconnected=back)
    made = Line(way, client)
    yield made
    await way.cut()
    await close_nats(client)


async def test_a_server_that_vanishes_silently_is_noticed(line: Line) -> None:
    line.way.swallow()
    await line.answered()


async def test_unsent_bytes_neither_delay_the_reconnect_nor_are_sent_after_it(
    line: Line, credentials: Credentials
) -> None:
    listener = await connect_nats(credentials, "listener")
    heard = await listener.subscribe("test.>")
    await listener.flush()
    line.way.stall()

    async def fill() -> None:
        for _ in range(MORE_THAN_BUFFERS_HOLD):
            await line.client.publish("test.old", bytes(256 * 1024))

    filling = asyncio.create_task(fill())
    await line.answered()
    filling.cancel()
    await asyncio.gather(filling, return_exceptions=True)
    await line.client.publish("test.last", b"")
    subjects = [(await heard.next_msg(timeout=DEADLINE)).subject]
    while subjects[-1] != "test.last":
        subjects.append((await heard.next_msg(timeout=DEADLINE)).subject)
    assert len(subjects) <= MORE_THAN_BUFFERS_HOLD
    await close_nats(listener)


async def test_close_ends_although_nothing_can_be_sent(line: Line) -> None:
    line.way.stall()
    async with asyncio.timeout(DEADLINE):
        for _ in range(MORE_THAN_BUFFERS_HOLD):
            publishing = asyncio.create_task(line.client.publish("test.old", bytes(256 * 1024)))
            done, _ = await asyncio.wait({publishing}, timeout=0.5)
            if not done:
                publishing.cancel()
                break
        await close_nats(line.client)


async def test_a_password_that_is_changed_and_changed_back_only_interrupts(
    line: Line, nats_server: NatsServer
) -> None:
    nats_server.reload("another")
    async with asyncio.timeout(DEADLINE):
        await line.lost.wait()
    nats_server.reload(PASSWORD)
    await line.answered()
