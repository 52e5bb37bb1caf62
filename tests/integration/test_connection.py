"""The connection to NATS after faults that nats-py by itself notices late or never recovers from."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import nats.errors
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
    errors: list[str] = field(default_factory=list)

    async def refused(self) -> None:
        """Wait until the connection is lost and an attempt to connect again has failed."""
        async with asyncio.timeout(DEADLINE):
            await self.lost.wait()
            before = len(self.errors)
            while len(self.errors) == before:
                assert not self.closed.is_set()
                await asyncio.sleep(0.05)

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
    errors: list[str] = []
    client = await connect_nats(
        proxied,
        "test",
        on_closed=closed,
        on_disconnected=lost,
        on_reconnected=back,
        on_error=errors.append,
    )
    made = Line(way, client, errors=errors)
    yield made
    await way.cut()
    await close_nats(client)


LOST: dict[str, dict[str, bool]] = {
    "both directions": {},
    "what the server sends": {"requests": False},
    "what the client sends": {"answers": False},
}


@pytest.mark.parametrize("lost", LOST)
async def test_a_server_that_vanishes_silently_is_noticed(line: Line, lost: str) -> None:
    line.way.swallow(**LOST[lost])
    await line.answered()


STRANGERS = {
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a line without an end": b"x" * 1_000_000,
    "an INFO that is no object": b"INFO []\r\n",
    "an INFO that makes no sense": b'INFO {"max_payload": "all", "connect_urls": 5}\r\n',
    "bytes": b"\xff\x00\r\n",
    "nothing": b"",
    "too many connections": b"INFO {}\r\n-ERR 'maximum connections exceeded'\r\n",
}
"""What may answer at the address of NATS for a while."""


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_whatever_answers_instead_for_a_while_the_connection_comes_back(
    line: Line, stranger: str
) -> None:
    line.way.become(STRANGERS[stranger])
    await line.refused()
    line.way.restore()
    await line.answered()


WORDS = {
    name: f"-ERR '{name}'\r\n".encode()
    for name in (
        "Stale Connection",
        "Authorization Violation",
        "Maximum Payload Violation",
        "maximum connections exceeded",
        "Something Of A Later Version",
    )
} | {"no protocol": b"\xff\x00 what\r\n", "a broken frame": b"MSG a b c d e\r\n"}


@pytest.mark.parametrize("words", WORDS)
async def test_after_any_word_of_the_server_the_connection_comes_back(line: Line, words: str) -> None:
    line.way.say(WORDS[words])
    await line.answered()


async def test_a_word_about_one_subject_leaves_the_connection_as_it_is(line: Line) -> None:
    line.way.say(b"-ERR 'Permissions Violation for Publish to \"other\"'\r\n")
    async with asyncio.timeout(DEADLINE):
        while not line.errors:  # noqa: ASYNC110 - the client sets no event
            await asyncio.sleep(0.05)
        await line.client.flush()
    assert not line.lost.is_set()


async def test_a_message_that_only_its_headers_make_too_long_does_not_end_the_connection(line: Line) -> None:
    for longer in range(-200, 1, 20):
        with contextlib.suppress(nats.errors.MaxPayloadError):
            payload = bytes(line.client.max_payload + longer)
            await line.client.publish("test.long", payload, headers={"Nats-Expected-Last-Sequence": "1"})
        await line.client.flush()
    assert not line.lost.is_set()
    with pytest.raises(nats.errors.MaxPayloadError):
        await line.client.publish("test.long", bytes(line.client.max_payload), headers={"a": "b"})


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
