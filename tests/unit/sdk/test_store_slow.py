"""A store that is slow is used for as long as it takes; one that trickles is as good as silent."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from armonik_sdk import circuit as circuits
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.circuit import Circuit
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.errors import StoreUnavailable
from armonik_sdk.dataplane.s3 import client as client_module
from armonik_sdk.dataplane.s3 import store as module
from armonik_sdk.dataplane.s3.connections import SLOWEST
from armonik_sdk.dataplane.s3.store import S3Store

DEADLINE = 30.0
SILENCE = 0.3
"""Seconds that the server may be silent, here."""
PAUSE = SILENCE / 5
LONG = 4 * 1024 * 1024
"""Bytes of an upload: more than the kernel takes at once."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"

Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


async def trickle(writer: asyncio.StreamWriter, data: bytes, step: int = 1) -> None:
    for start in range(0, len(data), step):
        writer.write(data[start : start + step])
        await writer.drain()
        await asyncio.sleep(PAUSE)


async def trickled_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: int) -> None:
    await trickle(writer, HEAD % 4 + b"X-More: " + b"x" * 10_000)


async def trickled_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: int) -> None:
    writer.write(HEAD % 10_000)
    await trickle(writer, bytes(10_000))


async def half_a_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: int) -> None:
    writer.write(HEAD % 10_000 + bytes(5_000))
    await asyncio.sleep(2 * DEADLINE)


async def slow_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: int) -> None:
    writer.write(HEAD % 10_000)
    await trickle(writer, bytes(10_000), int(2 * SLOWEST * PAUSE))


async def slow_upload(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int) -> None:
    while length > 0:
        length -= len(await reader.read(64 * 1024))
        await asyncio.sleep(PAUSE)
    writer.write(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n')
    await writer.drain()


@pytest.fixture
async def store(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, circuit: Circuit
) -> AsyncIterator[S3Store]:
    """A client of a server that replies as the parameter says."""
    reply: Reply = request.param
    monkeypatch.setattr(client_module, "READ_TIMEOUT", SILENCE)
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT", SILENCE)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await reply(reader, writer, int(length[1]) if length else 0)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has given up
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)  # else it takes all at once
    credentials = Credentials(
        nats_url="nats://n",
        nats_user="operator",
        s3_endpoint=f"127.0.0.1:{server.sockets[0].getsockname()[1]}",
        s3_secure=False,
        s3_region="us-east-1",
        s3_access_key="k",
        s3_secret_key="secret-of-k",
        s3_bucket="bucket",
    )
    yield S3Store(credentials, circuit=circuit)
    server.close()


@pytest.fixture
def circuit(monkeypatch: pytest.MonkeyPatch) -> Circuit:
    monkeypatch.setattr(circuits, "SECONDS", 0.0)
    monkeypatch.setattr(module, "ATTEMPTS", circuits.FAILURES)
    return Circuit("the object store")


@pytest.mark.parametrize("store", [trickled_head, trickled_body, half_a_body], indirect=True)
async def test_a_server_that_trickles_or_falls_silent_is_down(store: S3Store, circuit: Circuit) -> None:
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(StoreUnavailable):
            await store.get(ObjectRef(key="ns/s/x", length=4))
    assert not circuit.up


@pytest.mark.parametrize("store", [slow_body], indirect=True)
async def test_a_slow_answer_is_waited_for(store: S3Store, circuit: Circuit) -> None:
    async with asyncio.timeout(DEADLINE):
        assert await store.get(ObjectRef(key="ns/s/x")) == bytes(10_000)
    assert circuit.up


@pytest.mark.parametrize("store", [slow_upload], indirect=True)
async def test_an_upload_may_take_long_as_long_as_it_advances(store: S3Store, circuit: Circuit) -> None:
    async with asyncio.timeout(DEADLINE):
        assert (await store.put("ns/s/x", bytes(LONG))).length == LONG
    assert circuit.up
